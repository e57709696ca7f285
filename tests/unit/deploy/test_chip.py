"""What a tool that reads memory learns of a chip."""

from __future__ import annotations

import pytest

from edgecompress.core import target as targets
from edgecompress.core.errors import UnreachableError
from edgecompress.deploy import _chip

BOARD = targets.load("nucleo-l4r5zi")


def test_a_chip_tells_its_core_and_its_id() -> None:
    words = {_chip.CPUID: 0x410F_C241, 0xE004_2000: 0x1000_6470}
    facts = _chip.read(words.get, BOARD)
    assert (facts.cpuid, facts.mvfr0, facts.id_word) == (0x410F_C241, None, 0x1000_6470)


def test_a_chip_that_tells_nothing_is_not_flashed() -> None:
    with pytest.raises(UnreachableError) as caught:
        _chip.read(lambda _: None, BOARD)
    assert caught.value.message == "what should be a nucleo-l4r5zi does not tell its core (CPUID at 0xe000ed00)"
    assert caught.value.hint == "nothing was written; is the chip protected against reading, or is it no Cortex-M?"
