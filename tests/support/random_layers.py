"""Random int8 layers, drawn number by number: odd sizes, windows that reach over the edge, extreme quantization."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import int8_reference
import numpy as np

from edgecompress.compile import quantized
from edgecompress.compile.integer import layers
from edgecompress.compile.integer.layers import Clamp, Value
from edgecompress.compile.kernels.window import Window
from edgecompress.core.values import Array, Samples, TensorSpec

Pick = Callable[[int, int], int]
"""Chooses an integer from the first to the second, both included."""

Kind = Callable[[Pick, str], layers.Layer]
"""Draws a layer of one kind, whose output has the name."""

SAMPLES = 3
LARGEST_CHANNELS = 21
LARGEST_SIDE = 9
INPUT_SCALE, OUTPUT_SCALE = 0.5, 0.25
ADDITION_SCALES = (0.3, 0.3, 0.31, 0.05, 1e-6)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A layer between a network's inputs and outputs, samples for it, and what it must make of them."""

    layer: layers.Layer
    inputs: Mapping[str, Array]
    wanted: Array

    @property
    def name(self) -> str:
        """The name of its output."""
        return self.layer.output.name

    def renamed(self, name: str) -> Drawn:
        """The same under another name."""
        values = [replace(value, name=f"{name}_in{number}") for number, value in enumerate(self.layer.inputs)]
        output = replace(self.layer.output, name=name)
        return Drawn(
            layer=replace(self.layer, inputs=tuple(values), output=output),
            inputs=dict(zip((value.name for value in values), self.inputs.values(), strict=True)),
            wanted=self.wanted,
        )

    def __repr__(self) -> str:
        """Say everything that the drawing chose."""
        return f"{self.name}: {describe(self.layer)}"


def describe(layer: Any) -> str:
    """Name a layer's kind, geometry and quantization."""
    values = [f"{value.shape} {value.scale:g}/{value.zero_point}" for value in (*layer.inputs, layer.output)]
    parts = [type(layer).__name__, " -> ".join(values)]
    if hasattr(layer, "clamp"):
        parts.append(f"clamped to {layer.clamp.low}…{layer.clamp.high}")
    if hasattr(layer, "window"):
        parts.append(layer.window.name())
    if hasattr(layer, "groups"):
        parts.append(f"groups {layer.groups}")
    if hasattr(layer, "weights"):
        exponents = [by.shift for by in multipliers(layer)]
        parts.append(f"weights up to {np.abs(layer.weights.astype(int)).max()}, shifts {exponents}")
    return ", ".join(parts)


def multipliers(layer: layers.Product) -> list[quantized.Multiplier]:
    """What a layer's accumulators are scaled by."""
    factors = quantized.accumulator_factors(layer.inputs[0].scale, layer.weight_scales, layer.output.scale)
    return [quantized.multiplier(factor) for factor in factors]


def draw(pick: Pick, name: str, kinds: Sequence[Kind] = ()) -> Drawn:
    """Draw a layer of one of these kinds, or of KINDS, whose output is called `name`."""
    kinds = kinds or KINDS
    layer = kinds[pick(0, len(kinds) - 1)](pick, name)
    random = np.random.default_rng(pick(0, 2**32 - 1))
    inputs = {value.name: _samples(random, value.shape) for value in layer.inputs}
    wanted = [int8_reference.apply(layer, sample) for sample in zip(*inputs.values(), strict=True)]
    return Drawn(layer=layer, inputs=inputs, wanted=np.stack(wanted))


def network(drawn: Sequence[Drawn]) -> layers.Network:
    """Put layers side by side, each with its own inputs and output."""
    values = [value for each in drawn for value in each.layer.inputs]
    return layers.Network(
        name="random_layers",
        inputs=tuple(_spec(value) for value in values),
        outputs=tuple(_spec(each.layer.output) for each in drawn),
        layers=tuple(each.layer for each in drawn),
    )


def samples(drawn: Sequence[Drawn]) -> Samples:
    """The samples of all the layers of a network."""
    return Samples(inputs={name: values[:, np.newaxis] for each in drawn for name, values in each.inputs.items()})


def differences(drawn: Sequence[Drawn], outputs: Mapping[str, Array]) -> list[str]:
    """Every layer whose output is not what it must be, with all its parameters."""
    found = []
    for each in drawn:
        got = outputs[each.name].reshape(-1)
        wrong = np.flatnonzero(got != each.wanted.reshape(-1))
        if len(wrong):
            first = f"{got[wrong[0]]} instead of {each.wanted.reshape(-1)[wrong[0]]} at {wrong[0]}"
            found.append(f"{each!r}: {len(wrong)} of {len(got)} differ, first {first}")
    return found


def _spec(value: Value) -> TensorSpec:
    return TensorSpec(name=value.name, shape=(1, *value.shape), dtype="int8")


def _samples(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Numbers from all of int8; only the smallest and the largest; only the smallest."""
    uniform = random.integers(-128, 128, shape)
    extremes = random.choice([-128, 127], shape)
    return np.stack([uniform, extremes, np.full(shape, -128)]).astype(np.int8)


# Kinds of layers


def _convolution(pick: Pick, name: str) -> layers.Layer:
    groups = (1, 1, 1, 2, 3)[pick(0, 4)]
    channels = groups * pick(1, LARGEST_CHANNELS // groups)
    return weighted_window(pick, name, channels, groups * pick(1, LARGEST_CHANNELS // groups), groups)


def _depthwise(pick: Pick, name: str) -> layers.Layer:
    multiplier = (1, 1, 1, 2)[pick(0, 3)]
    channels = pick(1, LARGEST_CHANNELS)
    return weighted_window(pick, name, channels, multiplier * channels, channels)


def weighted_window(pick: Pick, name: str, channels: int, outputs: int, groups: int) -> layers.Layer:
    """Draw a convolution of so many channels."""
    window = _window(pick, channels)
    weighted = _weights(pick, (outputs, *window.kernel, channels // groups))
    return layers.Convolution(
        **_ends(pick, name, (window.height, window.width, channels), _output_shape(window, outputs)),
        **weighted,
        window=window,
        groups=groups,
    )


def _fully_connected(pick: Pick, name: str) -> layers.Layer:
    return fully_connected(pick, name, 100, LARGEST_CHANNELS)


def fully_connected(pick: Pick, name: str, most_taps: int, most_outputs: int) -> layers.Layer:
    """Draw a matrix product of a row, or of some."""
    rows, taps, outputs = (1, 1, pick(2, 5))[pick(0, 2)], pick(1, most_taps), pick(1, most_outputs)
    ends = _ends(pick, name, (rows, taps), (rows, outputs))
    return layers.FullyConnected(**ends, **_weights(pick, (outputs, taps)), rows=rows)


def _average_pool(pick: Pick, name: str) -> layers.Layer:
    return _pool(pick, name, layers.AveragePool)


def _max_pool(pick: Pick, name: str) -> layers.Layer:
    return _pool(pick, name, layers.MaxPool)


def _pool(pick: Pick, name: str, kind: type[Any]) -> Any:
    window = _window(pick, pick(1, LARGEST_CHANNELS), sees_image=True)
    shape = (window.height, window.width, window.channels)
    value = Value(name=f"{name}_in", shape=shape, zero_point=zero_point(pick))
    output = Value(name=name, shape=_output_shape(window, window.channels), zero_point=value.zero_point)
    return kind(inputs=(value,), output=output, nodes=(name,), window=window, clamp=clamp(pick, output.zero_point))


def _addition(pick: Pick, name: str) -> layers.Layer:
    return addition(pick, name, (pick(1, LARGEST_SIDE), pick(1, LARGEST_SIDE), pick(1, LARGEST_CHANNELS)))


def addition(pick: Pick, name: str, shape: tuple[int, ...]) -> layers.Layer:
    """Draw a sum of two tensors."""
    scales = [ADDITION_SCALES[pick(0, len(ADDITION_SCALES) - 1)] for _ in range(2)]
    inputs = tuple(
        Value(name=f"{name}_in{number}", shape=shape, scale=scale, zero_point=zero_point(pick))
        for number, scale in enumerate(scales)
    )
    output_scale = max(scales) * 2.0 ** pick(-2, 2) * 1.1
    output = Value(name=name, shape=shape, scale=output_scale, zero_point=zero_point(pick))
    return layers.Addition(inputs=inputs, output=output, nodes=(name,), clamp=clamp(pick, output.zero_point))


KINDS = (_convolution, _convolution, _depthwise, _depthwise, _fully_connected, _average_pool, _max_pool, _addition)
"""Of layers that sum."""


# What layers are made of


def _ends(pick: Pick, name: str, shape: tuple[int, ...], output_shape: tuple[int, ...]) -> dict[str, Any]:
    value = Value(name=f"{name}_in", shape=shape, scale=INPUT_SCALE, zero_point=zero_point(pick))
    output = Value(name=name, shape=output_shape, scale=OUTPUT_SCALE, zero_point=zero_point(pick))
    return {"inputs": (value,), "output": output, "nodes": (name,), "clamp": clamp(pick, output.zero_point)}


def _output_shape(window: Window, channels: int) -> tuple[int, int, int]:
    return window.output_height, window.output_width, channels


def _window(pick: Pick, channels: int, *, sees_image: bool = False) -> Window:
    """Draw a window over an image, a row or a column of pixels; with `sees_image` every window sees a pixel."""
    columns, rows = (_axis(pick, sees_image=sees_image) for _ in range(2))
    kind = pick(0, 5)
    if kind == 0:
        columns = ONE_PIXEL
    if kind == 1:
        rows = ONE_PIXEL
    if kind == 2:
        rows, columns = (Axis(side=each.side) for each in (rows, columns))
    return Window(
        height=rows.side,
        width=columns.side,
        channels=channels,
        kernel=(rows.taps, columns.taps),
        stride=(rows.stride, columns.stride),
        dilation=(rows.dilation, columns.dilation),
        padding=(rows.before, columns.before, rows.after, columns.after),
    )


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A window's rows, or its columns."""

    side: int
    taps: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0


ONE_PIXEL = Axis(side=1)


def _axis(pick: Pick, *, sees_image: bool) -> Axis:
    taps = pick(1, 5)
    dilation = (1, 1, 1, 2, 3)[pick(0, 4)]
    reach = dilation * (taps - 1) + 1
    most = dilation * (taps - 1) if dilation == 1 or not sees_image else 0
    before, after = (pick(0, most) if pick(0, 1) else 0 for _ in range(2))
    side = pick(max(1, reach - before - after), max(LARGEST_SIDE, reach))
    return Axis(side=side, taps=taps, stride=pick(1, 3), dilation=dilation, before=before, after=after)


def zero_point(pick: Pick) -> int:
    return (0, -128, 127, pick(-128, 127))[pick(0, 3)]


def clamp(pick: Pick, zero_point: int) -> Clamp:
    """Draw no bounds, an activation's, or any: now and then such as leave a single number."""
    kind, low = pick(0, 7), pick(-128, 127)
    if kind == 0:
        return Clamp(low=low, high=pick(low, 127))
    if kind < 3:
        return Clamp(low=min(zero_point, 0), high=pick(1, 127))
    return layers.NO_CLAMP


def _weights(pick: Pick, shape: tuple[int, ...]) -> dict[str, Any]:
    """Weights up to all of int8, with factors around one that keeps the output in its range, or far above it.

    Now and then a channel has no weights: pruning leaves such, and its bias may then be as large as int32 allows.
    """
    largest, excess = (128, 127, 90, 3)[pick(0, 3)], (1.0, 1.0, 1.0, 8.0, 300.0)[pick(0, 4)]
    has_empty_channel = pick(0, 3) == 0
    random = np.random.default_rng(pick(0, 2**32 - 1))
    weights = random.integers(-largest, min(largest, 127) + 1, shape).astype(np.int8)
    spread = 74 * max(largest, 2) / np.sqrt(3) * np.sqrt(weights[0].size)
    bias = random.integers(-int(spread), int(spread) + 1, len(weights))
    factors = excess * 60 / spread * 2.0 ** -random.uniform(0, 3, len(weights))
    if has_empty_channel:
        weights[0] = 0
        bias[0] = random.integers(-(2**31) + 1, 2**31)
        factors[0] = 60 / 2**31
    scales = (factors * OUTPUT_SCALE / INPUT_SCALE).astype(np.float32)
    return {"weights": weights, "weight_scales": scales, "bias": bias}
