"""flash.json: what was written into a board's flash, how that was proved, and what answered afterwards."""

from __future__ import annotations

from typing import Literal

from edgecompress.core.values import FileValue

RECORD_VERSION = 1

Proof = Literal["read back", "hash on the device", "build id"]
"""How what the flash holds was compared. `build id`: the tool can do neither, and only hello tells."""


class ChipRecord(FileValue):
    """What the chip said of itself; None where the tool could not ask. The words are hexadecimal."""

    name: str | None = None
    core: str | None = None
    cpuid: str | None = None
    id_word: str | None = None


class FlashRecord(FileValue):
    """A flash that succeeded: nothing is written down of one that did not.

    `verified_vectors` is how many test vectors the firmware reproduced byte for byte after it said hello.
    """

    version: int = RECORD_VERSION
    name: str
    target: str
    build_id: str
    created: str
    flasher: str
    device: str
    emulated: bool
    chip: ChipRecord
    image_bytes: int
    segments: int
    proof: Proof
    console: str
    verified_vectors: int
    seconds: float
