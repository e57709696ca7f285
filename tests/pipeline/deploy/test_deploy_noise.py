"""The real runtime in a process, behind a line that damages what passes (tests/support/noisy_line.py).

Every run must end with the right bytes, or with an error of the tree, in time.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from noisy_line import CHANGES, NoisyLine, cut_after, flip_bits, once

from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import RUN_TIMEOUT_S, Device
from edgecompress.core.errors import EdgecompressError, UnreachableError

ToyBundle = Callable[..., Bundle]
SAMPLE = np.arange(-8, 8, dtype=np.int8)
RIGHT = [26, 10, 6, 22]


def device_on(line: NoisyLine) -> Device:
    return Device(line, targets.load("host"), clock=line.clock)


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
        line.to_host = cut_after(position)
        with device_on(line) as device, pytest.raises(EdgecompressError) as caught:
            device.install(bundle)
        assert isinstance(caught.value, UnreachableError)
        assert line.clock.now <= 1.1 * RUN_TIMEOUT_S
