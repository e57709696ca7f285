"""Early exits as C: the branch of ONNX Runtime is taken, nothing that it does not need is run, every core agrees."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Literal

import exit_networks
import linux_cores
import numpy as np
import onnxruntime
import pytest
from poisoned_arena import build, poison_source, spread

from edgecompress import compile as compiler
from edgecompress.compile import graph, lowering
from edgecompress.compress import static_int8
from edgecompress.core import target as targets
from edgecompress.core.bundle import EARLY_EXIT, LATE_EXIT, Bundle, run_host_program
from edgecompress.core.device import Device
from edgecompress.core.values import Array, Context, Data, Evidence, Model, Optimize, Samples
from edgecompress.deploy import qemu
from edgecompress.measure import _exits, _outputs, latency

IMAGES = exit_networks.images(200)
THRESHOLDS = (0.7, 0.5)
Precision = Literal["float32", "int8"]


def network(folder: Path, precision: Precision, thresholds: tuple[float, ...] = THRESHOLDS) -> Model:
    real = exit_networks.convolutions(folder / "exits.onnx", thresholds)
    if precision == "float32":
        return real
    samples = Samples(inputs={"x": IMAGES})
    return static_int8.apply(real, {}, Context(data=Data(calibration=samples, evaluation=samples)))


def run(
    model: Model, folder: Path, inputs: Array, optimize: Optimize = "balanced", target: str = "mps2-an386"
) -> Array:
    """The bytes of the generated C on this machine: as planned, and with every tensor apart and poison between."""
    lowered = lowering.lower_and_plan(graph.to_program(model, targets.load(target), optimize))
    apart = spread(lowered.arena)
    poison = poison_source(apart) if model.is_quantized else ""  # the sanitizers take minutes for float kernels
    folder.mkdir(exist_ok=True)
    programs = [
        build(folder / "planned", lowered, lowered.arena, "", sanitize=False),
        build(folder / "apart", lowered, apart, poison, sanitize=model.is_quantized),
    ]
    found = [run_host_program(each, model.inputs, model.outputs, {"x": inputs})["y"] for each in programs]
    np.testing.assert_array_equal(*found)
    return found[0]


def onnxruntime_values(model: Model, inputs: Array) -> Array:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.graph.SerializeToString(), options)
    return np.concatenate([session.run(None, {"x": inputs[i : i + 1]})[0] for i in range(len(inputs))])


@pytest.mark.parametrize(("scale", "threshold"), [(0.02, 96 / 256), (0.1, 127.5 / 256), (0.2, 0.5)])
def test_int8_scores_leave_exactly_where_onnxruntime_leaves(scale: float, threshold: float, tmp_path: Path) -> None:
    model = exit_networks.comparing(tmp_path / "exit.onnx", scale, threshold)
    random = np.random.default_rng(3)
    numbers = random.integers(-128, 128, (4000, exit_networks.CLASSES))
    numbers[:, 0] = np.minimum(numbers[:, 0] + random.integers(0, 200, len(numbers)), 127)
    inputs = (numbers * np.float32(scale)).astype(np.float32)

    found = run(model, tmp_path, inputs)

    taken = (found == inputs).all(axis=1)
    assert 0 < taken.sum() < len(taken)
    np.testing.assert_array_equal(taken, (onnxruntime_values(model, inputs) == inputs).all(axis=1))


def test_a_confidence_at_the_threshold_leaves(tmp_path: Path) -> None:
    even = np.zeros((1, exit_networks.CLASSES), np.float32)
    even[0, :2] = 60 * 0.2  # two classes of one half each, all others as good as none
    inputs = np.concatenate([even, even - np.eye(exit_networks.CLASSES, dtype=np.float32)[:1] * np.float32(0.2)])
    at_the_threshold = exit_networks.comparing(tmp_path / "at.onnx", 0.2, 0.5)
    above_it = exit_networks.comparing(tmp_path / "above.onnx", 0.2, 128.5 / 256)

    assert (run(at_the_threshold, tmp_path / "at", inputs)[0] == inputs[0]).all()
    assert not (run(above_it, tmp_path / "above", inputs)[0] == inputs[0]).all()


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize(("threshold", "operand"), [(0.0, 1), (exit_networks.NEVER, 2)])
def test_thresholds_at_both_ends_give_the_bytes_of_the_network_without_exits(
    precision: Precision, threshold: float, operand: int, tmp_path: Path
) -> None:
    model = network(tmp_path, precision, (threshold, threshold))

    found = run(model, tmp_path / "exits", IMAGES[:40])

    np.testing.assert_array_equal(found, run(exit_networks.only(model, operand), tmp_path / "only", IMAGES[:40]))


@pytest.mark.parametrize("target", ["mps2-an386", "rpi4"])
def test_a_float_network_agrees_with_onnxruntime_on_every_sample(target: str, tmp_path: Path) -> None:
    model = network(tmp_path, "float32")
    program = graph.to_program(model, targets.load(target))

    found = run(model, tmp_path / "host", IMAGES, target="host")

    np.testing.assert_allclose(found, onnxruntime_values(model, IMAGES), rtol=0, atol=2e-5)
    assert [call.op for call in program.calls].count(EARLY_EXIT) == 2
    places = {call.op: number for number, call in enumerate(program.calls)}
    assert places[LATE_EXIT] == len(program.calls) - 1


def test_memory_is_shared_in_mode_ram_as_elsewhere(tmp_path: Path) -> None:
    model = network(tmp_path, "int8")

    least = run(model, tmp_path / "ram", IMAGES[:40], "ram")

    np.testing.assert_array_equal(least, run(model, tmp_path / "balanced", IMAGES[:40]))


def test_int8_networks_compare_integers_and_copy_bytes(tmp_path: Path) -> None:
    program = graph.to_program(network(tmp_path, "int8"), targets.load("mps2-an386"))

    operators = [call.op for call in program.calls]
    assert operators.count("at_least") == operators.count(EARLY_EXIT) == operators.count(LATE_EXIT) == 2
    assert not {"rescale", "greater_equal", "max", "cast"} & set(operators)


def connect(target: str) -> contextlib.AbstractContextManager[Device]:
    profile = targets.load(target)
    return qemu.connect(profile) if profile.system == "bare" else linux_cores.connect(profile)


def assert_taken_on(device: Device, bundle: Bundle, inputs: Array) -> None:
    """Compare the device's bytes with this machine's, and see that all branches are taken, each by its ticks."""
    answers = _outputs.of_device(device, bundle, {"x": inputs}, lambda *_: None)
    np.testing.assert_array_equal(answers["y"], bundle.run_on_host({"x": inputs})["y"])
    exits = _exits.found(bundle)
    left = [
        _exits.leaves_at(exits, bundle.manifest.layers, [each[0] for each in device.profile({"x": image}, 1)])
        for image in inputs
    ]
    assert set(left) == {*(each.name for each in exits), _exits.END}


def assert_timed_on_many_inputs(device: Device, bundle: Bundle, model: Model) -> None:
    """The figure is the mean of inputs that cost more and less; the report is told where they left."""
    evidence = Evidence(model=model, baseline=model, evaluation=Samples(inputs={"x": IMAGES[:12]}))

    counted = next(m for m in latency.read(device, bundle, evidence).metrics if m.metric == "latency_instructions")

    assert len(counted.samples) == 12
    assert counted.value == pytest.approx(np.mean(counted.samples))
    assert max(counted.samples) > 2 * min(counted.samples)
    assert counted.conditions["input"] == "12 of 12 samples to score, evenly spread; the value is their mean"
    assert re.fullmatch(r"y [\d.]+%, leave1 [\d.]+%, the end [\d.]+%", counted.conditions["they left at"])


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_cortex_m4_takes_the_exits(precision: Precision, tmp_path: Path) -> None:
    model = network(tmp_path, precision)
    bundle = compiler.build(
        model, targets.load("mps2-an386"), tmp_path / "bundle", samples=Samples(inputs={"x": IMAGES})
    )

    with connect("mps2-an386") as device:
        device.install(bundle)  # compares the test vectors
        assert_taken_on(device, bundle, IMAGES[:24])
        assert_timed_on_many_inputs(device, bundle, model)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_cortex_a72_computes_the_same_bytes(precision: Precision, tmp_path: Path) -> None:
    model = network(tmp_path, precision)
    bundle = compiler.build(model, targets.load("rpi4"), tmp_path / "bundle", samples=Samples(inputs={"x": IMAGES}))

    with connect("rpi4") as device:
        device.install(bundle)
        answers = _outputs.of_device(device, bundle, {"x": IMAGES[:60]}, lambda *_: None)

    np.testing.assert_array_equal(answers["y"], bundle.run_on_host({"x": IMAGES[:60]})["y"])
