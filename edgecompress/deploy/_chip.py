"""Read what a Cortex-M chip is, word by word, over any tool that can read memory."""

from __future__ import annotations

from collections.abc import Callable

from edgecompress.core.errors import UnreachableError
from edgecompress.core.target import Target
from edgecompress.deploy.flashers import ChipFacts

CPUID = 0xE000_ED00
MVFR0 = 0xE000_EF40
MVFR1 = 0xE000_EF44

ReadWord = Callable[[int], int | None]
"""Address -> the little-endian word there; None when nothing answers at it."""


def read(read_word: ReadWord, target: Target, *, name: str | None = None, machine: str | None = None) -> ChipFacts:
    """Ask for the core (CPUID), its floating point and vectors (MVFR0, MVFR1), and the vendor's id of the profile.

    Raises UnreachableError when the core does not tell its own: then nothing is known of the chip.
    """
    cpuid = read_word(CPUID)
    if cpuid is None:
        raise UnreachableError(
            f"what should be a {target.name} does not tell its core (CPUID at {CPUID:#010x})",
            hint="nothing was written; is the chip protected against reading, or is it no Cortex-M?",
        )
    id_address = target.chip.id_address if target.chip is not None else None
    return ChipFacts(
        name=name,
        cpuid=cpuid,
        mvfr0=read_word(MVFR0),
        mvfr1=read_word(MVFR1),
        id_word=read_word(id_address) if id_address is not None else None,
        machine=machine,
    )
