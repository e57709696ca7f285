"""Random layers on every kind of Linux core: int8 by the bytes of plain numpy, float beside ONNX Runtime.

`pytest tests/pipeline/cores/test_linux_layers.py --layers 300` draws more of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import linux_cores
import numpy as np
import onnxruntime
import pytest
import random_float_layers
import random_images
import random_layers
import random_wide_layers

from edgecompress import compile as compiler
from edgecompress.compile import assemble
from edgecompress.compile.integer.emit import emit
from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.target import Target
from edgecompress.core.values import Array, Samples
from edgecompress.models import onnx_file

DRAWN = 16
"""Layers of each precision for every core, where the command line does not say."""
KINDS = (*random_wide_layers.KINDS, *random_layers.KINDS, *random_images.KINDS, *random_wide_layers.SOFTMAX)
TOLERANCE, WINOGRAD_TOLERANCE = 1e-5, 1e-3
"""The largest difference from ONNX Runtime, as a part of the largest number of an output."""
THREADS = (2, 3, 4)
SAMPLES = 2


@pytest.fixture(scope="module")
def count(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--layers") or DRAWN)


@dataclass(frozen=True, kw_only=True)
class Built:
    """A program of random layers, and what this machine's reference makes of its samples."""

    target: Target
    bundle: Bundle
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]

    def run(self, threads: int) -> dict[str, Array]:
        """Run the first sample on the core."""
        with linux_cores.connect(self.target) as device:
            device.install(self.bundle)
            if threads > 1:
                device.use_threads(threads)
            return device.run({name: values[0] for name, values in self.inputs.items()}).outputs

    def different(self, found: Mapping[str, Array]) -> list[str]:
        """The outputs whose bytes are not the reference's."""
        return [name for name, wanted in self.outputs.items() if found[name].tobytes() != wanted[0].tobytes()]


@pytest.fixture(scope="module", params=linux_cores.names())
def target(request: pytest.FixtureRequest) -> Target:
    return targets.load(request.param)


@pytest.fixture(scope="module")
def int8_layers(target: Target, count: int) -> tuple[random_layers.Drawn, ...]:
    random = np.random.default_rng(sum(map(ord, target.name)))

    def pick(low: int, high: int) -> int:
        return int(random.integers(low, high, endpoint=True))

    return tuple(random_layers.draw(pick, f"layer_{number}", KINDS) for number in range(count))


@pytest.fixture(scope="module")
def int8(
    target: Target, int8_layers: tuple[random_layers.Drawn, ...], tmp_path_factory: pytest.TempPathFactory
) -> Built:
    program = emit(random_layers.network(int8_layers), linux_cores.features(target))
    origin, folder = assemble.Origin(model_sha256="0" * 64), tmp_path_factory.mktemp("int8") / "bundle"
    bundle = assemble.write_bundle(program, origin, target, folder, samples=random_layers.samples(int8_layers))
    inputs, outputs = bundle.vectors()
    return Built(target=target, bundle=bundle, inputs=inputs, outputs=outputs)


@pytest.fixture(scope="module")
def float_layers(target: Target, count: int) -> random_float_layers.Drawing:
    return random_float_layers.draw(sum(map(ord, target.name)), count)


@pytest.fixture(scope="module")
def floats(
    target: Target, float_layers: random_float_layers.Drawing, tmp_path_factory: pytest.TempPathFactory
) -> Built:
    folder = tmp_path_factory.mktemp("float")
    path = folder / "layers.onnx"
    path.write_bytes(float_layers.model().SerializeToString())
    model = onnx_file.load(path)
    random = np.random.default_rng(1)
    samples = {spec.name: random.standard_normal((SAMPLES, *spec.shape[1:]), np.float32) for spec in model.inputs}
    bundle = compiler.build(model, target, folder / "bundle", samples=Samples(inputs=samples))
    inputs, outputs = bundle.vectors()
    return Built(target=target, bundle=bundle, inputs=inputs, outputs=outputs)


def test_random_int8_layers_equal_their_definition(int8: Built, int8_layers: tuple[random_layers.Drawn, ...]) -> None:
    assert random_layers.differences(int8_layers, int8.outputs) == []


def test_random_float_layers_are_those_of_onnxruntime(floats: Built, float_layers: random_float_layers.Drawing) -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        float_layers.model().SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    by_winograd = {each.name for each in floats.bundle.manifest.layers if "winograd" in each.kernel}
    for sample in range(SAMPLES):
        wanted = session.run(float_layers.outputs, {name: values[[sample]] for name, values in floats.inputs.items()})
        for name, exact in zip(float_layers.outputs, wanted, strict=True):
            found = floats.outputs[name][sample].reshape(exact.shape)
            error = float(np.abs(found.astype(np.float64) - exact).max() / max(np.abs(exact).max(), 1e-9))
            most = WINOGRAD_TOLERANCE if any(name in each or each in name for each in by_winograd) else TOLERANCE
            assert error <= most, f"{name} ({float_layers.kinds[name]}) is {error:.2g} off"


@pytest.mark.parametrize("precision", ["int8", "floats"])
@pytest.mark.parametrize("threads", [1, *THREADS])
def test_every_core_gives_this_machine_s_bytes_with_any_number_of_threads(
    target: Target, threads: int, precision: str, request: pytest.FixtureRequest
) -> None:
    built: Built = request.getfixturevalue(precision)

    assert built.target == target
    assert built.different(built.run(threads)) == []


def test_the_random_layers_are_of_every_kind() -> None:
    drawings = [random_float_layers.draw(seed, DRAWN) for seed in range(len(linux_cores.CORES))]
    kinds = {kind for drawing in drawings for kind in drawing.kinds.values()}

    assert kinds == {kind.__name__.strip("_") for kind in random_float_layers.KINDS}
