"""Frames in Python; and the numbers that the C header holds too."""

from __future__ import annotations

import enum
import random
import re
from pathlib import Path

import pytest

from edgecompress.core import wire
from edgecompress.core.wire import Command, FaultKind, Frame, Reader, SlotState, Statistic, Status

ROOT = Path(__file__).parents[3]
HEADER = (ROOT / "device_runtime" / "src" / "protocol.h").read_text()
DOCUMENT = (ROOT / "docs" / "protocol.md").read_text()
PAYLOADS = [
    b"",
    b"\0",
    b"\0\0\0",
    b"abc",
    bytes(256),
    bytes([1]) * 256,
    bytes(range(256)),
    b"\xff" * 254,
    bytes([1]) * 65535,
]


def frames_of(data: bytes) -> list[Frame]:
    return Reader().take(data)


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        (Command, "COMMANDS"),
        (Status, "STATUSES"),
        (Statistic, "STATISTICS"),
        (FaultKind, "FAULT_KINDS"),
        (SlotState, "SLOT_STATES"),
    ],
)
def test_the_enums_are_those_of_the_c_header(kind: type[enum.IntEnum], table: str) -> None:
    rows = re.search(rf"#define EDGERT_{table}\(X\)((?: *\\\n *X\(.*\))+)", HEADER)
    assert rows is not None
    pairs = re.findall(r"X\((\w+), (\d+)\)", rows[1])
    assert {name: int(number) for name, number in pairs} == {member.name: member.value for member in kind}


@pytest.mark.parametrize(
    ("kind", "heading"),
    [
        (Command, "command"),
        (Status, "status"),
        (Statistic, "statistic"),
        (FaultKind, "kind"),
        (SlotState, "slot state"),
    ],
)
def test_the_enums_are_those_of_the_document(kind: type[enum.IntEnum], heading: str) -> None:
    _, _, table = DOCUMENT.partition(f"| number | {heading} |")
    rows = re.findall(r"^\| (\d+) \| (\w+) \|", table.partition("\n\n")[0], re.MULTILINE)
    assert {name: int(number) for number, name in rows} == {member.name: member.value for member in kind}


def test_the_example_of_the_document_is_what_is_sent() -> None:
    frame = Frame(command=Command.RUN, sequence=0x0201, payload=b"\x05\0\0\0")
    assert f"    {wire.encode(frame).hex(' ')}        on the wire" in DOCUMENT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROTOCOL_VERSION", wire.PROTOCOL_VERSION),
        ("LEAST_PAYLOAD", wire.LEAST_PAYLOAD),
        ("ANSWER_BIT", wire.ANSWER_BIT),
        ("NO_LAYER", wire.NO_LAYER),
    ],
)
def test_the_limits_are_those_of_the_c_header(name: str, value: int) -> None:
    found = re.search(rf"#define EDGERT_{name} (\w+)u\n", HEADER)
    assert found is not None
    assert int(found[1], 0) == value


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_frame_comes_back(payload: bytes) -> None:
    frame = Frame(command=Command.RUN | wire.ANSWER_BIT, sequence=65535, payload=payload, status=3)
    assert frames_of(wire.encode(frame)) == [frame]


def test_a_payload_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="a payload of 65536 bytes does not fit a frame of 65535"):
        wire.encode(Frame(command=1, sequence=1, payload=bytes(65536)))


def test_frames_arrive_whole_however_the_stream_is_cut() -> None:
    sent = [Frame(command=i + 1, sequence=i, payload=payload) for i, payload in enumerate(PAYLOADS)]
    data = b"".join(map(wire.encode, sent))
    for size in (1, 2, 3, 7, 255, 1000):
        reader = Reader()
        got = [frame for at in range(0, len(data), size) for frame in reader.take(data[at : at + size])]
        assert got == sent
        assert reader.noise_bytes == 0


def test_noise_and_log_text_between_frames_are_counted_and_dropped() -> None:
    frame = Frame(command=1, sequence=1)
    reader = Reader()
    data = b"booting...\r\n" + wire.encode(frame) + b"I (12) log: 3.3 V\n" + wire.encode(frame)
    assert reader.take(data) == [frame, frame]
    assert reader.noise_bytes == len(b"booting...\r\n") + len(b"I (12) log: 3.3 V\n")


def test_a_stream_without_delimiters_takes_no_memory() -> None:
    reader = Reader()
    for _ in range(100):
        assert reader.take(b"x" * 1000) == []
    assert reader.pending == wire.LONGEST_BLOCK
    assert reader.noise_bytes + reader.pending == 100_000


def test_every_flipped_bit_and_every_lost_or_doubled_byte_is_noticed() -> None:
    data = wire.encode(Frame(command=4, sequence=9, payload=b"\x01\0\x02\xff\0\0\x03"))
    for at in range(1, len(data) - 1):
        damaged = [data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :] for bit in range(8)]
        damaged += [data[:at] + data[at + 1 :], data[:at] + data[at : at + 1] + data[at:]]
        assert [frames_of(bytes_) for bytes_ in damaged] == [[]] * 10


def test_random_bytes_are_never_a_frame() -> None:
    source = random.Random(1)
    reader = Reader()
    assert all(reader.take(source.randbytes(300)) == [] for _ in range(2000))
