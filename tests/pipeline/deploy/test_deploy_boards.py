"""Every shipped target that needs no board runs the toy network and says so in the protocol."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgecompress.core import plugins, tools
from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device

ToyBundle = Callable[..., Bundle]
HERE = [name for name in targets.names() if targets.load(name).link not in ("serial", "ssh")]
EMULATED = [name for name in targets.names() if targets.load(name).emulator]
SPIN_TURNS = dict.fromkeys(EMULATED, 17000000) | {
    "microbit": 540_000_000,
    "mps2-an386": 340_000_000,
    "mps3-an547": 340_000_000,
    "stm32vldiscovery": 450_000_000,
}
"""Turns of a loop of two instructions; for one board of each kind of clock more than 2**24 ticks."""


def connect(target_name: str, **arguments: object) -> Device:
    target = targets.load(target_name)
    device = plugins.find("deploy", target.link, where=target_name).connect(target, **arguments)
    assert isinstance(device, Device)
    return device


@pytest.mark.parametrize("name", HERE)
def test_a_target_reproduces_the_vectors_and_tells_what_it_is(name: str, toy_bundle: ToyBundle) -> None:
    bundle = toy_bundle(name)
    told: list[tuple[str, int, int]] = []
    with connect(name) as device:
        device.install(bundle, lambda *step: told.append(step))
        info = device.describe()
        stats = device.read_stats()
        fault = device.read_fault()
    assert (info.build_id, info.target, info.layers) == (bundle.manifest.build_id, name, 2)
    assert (info.inputs, info.outputs) == (bundle.manifest.inputs, bundle.manifest.outputs)
    assert told == [("verify", done, 8) for done in range(9)]
    assert stats.arena_bytes == 36
    assert stats.stack_bytes is not None
    assert (stats.resident_bytes is None) == (name != "host")
    assert fault is None


@pytest.mark.parametrize("name", HERE)
def test_repeats_come_back_one_by_one_and_the_layers_add_up(name: str, toy_bundle: ToyBundle) -> None:
    bundle = toy_bundle(name, TOY_SPIN=100_000)
    sample = {"signal": np.arange(-8, 8, dtype=np.int8)}
    with connect(name) as device:
        device.install(bundle)
        run = device.run(sample, repeat=70)
        layers = device.profile(sample, repeat=3)
    assert run.outputs["sums"].tolist() == [26, 10, 6, 22]
    assert len(run.ticks) == 70
    assert [len(ticks) for ticks in layers] == [3, 3]
    assert min(layers[1]) > min(layers[0])
    if name != "host":
        assert max(run.ticks) - min(run.ticks) <= 1
        assert abs(layers[0][0] + layers[1][0] - run.ticks[0]) <= 5


@pytest.mark.parametrize("name", EMULATED)
def test_ticks_count_instructions(name: str, toy_bundle: ToyBundle) -> None:
    bundle = toy_bundle(name, TOY_SPIN=SPIN_TURNS[name])
    emulator = targets.load(name).emulator
    assert emulator is not None
    bundle = Bundle(folder=bundle.folder, manifest=_one_vector(bundle))
    with connect(name) as device:
        device.install(bundle)
        ticks = device.run({"signal": np.zeros(16, np.int8)}).ticks[0]
    assert ticks > 2**24 or SPIN_TURNS[name] < 340_000_000
    assert ticks * emulator.instructions_per_tick == pytest.approx(2 * SPIN_TURNS[name], rel=2e-5)


@pytest.mark.parametrize("name", EMULATED)
def test_two_functions_stand_around_every_timed_inference(name: str, toy_bundle: ToyBundle, tmp_path: Path) -> None:
    """Shown by the emulator's own trace of the two functions: what an outside tool would count between."""
    bundle = toy_bundle(name)
    symbols = tools.run(["arm-none-eabi-nm", bundle.program], timeout_s=10).decode()
    addresses = dict(re.findall(r"^([0-9a-f]{8}) T (edgert_window_(?:open|close))$", symbols, re.MULTILINE))
    assert sorted(addresses.values()) == ["edgert_window_close", "edgert_window_open"]
    trace = tmp_path / "trace.txt"
    ranges = ",".join(f"0x{address}+0x2" for address in addresses)
    with connect(name, emulator_args=("-d", "exec,nochain", "-dfilter", ranges, "-D", str(trace))) as device:
        device.install(bundle)
        device.profile({"signal": np.zeros(16, np.int8)})
        device.run({"signal": np.zeros(16, np.int8)}, repeat=5)
    passed = re.findall(r"edgert_window_(open|close)", trace.read_text())
    assert passed == ["open", "close"] * (bundle.manifest.vectors.count + 5)


def _one_vector(bundle: Bundle) -> object:
    vectors = bundle.manifest.vectors.model_copy(update={"count": 1})
    return bundle.manifest.model_copy(update={"vectors": vectors})
