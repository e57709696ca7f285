"""Plain numpy definitions of the int8 layers, one pixel at a time: what every kernel on every core must equal.

Source: TensorFlow Lite, reference_integer_ops.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecompress.compile import quantized
from edgecompress.compile.integer import layers
from edgecompress.compile.kernels import addition
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.quantized import Multiplier
from edgecompress.compile.resampling import ONE
from edgecompress.core.values import Array


def patches(window: Window, image: Array, fill: int) -> Array:
    """What every output sees: (rows, columns, kernel rows, kernel columns, channels) of int64."""
    top, left, bottom, right = window.padding
    padded = np.pad(image.astype(np.int64), ((top, bottom), (left, right), (0, 0)), constant_values=fill)
    seen = np.zeros((window.output_height, window.output_width, *window.kernel, window.channels), np.int64)
    for y, x, ky, kx in np.ndindex(*seen.shape[:4]):
        at = (y * window.stride[0] + ky * window.dilation[0], x * window.stride[1] + kx * window.dilation[1])
        seen[y, x, ky, kx] = padded[at]
    return seen


def requantised(
    sums: Array, bias: Array, multipliers: Sequence[Multiplier], zero: int, low: int = -128, high: int = 127
) -> Array:
    """Bring accumulators, channels last, to int8."""
    scaled = np.stack([quantized.scale(sums[..., c] + bias[c], by) for c, by in enumerate(multipliers)], axis=-1)
    return np.clip(scaled + zero, low, high).astype(np.int8)


def half_away(total: Array, count: Array | int) -> Array:
    """Divide, rounding half away from zero."""
    return np.sign(total) * ((np.abs(total) + np.asarray(count) // 2) // count)


def grouped_sums(seen: Array, weights: Array, groups: int) -> Array:
    """Sum products: what every output sees, minus its zero point, times weights (output, row, column, input)."""
    parts = zip(np.split(seen, groups, axis=-1), np.split(weights.astype(np.int64), groups), strict=True)
    return np.concatenate([np.einsum("yxklc,oklc->yxo", part, weight) for part, weight in parts], axis=-1)


def softmax_row(logits: Array, table: Array) -> Array:
    """One row, by gemmlowp's definitions on Python integers."""
    below = [int(max(logits)) - int(logit) for logit in logits]
    exponentials = [int(table[d]) if d < len(table) else 0 for d in below]
    total = sum(int(quantized.divide_by_power(each, 12)) for each in exponentials)
    zeros = 32 - total.bit_length()
    fraction = (total << zeros) - 2**31
    half = (fraction + 2**31 - 1 + 1) // 2
    x = 1515870810 + int(quantized.multiply_high(half, -1010580540))
    for _ in range(3):
        error = 2**29 - int(quantized.multiply_high(half, x))
        x += int(quantized.multiply_by_power(quantized.multiply_high(x, error), 2))
    reciprocal = min(2 * x, 2**31 - 1)
    products = [quantized.multiply_high(reciprocal, each) for each in exponentials]
    return np.array([int(quantized.divide_by_power(each, 12 - zeros + 31 - 8)) - 128 for each in products])


def apply(layer: layers.Layer, inputs: Sequence[Array]) -> Array:
    """Compute a layer on one sample, inputs in the shapes of its values."""
    match layer:
        case layers.Convolution():
            return _convolution(layer, inputs[0])
        case layers.FullyConnected():
            sums = (inputs[0].astype(np.int64) - layer.inputs[0].zero_point) @ layer.weights.T.astype(np.int64)
            return _finished(layer, sums)
        case layers.Addition():
            return _addition(layer, inputs)
        case layers.AveragePool():
            seen, inside = (patches(layer.window, each, 0) for each in (inputs[0], np.ones_like(inputs[0])))
            mean = half_away(seen.sum(axis=(2, 3)), inside.sum(axis=(2, 3)))
            return np.clip(mean, layer.clamp.low, layer.clamp.high).astype(np.int8)
        case layers.MaxPool():
            largest = patches(layer.window, inputs[0], -128).max(axis=(2, 3))
            return np.clip(largest, layer.clamp.low, layer.clamp.high).astype(np.int8)
        case layers.Concatenate():
            return np.concatenate([each.reshape(layer.rows, -1) for each in inputs], axis=1)
        case layers.Mean():
            return _mean(layer, inputs[0])
        case layers.Multiplication():
            return _multiplication(layer, inputs)
        case layers.Padding():
            return np.pad(inputs[0], layer.widths, constant_values=layer.fill)
        case layers.Softmax():
            table = quantized.softmax_exponentials(layer.inputs[0].scale)
            rows = inputs[0].reshape(layer.rows, layer.classes)
            found = np.stack([softmax_row(row, table) for row in rows])
            return np.clip(found, -128, 127).astype(np.int8)
        case layers.Resize():
            return _resized(layer, inputs[0])
    raise TypeError(type(layer).__name__)


def _convolution(layer: layers.Convolution, image: Array) -> Array:
    zero = layer.inputs[0].zero_point
    return _finished(layer, grouped_sums(patches(layer.window, image, zero) - zero, layer.weights, layer.groups))


def _finished(layer: layers.Product, sums: Array) -> Array:
    factors = quantized.accumulator_factors(layer.inputs[0].scale, layer.weight_scales, layer.output.scale)
    by = [quantized.multiplier(factor) for factor in factors]
    return requantised(sums, layer.bias, by, layer.output.zero_point, layer.clamp.low, layer.clamp.high)


def _addition(layer: layers.Addition, inputs: Sequence[Array]) -> Array:
    scales = [value.scale for value in layer.inputs]
    part, total = addition.multipliers(max(scales), min(scales), layer.output.scale)
    half = Multiplier(value=2**30, shift=0)
    sums = sum(
        quantized.scale(
            (numbers.astype(np.int64) - value.zero_point) << quantized.ADD_LEFT_SHIFT,
            half if value.scale == max(scales) else part,
        )
        for numbers, value in zip(inputs, layer.inputs, strict=True)
    )
    scaled = quantized.scale(np.asarray(sums), total) + layer.output.zero_point
    return np.clip(scaled, layer.clamp.low, layer.clamp.high).astype(np.int8)


def _mean(layer: layers.Mean, image: Array) -> Array:
    sums = (image.reshape(layer.pixels, -1).astype(np.int64) - layer.inputs[0].zero_point).sum(axis=0)
    by = quantized.mean_multiplier(layer.inputs[0].scale, layer.output.scale, layer.pixels)
    mean = quantized.scale(sums, by) + layer.output.zero_point
    return np.clip(mean, layer.clamp.low, layer.clamp.high).astype(np.int8)


def _multiplication(layer: layers.Multiplication, inputs: Sequence[Array]) -> Array:
    first, second = (
        numbers.astype(np.int64) - value.zero_point for numbers, value in zip(inputs, layer.inputs, strict=True)
    )
    by = quantized.multiplier(layer.inputs[0].scale * layer.inputs[1].scale / layer.output.scale)
    product = quantized.scale(first * second, by) + layer.output.zero_point
    return np.clip(product, layer.clamp.low, layer.clamp.high).astype(np.int8)


def _resized(layer: layers.Resize, image: Array) -> Array:
    """Each pixel alone, in exact integers."""
    if layer.rows.shape[1] == 1:
        return image[layer.rows][:, 0][:, layer.columns[:, 0]]
    made = np.zeros((len(layer.rows), len(layer.columns), image.shape[-1]), np.int8)
    for y, (above, below, down) in enumerate(layer.rows.tolist()):
        for x, (left, right, across) in enumerate(layer.columns.tolist()):
            upper = image[above, left].astype(np.int64) * (ONE - across) + image[above, right].astype(np.int64) * across
            lower = image[below, left].astype(np.int64) * (ONE - across) + image[below, right].astype(np.int64) * across
            made[y, x] = half_away(upper * (ONE - down) + lower * down, ONE * ONE)
    return made
