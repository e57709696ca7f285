"""The [slots] of a target profile."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from edgecompress.core import target as targets
from edgecompress.core.errors import ConfigError
from edgecompress.core.target import Region, Slots

WITH_SLOTS = tuple(name for name in targets.names() if targets.load(name).slots is not None)


def slots(**changes: object) -> Slots:
    values = {
        "a": Region(origin=0x4000, length=0x2000),
        "b": Region(origin=0x6000, length=0x2000),
        "ram": Region(origin=0x2000_0000, length=4096),
        "sector_bytes": 1024,
        "write_bytes": 4,
    }
    return Slots.model_validate({**values, **changes})


@pytest.mark.parametrize("name", WITH_SLOTS)
def test_a_firmware_with_slots_ends_where_they_begin(name: str) -> None:
    target = targets.load(name)
    firmware = target.with_slots()
    assert target.slots is not None
    assert firmware.memory is not None
    regions = (firmware.memory.flash, target.slots.a, target.slots.b)
    assert not any(one.overlaps(other) for i, one in enumerate(regions) for other in regions[:i])
    assert not firmware.memory.ram.overlaps(target.slots.ram)


def test_the_microbit_s_slots_share_its_flash_and_ram() -> None:
    firmware = targets.load("microbit").with_slots()
    assert (firmware.flash_limit_bytes, firmware.ram_limit_bytes) == (112 * 1024, 8 * 1024)


def test_a_target_without_slots_says_what_is_missing() -> None:
    with pytest.raises(ConfigError, match="the target mps2-an385 has no slots"):
        targets.load("mps2-an385").with_slots()


@pytest.mark.parametrize(
    ("origin", "length", "said"),
    [
        (0x2000_0000, 0x1000, "takes 0x20000000 to 0x20000fff"),
        (0x2000_3000, 0x2000, "takes 0x20003000 to 0x20004fff"),
    ],
)
def test_slots_that_leave_the_firmware_no_ram_or_pass_its_end_are_refused(origin: int, length: int, said: str) -> None:
    board = targets.load("microbit")
    assert board.slots is not None
    wrong = board.slots.model_copy(update={"ram": Region(origin=origin, length=length)})
    with pytest.raises(ConfigError) as caught:
        board.model_copy(update={"slots": wrong}).with_slots()
    assert caught.value.message == f"microbit: [slots] {said} of the RAM, which is 0x20000000 to 0x20003fff"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"a": Region(origin=0x4200, length=0x2000)}, "slot a does not begin and end at a sector of 1,024 bytes"),
        ({"b": Region(origin=0x5000, length=0x2000)}, "the slots overlap"),
        ({"b": Region(origin=0x6000, length=0x1000)}, "the slots must be of one length, at least two sectors"),
        ({"sector_bytes": 0x2000}, "the slots must be of one length, at least two sectors"),
        ({"sector_bytes": 128}, "Input should be greater than or equal to 256"),
        ({"sector_bytes": 1000}, "Input should be a multiple of 32"),
        ({"write_bytes": 3}, "Input should be 1, 2, 4, 8, 16 or 32"),
    ],
)
def test_slots_that_cannot_work_are_refused(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        slots(**changes)
