"""A line that damages, loses, doubles and makes up bytes, in front of the real runtime in a process.

The clock is a fake one that only moves when the process sleeps and nothing comes: a lost frame costs no half second,
and a busy machine changes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from edgecompress.core.bundle import Bundle
from edgecompress.core.errors import UnreachableError
from edgecompress.core.values import Progress
from edgecompress.deploy._child import Child

Damage = Callable[[bytes], bytes]
START_S = 5.0
QUIET_S = 0.002
NOISE_EVERY_S = 0.01


class Clock:
    """Seconds, moved by the line."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class NoisyLine:
    """A Link and its ByteStream: the bundle's program behind a line that damages what passes, each way its own."""

    description = "a noisy line"
    emulated = False
    instructions_per_tick = None
    board = None

    def __init__(self) -> None:
        self.clock = Clock()
        self.to_device: Damage = bytes
        self.to_host: Damage = bytes
        self._child: Child | None = None
        self._heard = False
        self._piece: int | None = None
        self._left = b""
        self._answers = 0
        self._held: tuple[int, float] | None = None
        self._frames_left: int | None = None
        self._noise: Callable[[], bytes] | None = None
        self._noise_for_ever = False

    def cut_reads(self, piece: int) -> None:
        """Hand out at most so many bytes at once."""
        self._piece = piece

    def hold_answer(self, number: int, seconds: float) -> None:
        """Keep what the device says to the request of this number, from 0 on, for so long."""
        self._answers, self._held = 0, (number, seconds)

    def vanish_after(self, frames: int) -> None:
        """Be gone once so many requests were written."""
        self._frames_left = frames

    def come_back(self) -> None:
        """Be there again."""
        self._frames_left = None

    def make_noise(self, noise: Callable[[], bytes], *, for_ever: bool) -> None:
        """Put bytes before what the device says; or drop what it says, and go on with them for ever."""
        self._noise, self._noise_for_ever = noise, for_ever

    def start(self, bundle: Bundle, progress: Progress) -> NoisyLine:
        self._child = Child([bundle.program], name="the program", stdout_is_stream=True)
        return self

    def accept(self) -> None:
        pass

    def close(self) -> None:
        if self._child is not None:
            self._child.close()

    def read(self, timeout_s: float) -> bytes:
        if self._left:
            data, self._left = self._left[: self._piece], self._left[self._piece or 0 :]
            return data
        data = self._noisy(self._read(timeout_s), timeout_s)
        if self._piece is None:
            return data
        self._left = data[self._piece :]
        return data[: self._piece]

    def _noisy(self, data: bytes, timeout_s: float) -> bytes:
        if self._noise is None:
            return data
        if self._noise_for_ever:
            self.clock.now += min(timeout_s, NOISE_EVERY_S)
            return self._noise()
        return self._noise() + data if data else data

    def _read(self, timeout_s: float) -> bytes:
        if self._held is not None and self._answers == self._held[0] + 1:
            waited = min(timeout_s, self._held[1])
            self.clock.now += waited
            self._held = (self._held[0], self._held[1] - waited) if self._held[1] > waited else None
            return b""
        assert self._child is not None
        data = self._child.read(QUIET_S if self._heard else START_S)
        while not data:
            idle = _sleeps(self._child.pid)
            data = self._child.read(QUIET_S)
            if idle:
                break
        self._heard = True
        self.clock.now += 0.0 if data else timeout_s
        return self.to_host(data)

    def write(self, data: bytes, timeout_s: float) -> None:
        if self._frames_left is not None:
            if self._frames_left == 0:
                raise UnreachableError(f"{self.description} is gone")
            self._frames_left -= 1
        self._answers += 1
        assert self._child is not None
        self._child.write(self.to_device(data), timeout_s)


def _sleeps(pid: int) -> bool:
    """True when the process waits for input (proc(5), state S): it has then written all that it had to say."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def flip_bits(source: random.Random, rate: float) -> Damage:
    def damage(data: bytes) -> bytes:
        damaged = bytearray(data)
        for at in range(len(damaged)):
            for bit in range(8):
                damaged[at] ^= (source.random() < rate) << bit
        return bytes(damaged)

    return damage


def once(position: int, change: Callable[[bytes], bytes]) -> Damage:
    """Change the byte at `position` of all that passes, and no other."""
    passed = 0

    def damage(data: bytes) -> bytes:
        nonlocal passed
        at = position - passed
        passed += len(data)
        return data if not 0 <= at < len(data) else data[:at] + change(data[at : at + 1]) + data[at + 1 :]

    return damage


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "dropped": lambda _: b"",
    "doubled": lambda byte: byte + byte,
    "flipped": lambda byte: bytes([byte[0] ^ 0x10]),
    "followed by a zero": lambda byte: byte + b"\0",
}


def cut_after(position: int) -> Damage:
    left = position

    def damage(data: bytes) -> bytes:
        nonlocal left
        kept = data[: max(left, 0)]
        left -= len(data)
        return kept

    return damage
