"""The header of a slot image, and what a device tells about its slots: the same numbers as in the C sources."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from pydantic import ValidationError

from edgecompress.core import slot_image, slot_info
from edgecompress.core.errors import ConfigError, TransferError
from edgecompress.core.slot_image import SlotImage
from edgecompress.core.target import Region
from edgecompress.core.wire import SlotState

SOURCES = Path(__file__).parents[3] / "device_runtime" / "src"
IMAGE = SlotImage(
    slot="a",
    file="slots/a.bin",
    elf="slots/a.elf",
    payload_bytes=0x1234,
    address=0x2100_0000,
    entry=0x2100_0201,
    ram_origin=0x2020_0000,
    ram_bytes=0x4321,
    sha256="ab" * 32,
)
BUILD_ID = "cd" * 16


def defined(name: str) -> int:
    found = re.search(rf"#define EDGERT_SLOT_{name} (0x[0-9A-F]+|\d+)u", (SOURCES / "slots.h").read_text())
    assert found is not None
    return int(found[1], 0)


@pytest.mark.parametrize("file", ["../key", "/etc/passwd", "slots/../../a.bin", ".hidden", ""])
def test_a_path_out_of_the_bundle_is_no_image(file: str) -> None:
    with pytest.raises(ValidationError, match="pattern"):
        SlotImage.model_validate(IMAGE.model_dump() | {"file": file})


def test_the_numbers_are_those_of_the_c_header() -> None:
    names = ("MAGIC", "INTERFACE", "HEADER_BYTES", "SIGNED_BYTES", "TARGET_BYTES", "MARK_BYTES", "MARKS")
    assert {name: getattr(slot_image, name) for name in names} == {name: defined(name) for name in names}


def test_every_field_lies_where_the_c_sources_look_for_it() -> None:
    text = (SOURCES / "slots" / "image.h").read_text()
    offsets = {name: int(at) for name, at in re.findall(r"EDGERT_HEADER_(\w+) = (\d+)", text)}
    header = slot_image.unsigned_header(IMAGE, BUILD_ID, "board")

    def number(name: str, kind: str = "<I") -> int:
        return int(struct.unpack_from(kind, header, offsets[name])[0])

    assert number("MAGIC") == slot_image.MAGIC
    assert (number("INTERFACE", "<H"), number("LENGTH", "<H")) == (slot_image.INTERFACE, slot_image.HEADER_BYTES)
    assert number("PAYLOAD_BYTES") == IMAGE.payload_bytes
    assert (number("ADDRESS"), number("ENTRY")) == (IMAGE.address, IMAGE.entry)
    assert (number("RAM_ORIGIN"), number("RAM_BYTES")) == (IMAGE.ram_origin, IMAGE.ram_bytes)
    assert header[offsets["BUILD_ID"] :][:16].hex() == BUILD_ID
    assert header[offsets["HASH"] :][:32].hex() == IMAGE.sha256
    assert header[offsets["TARGET"] :][:32] == b"board".ljust(32, b"\0")
    assert not any(header[offsets["FLAGS"] :])
    assert len(header) == offsets["SIGNATURE"] == slot_image.SIGNED_BYTES


def test_a_target_s_name_must_fit_the_header() -> None:
    with pytest.raises(ConfigError, match="has 33 bytes; a slot's header takes 32"):
        slot_image.unsigned_header(IMAGE, BUILD_ID, "x" * 33)


def test_a_payload_lies_between_header_and_marks() -> None:
    region = slot_image.payload_region(Region(origin=0x1000, length=4096))
    assert region == Region(origin=0x1100, length=4096 - 256 - slot_image.TRAILER_BYTES)


def answer(running: int, following: int, state: int = SlotState.CONFIRMED) -> bytes:
    head = struct.pack("<HBBIIIIII32s", 1, running, following, 8192, 7712, 4096, 8, 0x2020_0000, 4096, bytes(range(32)))
    slots = [struct.pack("<IIB16s", 0x2100_0000 + 0x2000 * i, 7 - i, state, bytes([i]) * 16) for i in range(2)]
    return head + b"".join(slots)


def test_the_answer_about_slots_is_read() -> None:
    info = slot_info.read(answer(running=1, following=0))
    assert info.running is not None
    assert info.next is not None
    assert (info.running.name, info.running.build_id, info.running.sequence) == ("b", "01" * 16, 6)
    assert (info.next.name, info.next.address, info.write_bytes) == ("a", 0x2100_0000, 8)
    assert info.key.raw == bytes(range(32))
    assert not info.on_trial


def test_no_slot_may_run_and_none_may_be_written() -> None:
    info = slot_info.read(answer(running=0xFF, following=0xFF))
    assert (info.running, info.next, info.on_trial) == (None, None, False)


def test_a_slot_that_was_tried_and_runs_is_on_trial() -> None:
    assert slot_info.read(answer(running=0, following=0xFF, state=SlotState.TRIED)).on_trial


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (answer(0, 1)[:-1], "has 109 bytes instead of 110"),
        (answer(2, 1), "names slot 2; there are 2"),
        (answer(0, 1, state=99), "slot a is in the unknown state 99"),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(payload: bytes, complaint: str) -> None:
    with pytest.raises(TransferError) as caught:
        slot_info.read(payload)
    assert complaint in caught.value.message
