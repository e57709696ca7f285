"""Which layers of a network run in place."""

from __future__ import annotations

from dataclasses import replace

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


def spec(value: Value) -> TensorSpec:
    return TensorSpec(name=value.name, shape=value.shape, dtype="int8")


def network(*layers: Layer) -> Network:
    return Network(
        name="network", inputs=(spec(layers[0].inputs[0]),), outputs=(spec(layers[-1].output),), layers=layers
    )


def test_the_layers_at_the_peak_run_in_place_and_no_others() -> None:
    small, a, b, c, end = image("x", 4), image("a"), image("b"), image("c"), image("y", 4)
    layers = (convolution(small, a), convolution(a, b), convolution(b, c), convolution(c, end))

    assert in_place.choose(network(*layers)) == {"b": "a", "c": "b"}


def test_an_input_that_somebody_reads_later_stays() -> None:
    x, a, b, end = image("x", 4), image("a"), image("b"), image("y")
    total = Addition(inputs=(a, b), output=end, nodes=(), clamp=NO_CLAMP)

    assert in_place.choose(network(convolution(x, a), convolution(a, b), total)) == {"y": "a"}


def test_nothing_runs_in_place_when_another_layer_makes_the_peak_anyway() -> None:
    x, a, wide, end = image("x"), image("a"), image("wide", 64), image("y", 4)

    assert in_place.choose(network(convolution(x, a), convolution(a, wide), convolution(wide, end))) == {}


def test_a_sum_takes_the_place_of_the_operand_that_nobody_reads_later() -> None:
    x, a, total, last, end = image("x", 4), image("a"), image("total"), image("last"), image("y", 4)
    layers = (
        convolution(x, a),
        Addition(inputs=(a, a_copy := image("b")), output=total, nodes=(), clamp=NO_CLAMP),
        Addition(inputs=(total, a), output=last, nodes=(), clamp=NO_CLAMP),
        convolution(last, end),
    )
    with_inputs = replace(network(*layers), inputs=tuple(spec(each) for each in (x, a_copy)))

    assert in_place.choose(with_inputs) == {"total": "b", "last": "total"}


def test_a_sum_of_a_tensor_with_itself_has_a_place_of_its_own() -> None:
    x, a, end = image("x", 4), image("a"), image("y", 4)
    twice = Addition(inputs=(a, a), output=image("b"), nodes=(), clamp=NO_CLAMP)

    assert in_place.choose(network(convolution(x, a), twice, convolution(twice.output, end))) == {}
