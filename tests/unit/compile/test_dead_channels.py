"""Networks with constant and unread channels compute the same bytes without them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecompress.compile import quantized
from edgecompress.compile.integer.dead_channels import drop_dead_channels
from edgecompress.compile.integer.layers import (
    NO_CLAMP,
    Addition,
    AveragePool,
    Clamp,
    Convolution,
    FullyConnected,
    Layer,
    Network,
    Value,
)
from edgecompress.compile.kernels.window import Window
from edgecompress.core.values import TensorSpec

Numbers = NDArray[np.int64]


def window_of(layer: Convolution | AveragePool, image: Numbers, fill: int) -> Numbers:
    """All windows of an image (height, width, channels) as (output row, output column, row, column, channel)."""
    window = layer.window
    top, left, bottom, right = window.padding
    padded = np.pad(image, ((top, bottom), (left, right), (0, 0)), constant_values=fill)
    slid = np.lib.stride_tricks.sliding_window_view(padded, window.kernel, axis=(0, 1))
    return slid[:: window.stride[0], :: window.stride[1]].transpose(0, 1, 3, 4, 2)


def sums_of(layer: Layer, image: Numbers) -> Numbers:
    zero = layer.inputs[0].zero_point
    if isinstance(layer, FullyConnected):
        return layer.weights.astype(np.int64) @ (image.reshape(-1) - zero) + layer.bias
    assert isinstance(layer, Convolution)
    patches = window_of(layer, image, zero) - zero
    weights = layer.weights.astype(np.int64)
    if layer.is_depthwise:
        return np.einsum("yxklc,ckl->yxc", patches, weights[..., 0]) + layer.bias
    return np.einsum("yxklc,oklc->yxo", patches, weights) + layer.bias


def run_layer(layer: Layer, image: Numbers) -> Numbers:
    """One layer as the specification says it, in plain numpy."""
    if isinstance(layer, AveragePool):
        patches = window_of(layer, image, 0)
        count = layer.window.kernel[0] * layer.window.kernel[1]
        total = patches.sum(axis=(2, 3))
        mean = np.sign(total) * ((np.abs(total) + count // 2) // count)
        return np.clip(mean, layer.clamp.low, layer.clamp.high)
    assert isinstance(layer, Convolution | FullyConnected)
    sums = sums_of(layer, image)
    scales = np.broadcast_to(layer.weight_scales, (len(layer.weights),))
    factors = quantized.accumulator_factors(layer.inputs[0].scale, scales, layer.output.scale)
    columns = [quantized.scale(sums[..., i], quantized.multiplier(by)) for i, by in enumerate(factors)]
    return np.clip(np.stack(columns, -1) + layer.output.zero_point, layer.clamp.low, layer.clamp.high)


def run(network: Network, image: Numbers) -> Numbers:
    values = {network.inputs[0].name: image}
    for layer in network.layers:
        values[layer.output.name] = run_layer(layer, values[layer.inputs[0].name])
    return values[network.outputs[0].name]


class Builder:
    """A chain of layers with random numbers, some of whose output channels have no weights."""

    def __init__(self, seed: int) -> None:
        self.draw = np.random.default_rng(seed)
        self.value = Value(name="x", shape=(1, 6, 5, 3), scale=0.5, zero_point=3)
        self.layers: list[Layer] = []

    def output(self, *shape: int, like: Value | None = None) -> Value:
        zero_point = int(self.draw.choice([-128, -5, 0, 7]))
        quantization = {"scale": 0.25, "zero_point": zero_point}
        if like is not None:
            quantization = {"scale": like.scale, "zero_point": like.zero_point}
        return Value(name=f"v{len(self.layers)}", shape=(1, *shape), **quantization)

    def numbers(self, outputs: int, *taps: int) -> dict[str, object]:
        weights = self.draw.integers(-40, 41, (outputs, *taps)).astype(np.int8)
        weights[self.draw.random(outputs) < 0.4] = 0
        return {
            "weights": weights,
            "weight_scales": self.draw.uniform(0.001, 0.03, outputs).astype(np.float32),
            "bias": self.draw.integers(-3000, 3000, outputs),
            "clamp": Clamp(low=-128, high=int(self.draw.choice([127, 60]))),
        }

    def convolution(self, outputs: int | None, kernel: int, pad: int, stride: int = 1) -> None:
        _, height, width, channels = self.value.shape
        window = Window(
            height=height,
            width=width,
            channels=channels,
            kernel=(kernel, kernel),
            stride=(stride, stride),
            padding=(pad,) * 4,
        )
        made = outputs or channels
        output = self.output(window.output_height, window.output_width, made)
        groups, depth = (1, channels) if outputs else (channels, 1)
        numbers = self.numbers(made, kernel, kernel, depth)
        self.add(Convolution(inputs=(self.value,), output=output, nodes=(), window=window, groups=groups, **numbers))

    def average_pool(self) -> None:
        _, height, width, channels = self.value.shape
        window = Window(height=height, width=width, channels=channels, kernel=(height, width))
        output = self.output(1, 1, channels, like=self.value)
        self.add(AveragePool(inputs=(self.value,), output=output, nodes=(), window=window, clamp=NO_CLAMP))

    def fully_connected(self, outputs: int) -> None:
        numbers = self.numbers(outputs, self.value.elements)
        self.add(FullyConnected(inputs=(self.value,), output=self.output(outputs), nodes=(), rows=1, **numbers))

    def add(self, layer: Layer) -> None:
        self.layers.append(layer)
        self.value = layer.output

    def network(self) -> Network:
        specs = [TensorSpec(name=v.name, shape=v.shape, dtype="int8") for v in (self.layers[0].inputs[0], self.value)]
        return Network(name="chain", inputs=(specs[0],), outputs=(specs[1],), layers=tuple(self.layers))


def mobile_chain(seed: int) -> Network:
    builder = Builder(seed)
    builder.convolution(8, kernel=3, pad=1)
    builder.convolution(None, kernel=3, pad=int(builder.draw.integers(0, 2)))
    builder.convolution(9, kernel=1, pad=0)
    builder.convolution(None, kernel=2, pad=0, stride=int(builder.draw.integers(1, 3)))
    builder.convolution(6, kernel=1, pad=0)
    if builder.draw.random() < 0.5:
        builder.average_pool()
    builder.fully_connected(4)
    return builder.network()


@pytest.mark.parametrize("align", [1, 2, 4])
@pytest.mark.parametrize("seed", range(12))
def test_a_network_without_its_dead_channels_computes_the_same(seed: int, align: int) -> None:
    network = mobile_chain(seed)
    trimmed = drop_dead_channels(network, align)
    images = np.random.default_rng(100 + seed).integers(-128, 128, (4, 6, 5, 3))
    for image in images:
        assert (run(trimmed, image) == run(network, image)).all()


def test_dead_channels_are_left_out_in_multiples() -> None:
    counts = {align: sum(layer.macs for layer in drop_dead_channels(mobile_chain(3), align).layers) for align in (1, 4)}
    assert counts[1] < counts[4] < sum(layer.macs for layer in mobile_chain(3).layers)


def test_a_network_without_dead_channels_stays_as_it_is() -> None:
    builder = Builder(0)
    builder.convolution(4, kernel=3, pad=1)
    alive = dataclasses.replace(builder.layers[0], weights=np.ones((4, 3, 3, 3), np.int8))
    network = dataclasses.replace(builder.network(), layers=(alive,))
    assert drop_dead_channels(network) is network


def test_a_constant_that_meets_a_padded_edge_stays() -> None:
    builder = Builder(0)
    builder.convolution(2, kernel=1, pad=0)
    first = dataclasses.replace(
        builder.layers[0],
        weights=np.zeros((2, 1, 1, 3), np.int8),
        bias=np.array([1000, 1000]),
        weight_scales=np.full(2, 0.02, np.float32),
        output=dataclasses.replace(builder.value, zero_point=0),
    )
    builder.value = first.output
    builder.convolution(1, kernel=3, pad=1)
    second = dataclasses.replace(builder.layers[1], weights=np.ones((1, 3, 3, 2), np.int8))
    network = dataclasses.replace(builder.network(), layers=(first, second))
    assert drop_dead_channels(network, align=1) is network


@pytest.mark.parametrize("pooled", [False, True])
def test_channels_of_a_sum_stay_even_if_nobody_reads_them(pooled: bool) -> None:
    source = Value(name="in", shape=(1, 2, 2, 8), scale=0.5, zero_point=3)
    total = dataclasses.replace(source, name="sum")
    summed = Addition(inputs=(source, source), output=total, nodes=(), clamp=NO_CLAMP)
    means = dataclasses.replace(source, name="means")
    window = Window(height=2, width=2, channels=8, kernel=(1, 1))
    pool = AveragePool(inputs=(total,), output=means, nodes=(), clamp=NO_CLAMP, window=window)
    weights = np.zeros((4, 1, 1, 8), np.int8)
    weights[:, :, :, 0] = 1  # seven of eight channels are unread
    last = Convolution(
        inputs=(means if pooled else total,),
        output=Value(name="out", shape=(1, 2, 2, 4), scale=0.5),
        nodes=(),
        weights=weights,
        weight_scales=np.ones(4, np.float32),
        bias=np.zeros(4, np.int64),
        clamp=NO_CLAMP,
        window=window,
        groups=1,
    )
    network = Network(
        name="sum",
        inputs=(TensorSpec(name="in", shape=source.shape, dtype="int8"),),
        outputs=(TensorSpec(name="out", shape=(1, 2, 2, 4), dtype="int8"),),
        layers=(summed, pool, last) if pooled else (summed, last),
    )

    assert drop_dead_channels(network) == network
