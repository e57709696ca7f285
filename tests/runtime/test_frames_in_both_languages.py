"""The C code takes Python's frames and makes the same bytes of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from edgecompress.core import tools, wire
from edgecompress.core.wire import Frame

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "device_runtime" / "src"
FRAMES = 5000
LONGEST = 40_000
LONG_ONES = 100


@pytest.fixture(scope="module")
def reframe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("reframe") / "reframe"
    flags = ["-std=c11", "-O1", "-fsanitize=address,undefined", f"-I{SOURCES}", f"-DEDGERT_MAX_PAYLOAD={LONGEST}u"]
    tools.run(["gcc", *flags, HERE / "reframe.c", SOURCES / "frame.c", "-o", program], timeout_s=60)
    return program


def random_frame(source: random.Random) -> Frame:
    length = source.choice([0, 1, 12, 253, 254, 255, 256, source.randrange(257)])
    alphabet = source.choice([b"\0", b"\0\1", bytes(range(256))])
    return Frame(
        command=source.randrange(256),
        sequence=source.randrange(65536),
        status=source.randrange(256),
        payload=bytes(source.choices(alphabet, k=length)),
    )


def test_both_languages_make_the_same_bytes(reframe: Path) -> None:
    source = random.Random(0)
    data = b"".join(wire.encode(random_frame(source)) for _ in range(FRAMES))
    assert tools.run([reframe], timeout_s=60, stdin=data) == data


def test_both_languages_make_the_same_bytes_of_long_frames(reframe: Path) -> None:
    source = random.Random(2)
    lengths = [254 * n + more for n in (2, 3, 100) for more in (-11, -10, -9)] + [LONGEST]
    lengths += [source.randrange(LONGEST + 1) for _ in range(LONG_ONES)]
    frames = [Frame(command=1, sequence=n, payload=source.randbytes(length)) for n, length in enumerate(lengths)]
    data = b"".join(map(wire.encode, frames))
    assert tools.run([reframe], timeout_s=60, stdin=data) == data
    assert wire.Reader().take(data) == frames


def test_a_frame_that_is_longer_than_a_port_takes_is_dropped(reframe: Path) -> None:
    data = wire.encode(Frame(command=1, sequence=1, payload=bytes(LONGEST + 1)))
    short = wire.encode(Frame(command=1, sequence=2))
    assert tools.run([reframe], timeout_s=60, stdin=data + short) == short


def test_both_languages_take_the_same_frames_out_of_a_damaged_stream(reframe: Path) -> None:
    source = random.Random(1)
    data = bytearray(b"".join(wire.encode(random_frame(source)) for _ in range(FRAMES)))
    for _ in range(FRAMES):
        data[source.randrange(len(data))] = source.randrange(256)
    kept = wire.Reader().take(bytes(data))
    assert 0 < len(kept) < FRAMES
    assert wire.Reader().take(tools.run([reframe], timeout_s=60, stdin=bytes(data))) == kept
