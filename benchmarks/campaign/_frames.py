"""A1 and A2: damaged frames into both parsers, the device's in C (under sanitizers) and the host's in Python."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from benchmarks.campaign._outcome import Outcome
from edgecompress.core import tools, wire
from edgecompress.core.wire import Frame

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "device_runtime" / "src"
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
BATCH = 20_000
TIMEOUT_S = 600.0
RATES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
RESIDUAL = 2.0**-32
"""The chance that a damaged frame passes its CRC-32."""

SENTINEL = Frame(command=0x7F, sequence=0xFFFF, payload=b"still listening")


def build_parser(folder: Path) -> Path:
    """Compile the device's parser: frames on stdin, the undamaged ones anew on stdout."""
    program = folder / "reframe"
    sources = [ROOT / "tests" / "runtime" / "reframe.c", SOURCES / "frame.c"]
    tools.run(["gcc", "-std=c11", "-O1", *SANITIZE, f"-I{SOURCES}", *sources, "-o", program], timeout_s=TIMEOUT_S)
    return program


def mutated(count: int, parser: Path) -> Outcome:
    """A1: random changes to random frames. Only frames that were sent may be taken; both parsers must agree."""
    draw = random.Random(1)
    accepted = disagreements = 0
    for start in range(0, count, BATCH):
        sent = [_frame(draw) for _ in range(min(BATCH, count - start))]
        stream = b"".join(_mutate(draw, wire.encode(frame)) for frame in sent) + b"\0" + wire.encode(SENTINEL)
        taken = _take(stream, draw)
        known = {_key(frame) for frame in (*sent, SENTINEL)}
        accepted += sum(_key(frame) not in known for frame in taken)
        accepted += taken[-1:] != [SENTINEL]
        disagreements += _by_c(parser, stream) != b"".join(map(wire.encode, taken))
    return Outcome(
        name="A1 mutated frames into both parsers",
        cases=count,
        violations=accepted + disagreements,
        detail=f"{accepted} bad frames accepted, {disagreements} disagreements; C under sanitizers",
    )


def bit_errors(count: int, parser: Path) -> Iterator[Outcome]:
    """A2: every bit flips with a fixed chance. States how many damaged frames would be expected to pass."""
    for rate in RATES:
        draw = random.Random(2)
        damaged = undetected = lost = disagreements = 0
        for start in range(0, count, BATCH):
            sent = [_frame(draw) for _ in range(min(BATCH, count - start))]
            parts = [_flip(draw, wire.encode(frame), rate) for frame in sent]
            damaged += sum(part != wire.encode(frame) for part, frame in zip(parts, sent, strict=True))
            stream = b"".join(parts)
            taken = _take(stream, draw)
            known = {_key(frame) for frame in sent}
            undetected += sum(_key(frame) not in known for frame in taken)
            lost += len(sent) - len(taken)
            disagreements += _by_c(parser, stream) != b"".join(map(wire.encode, taken))
        yield Outcome(
            name=f"A2 bit error rate {rate:g}",
            cases=count,
            violations=undetected + disagreements,
            detail=f"{damaged:,} damaged, {lost:,} lost, {undetected} undetected (expected {damaged * RESIDUAL:.1e})",
        )


def _frame(draw: random.Random) -> Frame:
    length = draw.choice((0, 1, 4, 12, 253, 254, 255, 256, draw.randrange(257)))
    zeros = draw.random() < 0.3
    payload = bytes(length) if zeros else draw.randbytes(length)
    return Frame(
        command=draw.randrange(256), sequence=draw.randrange(65536), status=draw.randrange(256), payload=payload
    )


def _key(frame: Frame) -> tuple[int, int, int, bytes]:
    return frame.command, frame.status, frame.sequence, frame.payload


def _mutate(draw: random.Random, data: bytes) -> bytes:
    """One to four changes: a flipped bit, a byte lost, doubled, made up or replaced, an end cut off, a part twice."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(changed) + 1)
        kind = draw.randrange(7)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del changed[at : at + 1]
        elif kind == 2:
            changed[at:at] = changed[at : at + 1]
        elif kind == 3:
            changed[at:at] = bytes([draw.randrange(256)])
        elif kind == 4 and at < len(changed):
            changed[at] = draw.randrange(256)
        elif kind == 5:
            del changed[at:]
        else:
            changed[at:at] = changed[at : at + draw.randrange(20)]
    return bytes(changed)


def _flip(draw: random.Random, data: bytes, rate: float) -> bytes:
    """Flip every bit with a chance of `rate`: the gaps between flips are geometric."""
    changed = bytearray(data)
    at = int(draw.expovariate(rate))
    while at < 8 * len(changed):
        changed[at // 8] ^= 1 << at % 8
        at += 1 + int(draw.expovariate(rate))
    return bytes(changed)


def _take(stream: bytes, draw: random.Random) -> list[Frame]:
    """What the host's parser takes of a stream that arrives in pieces of any length."""
    reader, taken, at = wire.Reader(), [], 0
    while at < len(stream):
        piece = draw.choice((1, 7, 300, 5000))
        taken += reader.take(stream[at : at + piece])
        at += piece
    return taken


def _by_c(parser: Path, stream: bytes) -> bytes:
    return tools.run([parser], timeout_s=TIMEOUT_S, stdin=stream)
