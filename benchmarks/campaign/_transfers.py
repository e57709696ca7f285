"""A3 and A4: one fault at every place of a transfer of 4 KiB to the device and back.

The runtime is a process on this machine behind a line with a simulated clock (tests/support/noisy_line.py): a lost
frame costs none of the real half second, so that every place can be tried.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.campaign._outcome import Outcome
from edgecompress.core.bundle import Bundle
from edgecompress.core.errors import EdgecompressError, UnreachableError
from edgecompress.core.session import ANSWER_TIMEOUT_S, HELLO_TIMEOUT_S, Session
from edgecompress.core.values import no_progress
from edgecompress.core.wire import Command
from tests.support.noisy_line import CHANGES, Damage, NoisyLine, once

BYTES = 4096
CHUNK = 240
CHANGE = 0x5A
RUN_TIMEOUT_S = 120.0
LATE = 1.1
"""How far beyond its deadline a call may end."""

STALLS = (0.0, 0.5, 1.0, 2.0)
"""Of the deadline."""


def transfer(session: Session, data: bytes) -> bool:
    """Send the bytes, run, and read the changed ones back; True when all are right."""
    for at in range(0, BYTES, CHUNK):
        session.ask(Command.WRITE_INPUT, struct.pack("<II", 0, at) + data[at : at + CHUNK])
    session.ask(Command.RUN, struct.pack("<I", 1), timeout_s=RUN_TIMEOUT_S)
    got = b"".join(
        session.ask(Command.READ_OUTPUT, struct.pack("<III", 0, at, min(CHUNK, BYTES - at)))
        for at in range(0, BYTES, CHUNK)
    )
    return got == bytes(byte ^ CHANGE for byte in data)


class Bench:
    """A line with the echoing network behind it, in a session."""

    def __init__(self, bundle: Bundle) -> None:
        self.line = NoisyLine()
        self._stream = self.line.start(bundle, no_progress)
        self.session = Session(self._stream, "the echoing program", clock=self.line.clock)
        self.session.greet()
        self.draw = random.Random(3)
        self.errors = 0

    def try_transfer(self) -> bool:
        """One transfer of new bytes; an error of the tree is a clean end too. Restores the session after one."""
        try:
            return transfer(self.session, self.draw.randbytes(BYTES))
        except EdgecompressError:
            self.errors += 1
            self.line.to_device = self.line.to_host = bytes
            self.session.greet()
            return True

    def passed(self, way: str) -> int:
        """Count the bytes of one transfer in one direction."""
        counted = 0

        def count(data: bytes) -> bytes:
            nonlocal counted
            counted += len(data)
            return data

        setattr(self.line, way, count)
        transfer(self.session, self.draw.randbytes(BYTES))
        setattr(self.line, way, bytes)
        return counted

    def close(self) -> None:
        """End the program."""
        self.line.close()


def every_byte(bundle: Bundle, step: int) -> Iterator[Outcome]:
    """A3: drop, double, flip and insert at every `step`-th byte of the transfer, both ways."""
    bench = Bench(bundle)
    try:
        for way in ("to_device", "to_host"):
            length = bench.passed(way)
            for name, change in CHANGES.items():
                places = range(0, length, step)
                wrong = [place for place in places if not _with(bench, way, once(place, change))]
                yield Outcome(
                    name=f"A3 one byte {name}, {way.replace('_', ' ')}",
                    cases=len(places),
                    violations=len(wrong),
                    detail=f"of {length:,} bytes; {bench.errors} clean errors so far, wrong at {wrong[:3]}",
                )
    finally:
        bench.close()


def _with(bench: Bench, way: str, damage: Damage) -> bool:
    setattr(bench.line, way, damage)
    right = bench.try_transfer()
    setattr(bench.line, way, bytes)
    return right


def splits(bundle: Bundle) -> Iterator[Outcome]:
    """A4: bytes arrive one by one, and all that is there at once."""
    for name, piece in (("one by one", 1), ("in sevens", 7)):
        bench = Bench(bundle)
        bench.line.cut_reads(piece)
        rights = [bench.try_transfer() for _ in range(20)]
        yield Outcome(
            name=f"A4 bytes arrive {name}", cases=20, violations=rights.count(False), detail="transfers of 4 KiB"
        )
        bench.close()


def stalls(bundle: Bundle, step: int) -> Outcome:
    """A4: the device's answer to each request is held back for 0 to 2 times the deadline. No call may end too late."""
    cases = late = 0
    for stall in STALLS:
        for answer in range(0, 2 * (BYTES // CHUNK) + 1, step):
            bench = Bench(bundle)
            bench.line.hold_answer(answer, stall * ANSWER_TIMEOUT_S)
            cases += 1
            late += not _ends_in_time(bench, partial(transfer, bench.session, bytes(BYTES)))
            bench.close()
    return Outcome(
        name="A4 answers held back", cases=cases, violations=late, detail=f"0 to {STALLS[-1]:g} times the deadline"
    )


def vanishing(bundle: Bundle, step: int) -> Outcome:
    """A4: the port vanishes at each frame, and is there again for the next session."""
    cases = wrong = 0
    for frame in range(0, 2 * (BYTES // CHUNK) + 1, step):
        bench = Bench(bundle)
        bench.line.vanish_after(frame)
        cases += 1
        try:
            transfer(bench.session, bytes(BYTES))
            wrong += 1
        except UnreachableError:
            bench.line.come_back()
            bench.session.greet()
            wrong += not transfer(bench.session, bench.draw.randbytes(BYTES))
        bench.close()
    return Outcome(name="A4 the port vanishes and returns", cases=cases, violations=wrong, detail="at each frame")


def _ends_in_time(bench: Bench, work: Callable[[], bool]) -> bool:
    """True when every request of a transfer ends within its deadline, and right or with an error."""
    asked = bench.session.ask
    longest = 0.0

    def timed(command: Command, payload: bytes = b"", *, timeout_s: float = ANSWER_TIMEOUT_S) -> bytes:
        nonlocal longest
        begin = bench.line.clock.now
        try:
            return asked(command, payload, timeout_s=timeout_s)
        finally:
            longest = max(longest, (bench.line.clock.now - begin) / timeout_s)

    bench.session.ask = timed  # type: ignore[method-assign]
    try:
        return work() and longest <= LATE
    except EdgecompressError:
        return longest <= LATE


def garbage(bundle: Bundle) -> Iterator[Outcome]:
    """A6: what is no device is recognised within 3 s, and what becomes one is waited for."""
    draw = random.Random(6)
    noises: dict[str, tuple[Callable[[], bytes], bool]] = {
        "boot messages, then the device": (lambda: b"[    0.0] booting\r\n", True),
        "log text between frames": (lambda: b"I (123) wifi: ok\n", True),
        "another program's text for ever": (lambda: b"hello world 42\r\n", False),
        "another baud rate": (lambda: draw.randbytes(40), False),
    }
    for name, (noise, ends) in noises.items():
        bench = Bench(bundle)
        bench.line.make_noise(noise, for_ever=not ends)
        begin = bench.line.clock.now
        try:
            bench.session.greet(HELLO_TIMEOUT_S)
            right = ends
        except UnreachableError as error:
            right = not ends and "no frame" in error.message and bool(error.hint)
        seconds = bench.line.clock.now - begin
        yield Outcome(
            name=f"A6 {name}", cases=1, violations=int(not right or seconds > 3.0), detail=f"after {seconds:.1f} s"
        )
        bench.close()
