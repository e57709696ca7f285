"""A5: whole sessions with QEMU, over a line with bit errors, drops and doubles, in real time."""

from __future__ import annotations

import random
import struct
import time

from benchmarks.campaign._outcome import Outcome
from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import ByteStream
from edgecompress.core.errors import EdgecompressError
from edgecompress.core.session import Session
from edgecompress.core.values import no_progress
from edgecompress.core.wire import Command
from edgecompress.deploy.qemu import QemuLink
from tests.support.noisy_line import flip_bits
from tests.support.toy_bundles import WIDTH

PROMISED_RATE = 1e-5
"""Up to this bit error rate sessions end right; beyond it they end right or with a clean error."""

LOST = 2e-5
"""The chance of a byte to be lost, and of one to be doubled."""

ALLOWED = 0.001
PATIENCE_S = 90.0


class FaultyStream:
    """A stream whose bytes are flipped, lost and doubled, both ways."""

    def __init__(self, stream: ByteStream, draw: random.Random, rate: float) -> None:
        self._stream = stream
        self._draw = draw
        self._flip = flip_bits(draw, rate)

    def read(self, timeout_s: float) -> bytes:
        """Read, damaged."""
        return self._damage(self._stream.read(timeout_s))

    def write(self, data: bytes, timeout_s: float) -> None:
        """Write, damaged."""
        self._stream.write(self._damage(data), timeout_s)

    def _damage(self, data: bytes) -> bytes:
        if self._draw.random() < 2 * LOST * len(data):
            at = self._draw.randrange(len(data))
            data = data[:at] + data[at : at + 1] * self._draw.choice((0, 2)) + data[at + 1 :]
        return self._flip(data)


def run(bundle: Bundle, count: int, rate: float) -> Outcome:
    """Greet, write, run and read back `count` times; say how many were right, and how many ended undefined."""
    emulator = targets.load("mps2-an386").emulator
    assert emulator is not None
    link = QemuLink(emulator, ())
    draw = random.Random(5)
    stream = FaultyStream(link.start(bundle, no_progress), draw, rate)
    session = Session(stream, "mps2-an386")
    right = errors = undefined = 0
    slowest = 0.0
    try:
        for _ in range(count):
            begin = time.monotonic()
            try:
                outcome = _session(session, draw)
            except EdgecompressError:
                errors += 1
                continue
            finally:
                slowest = max(slowest, time.monotonic() - begin)
            right += outcome
            undefined += not outcome
    finally:
        link.close()
    too_many = rate <= PROMISED_RATE and errors > ALLOWED * count
    missed = undefined + (errors if too_many else 0) + (slowest > PATIENCE_S)
    return Outcome(
        name=f"A5 sessions with QEMU, bit error rate {rate:g}",
        cases=count,
        violations=missed,
        detail=f"{right:,} right ({right / count:.2%}), {errors} clean errors, slowest {slowest:.1f} s",
    )


def _session(session: Session, draw: random.Random) -> bool:
    session.greet()
    values = draw.randbytes(WIDTH)
    session.ask(Command.WRITE_INPUT, struct.pack("<II", 0, 0) + values)
    session.ask(Command.RUN, struct.pack("<I", 1))
    got = session.ask(Command.READ_OUTPUT, struct.pack("<III", 0, 0, 4))
    magnitudes = [min(abs(value), 127) for value in struct.unpack(f"{WIDTH}b", values)]
    sums = [min(sum(magnitudes[at : at + WIDTH // 4]), 127) for at in range(0, WIDTH, WIDTH // 4)]
    return got == bytes(sums)
