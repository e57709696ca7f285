"""Which layers of a network run in place."""

from __future__ import annotations

import numpy as np

from edgecompress.compile.integer import in_place
from edgecompress.compile.integer.layers import NO_CLAMP, Addition, Convolution, Layer, Network, Value
from edgecompress.compile.kernels.window import Window
from edgecompress.core.values import TensorSpec


def image(name: str, channels: int = 16) -> Value:
    return Value(name=name, shape=(1, 16, 16, channels))


def convolution(source: Value, output: Value) -> Convolution:
    channels = source.shape[-1]
    return Convolution(
        inputs=(source,),
        output=output,
        nodes=(),
        weights=np.ones((output.shape[-1], 1, 1, channels), np.int8),
        weight_scales=np.ones(1, np.float32),
        bias=np.zeros(output.shape[-1], np.int64),
        clamp=NO_CLAMP,
        window=Window(height=16, width=16, channels=channels, kernel=(1, 1)),
        groups=1,
    )


def network(*layers: Layer) -> Network:
    def spec(value: Value) -> TensorSpec:
        return TensorSpec(name=value.name, shape=value.shape, dtype="int8")

    return Network(
        name="network", inputs=(spec(layers[0].inputs[0]),), outputs=(spec(layers[-1].output),), layers=layers
    )


def test_the_layers_at_the_peak_run_in_place_and_no_others() -> None:
    small, a, b, c, end = image("x", 4), image("a"), image("b"), image("c"), image("y", 4)
    layers = (convolution(small, a), convolution(a, b), convolution(b, c), convolution(c, end))

    assert in_place.choose(network(*layers)) == {"b", "c"}


def test_an_input_that_somebody_reads_later_stays() -> None:
    x, a, b, end = image("x", 4), image("a"), image("b"), image("y")
    total = Addition(inputs=(a, b), output=end, nodes=(), clamp=NO_CLAMP)

    assert in_place.choose(network(convolution(x, a), convolution(a, b), total)) == frozenset()


def test_nothing_runs_in_place_when_another_layer_makes_the_peak_anyway() -> None:
    x, a, wide, end = image("x"), image("a"), image("wide", 64), image("y", 4)

    assert in_place.choose(network(convolution(x, a), convolution(a, wide), convolution(wide, end))) == frozenset()
