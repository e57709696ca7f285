"""Convolutions that write inside the border of the next one: the bytes of convolutions that copy, on any threads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import linux_cores
import numpy as np
import pytest

from edgecompress.compile import assemble
from edgecompress.compile.integer import bordered, layers
from edgecompress.compile.integer.emit import emit
from edgecompress.compile.kernels.window import Window
from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.values import Samples, TensorSpec

TARGET = "x86-64-amx"
IMAGE = (9, 14, 16)
SHAPES = (
    ((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 64),
    ((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 64),
    ((3, 3), (2, 2), (1, 1), (1, 0, 0, 1), 256),
    ((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 48),
    ((2, 3), (1, 1), (1, 2), (1, 2, 0, 2), 40),
    ((1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 33),
)
"""Kernel, stride, dilation, padding and output channels of convolutions that follow each other."""


def network() -> layers.Network:
    random = np.random.default_rng(11)
    value = layers.Value(name="x", shape=IMAGE, zero_point=-3)
    made: list[layers.Layer] = []
    for number, (kernel, stride, dilation, padding, outputs) in enumerate(SHAPES):
        height, width, channels = value.shape
        window = Window(
            height=height,
            width=width,
            channels=channels,
            kernel=kernel,
            stride=stride,
            dilation=dilation,
            padding=padding,
        )
        shape = (window.output_height, window.output_width, outputs)
        typical = 1.0 * (kernel[0] * kernel[1] * channels) ** 0.5
        output = layers.Value(name=f"y{number}", shape=shape, scale=typical, zero_point=int(random.integers(-100, 100)))
        made.append(
            layers.Convolution(
                inputs=(replace(value, scale=1.0),),
                output=output,
                nodes=(f"conv{number}",),
                weights=random.integers(-127, 128, (outputs, *kernel, channels)).astype(np.int8),
                weight_scales=random.uniform(0.01, 0.05, outputs).astype(np.float32),
                bias=random.integers(-3000, 3000, outputs),
                clamp=layers.Clamp(low=(-128, output.zero_point)[number % 2]),
                window=window,
                groups=1,
            )
        )
        value = output
    first, last = made[0].inputs[0], made[-1].output
    return layers.Network(name="chain", inputs=(_spec(first),), outputs=(_spec(last),), layers=tuple(made))


def _spec(value: layers.Value) -> TensorSpec:
    return TensorSpec(name=value.name, shape=(1, *value.shape), dtype="int8")


def convolutions(chain: layers.Network) -> list[layers.Convolution]:
    return [layer for layer in chain.layers if isinstance(layer, layers.Convolution)]


def reads(chain: layers.Network) -> list[bool]:
    """Which convolutions read an image with its border."""
    return [layer.borders.reads for layer in convolutions(chain)]


def build(chain: layers.Network, folder: Path) -> Bundle:
    target = targets.load(TARGET)
    images = np.random.default_rng(5).integers(-128, 128, (3, 1, *IMAGE)).astype(np.int8)
    program = emit(chain, linux_cores.features(target))
    origin = assemble.Origin(model_sha256="0" * 64)
    return assemble.write_bundle(program, origin, target, folder, samples=Samples(inputs={"x": images}))


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    folder, chain = tmp_path_factory.mktemp("chain"), network()
    return build(chain, folder / "copying"), build(bordered.join(chain, ["amx"]), folder / "bordered")


def test_every_convolution_but_the_first_that_sees_a_border_copies_nothing() -> None:
    joined = bordered.join(network(), ["amx"])

    assert reads(joined) == [False, True, True, True, True, False]
    assert [layer.borders.writes is not None for layer in convolutions(joined)] == [*reads(joined)[1:], False]


def test_other_targets_and_shared_results_stay_as_they_are() -> None:
    chain = network()
    shared = replace(chain, outputs=tuple(_spec(layer.output) for layer in chain.layers))

    assert bordered.join(chain, ["vnni"]) is chain
    assert bordered.join(shared, ["amx"]).layers == shared.layers


def test_a_reader_at_another_zero_point_copies_its_image() -> None:
    first, second, *_ = network().layers
    source = replace(second.inputs[0], zero_point=second.inputs[0].zero_point + 1)
    outputs = (_spec(second.output),)
    chain = replace(network(), outputs=outputs, layers=(first, second))
    other = replace(chain, layers=(first, replace(second, inputs=(source,))))

    assert [reads(bordered.join(each, ["amx"])) for each in (chain, other)] == [[False, True], [False, False]]


def test_the_results_are_those_of_convolutions_that_copy(bundles: tuple[Bundle, Bundle]) -> None:
    (wanted,), (found,) = (bundle.vectors()[1].values() for bundle in bundles)

    assert len(np.unique(wanted)) > 50
    assert found.tobytes() == wanted.tobytes()


@pytest.mark.skipif(TARGET not in linux_cores.names(), reason="this machine has no AMX")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_tiles_themselves_give_the_same_on_any_threads(bundles: tuple[Bundle, Bundle], threads: int) -> None:
    joined = bundles[1]
    inputs, (wanted,) = joined.vectors()[0]["x"], joined.vectors()[1].values()

    with linux_cores.connect(targets.load(TARGET)) as device:
        device.install(joined)
        device.use_threads(threads)
        found = [device.run({"x": image}).outputs for image in inputs]

    assert [next(iter(each.values())).tobytes() for each in found] == [image.tobytes() for image in wanted]
