"""A line that damages, loses, doubles and makes up bytes, in front of the real runtime in a process.

The clock is a fake one that only moves when the process sleeps and nothing comes: a lost frame costs the test no half
second, and a busy machine changes nothing. Every run must end with the right bytes, or with an error of the tree, in
time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import RUN_TIMEOUT_S, Device
from edgecompress.core.errors import EdgecompressError, UnreachableError
from edgecompress.core.values import Progress
from edgecompress.deploy._child import Child

ToyBundle = Callable[..., Bundle]
Damage = Callable[[bytes], bytes]
START_S = 5.0
QUIET_S = 0.002
SAMPLE = np.arange(-8, 8, dtype=np.int8)
RIGHT = [26, 10, 6, 22]


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

    def start(self, bundle: Bundle, progress: Progress) -> NoisyLine:
        self._child = Child([bundle.program], name="the program", stdout_is_stream=True)
        return self

    def accept(self) -> None:
        pass

    def close(self) -> None:
        if self._child is not None:
            self._child.close()

    def read(self, timeout_s: float) -> bytes:
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
        assert self._child is not None
        self._child.write(self.to_device(data), timeout_s)


def _sleeps(pid: int) -> bool:
    """True when the process waits for input (proc(5), state S): it has then written all that it had to say."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def device_on(line: NoisyLine) -> Device:
    return Device(line, targets.load("host"), clock=line.clock)


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


@pytest.mark.parametrize("rate", [1e-5, 1e-4, 3e-4])
def test_everything_ends_right_on_a_line_with_bit_errors(rate: float, toy_bundle: ToyBundle) -> None:
    bundle = toy_bundle("host")
    source = random.Random(7)
    line = NoisyLine()
    line.to_device = line.to_host = flip_bits(source, rate)
    with device_on(line) as device:
        device.install(bundle)
        for _ in range(50):
            run = device.run({"signal": SAMPLE}, repeat=40)
            assert (run.outputs["sums"].tolist(), len(run.ticks)) == (RIGHT, 40)


def test_a_line_that_damages_nearly_every_frame_ends_in_a_clean_error(toy_bundle: ToyBundle) -> None:
    line = NoisyLine()
    line.to_device = line.to_host = flip_bits(random.Random(3), 2e-2)
    with device_on(line) as device, pytest.raises(UnreachableError) as caught:
        device.install(toy_bundle("host"))
    assert caught.value.exit_code == 7
    assert line.clock.now <= 11


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", ["to_device", "to_host"])
def test_one_damaged_byte_anywhere_in_a_transfer_changes_nothing(way: str, change: str, toy_bundle: ToyBundle) -> None:
    line = NoisyLine()
    with device_on(line) as device:
        device.install(toy_bundle("host"))
        length = _bytes_of_one_run(device, line, way)
        for position in range(length):
            setattr(line, way, once(position, CHANGES[change]))
            run = device.run({"signal": SAMPLE}, repeat=2)
            assert (run.outputs["sums"].tolist(), len(run.ticks)) == (RIGHT, 2), position


def _bytes_of_one_run(device: Device, line: NoisyLine, way: str) -> int:
    passed = 0

    def count(data: bytes) -> bytes:
        nonlocal passed
        passed += len(data)
        return data

    setattr(line, way, count)
    device.run({"signal": SAMPLE}, repeat=2)
    setattr(line, way, bytes)
    return passed


def test_a_line_that_is_cut_at_any_byte_ends_in_a_clean_error(toy_bundle: ToyBundle) -> None:
    bundle = toy_bundle("host")
    for position in range(0, 400, 13):
        line = NoisyLine()
        line.to_host = _cut_after(position)
        with device_on(line) as device, pytest.raises(EdgecompressError) as caught:
            device.install(bundle)
        assert isinstance(caught.value, UnreachableError)
        assert line.clock.now <= 1.1 * RUN_TIMEOUT_S


def _cut_after(position: int) -> Damage:
    left = position

    def damage(data: bytes) -> bytes:
        nonlocal left
        kept = data[: max(left, 0)]
        left -= len(data)
        return kept

    return damage
