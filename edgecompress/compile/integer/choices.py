"""The kernels of layers that take the same one on every core: with their constants and scalars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgecompress.compile import quantized
from edgecompress.compile.integer import layers
from edgecompress.compile.integer.chosen import Chosen
from edgecompress.compile.kernels import (
    at_least,
    copying,
    elementwise,
    matrix_product,
    multiplication,
    padding,
    pool,
    resampling,
    slicing,
    softmax,
)
from edgecompress.core.bundle import EARLY_EXIT, LATE_EXIT


def _average_pool(layer: layers.AveragePool) -> Chosen:
    shape = pool.AveragePool(window=layer.window)
    return Chosen(
        op="average_pool",
        name=shape.name,
        build=lambda: pool.build_average(shape),
        shape=shape,
        scalars=[layer.clamp.low, layer.clamp.high],
        inputs=layer.inputs,
    )


def _max_pool(layer: layers.MaxPool) -> Chosen:
    shape = pool.MaxPool(window=layer.window)
    return Chosen(
        op="max_pool",
        name=shape.name,
        build=lambda: pool.build_max(shape),
        shape=shape,
        scalars=[layer.clamp.low, layer.clamp.high],
        inputs=layer.inputs,
    )


def _mean(layer: layers.Mean) -> Chosen:
    shape = pool.Mean(pixels=layer.pixels, channels=layer.channels)
    source = layer.inputs[0]
    factor = quantized.mean_multiplier(source.scale, layer.output.scale, layer.pixels)
    if factor.shift > 0 and 255 * layer.pixels << factor.shift > quantized.INT32_MAX:
        raise ValueError(f"the sum of {layer.pixels:,} pixels overflows when it is scaled by 2**{factor.shift}")
    return Chosen(
        op="mean",
        name=shape.name,
        build=lambda: pool.build_mean(shape),
        shape=shape,
        scalars=[source.zero_point, factor.value, factor.shift, *_output_scalars(layer)],
        inputs=layer.inputs,
    )


def _softmax(layer: layers.Softmax) -> Chosen:
    table = quantized.softmax_exponentials(layer.inputs[0].scale)
    output = layer.output
    rescales = (output.scale, output.zero_point) != (softmax.TFLITE_SCALE, softmax.TFLITE_ZERO_POINT)
    shape = softmax.Softmax(rows=layer.rows, classes=layer.classes, table=len(table), rescales=rescales)
    scalars: list[int] = []
    if rescales:
        factor = quantized.multiplier(1 / (2.0**softmax.FINE_BITS * output.scale))
        if factor.shift > -1:
            raise ValueError(f"an output scale of {output.scale:g} is too small for a softmax")
        scalars = [factor.value, -factor.shift - 1, output.zero_point]
    return Chosen(
        op="softmax",
        name=shape.name,
        build=lambda: softmax.build(shape),
        shape=shape,
        constants={"exponentials": table},
        scalars=scalars,
        inputs=layer.inputs,
    )


def _rescale(layer: layers.Rescale) -> Chosen:
    shape = elementwise.Lookup(elements=layer.output.elements)
    source, target = ((value.scale, value.zero_point) for value in (layer.inputs[0], layer.output))
    rescale_table = quantized.RESCALE_TABLES[layer.arithmetic]
    table = rescale_table(source, target, (layer.clamp.low, layer.clamp.high))
    return Chosen(
        op="rescale",
        name=shape.name,
        build=lambda: elementwise.build_lookup(shape),
        shape=shape,
        constants={"table": table},
        inputs=layer.inputs,
    )


def _lookup(layer: layers.Lookup) -> Chosen:
    shape = elementwise.Lookup(elements=layer.output.elements)
    return Chosen(
        op="lookup",
        name=shape.name,
        build=lambda: elementwise.build_lookup(shape),
        shape=shape,
        constants={"table": layer.table},
        inputs=layer.inputs,
    )


def _quantize(layer: layers.Quantize) -> Chosen:
    shape = elementwise.Quantize(shape=layer.shape, axes=layer.axes)
    return Chosen(
        op="quantize",
        name=shape.name,
        build=lambda: elementwise.build_quantize(shape),
        shape=shape,
        scalars=[_float_bits(layer.output.scale), layer.output.zero_point],
        inputs=layer.inputs,
    )


def _dequantize(layer: layers.Dequantize) -> Chosen:
    shape = elementwise.Dequantize(elements=layer.output.elements)
    source = layer.inputs[0]
    return Chosen(
        op="dequantize",
        name=shape.name,
        build=lambda: elementwise.build_dequantize(shape),
        shape=shape,
        scalars=[_float_bits(source.scale), source.zero_point],
        inputs=layer.inputs,
    )


def _flip_sign(layer: layers.FlipSign) -> Chosen:
    shape = elementwise.FlipSign(elements=layer.output.elements, to_int8=layer.output.dtype == "int8")
    return Chosen(
        op="flip_sign", name=shape.name, build=lambda: elementwise.build_flip_sign(shape), inputs=layer.inputs
    )


def _transpose(layer: layers.Transpose) -> Chosen:
    shape = elementwise.Transpose(shape=layer.shape, axes=layer.axes)
    return Chosen(
        op="transpose",
        name=shape.name,
        build=lambda: elementwise.build_transpose(shape),
        shape=shape,
        inputs=layer.inputs,
    )


def _concatenate(layer: layers.Concatenate) -> Chosen:
    shape = elementwise.Concatenate(rows=layer.rows, runs=layer.runs)
    return Chosen(
        op="concatenate", name=shape.name, build=lambda: elementwise.build_concatenate(shape), inputs=layer.inputs
    )


def _matrix_product(layer: layers.MatrixProduct) -> Chosen:
    first, second = layer.inputs
    factor = quantized.multiplier(float(np.float64(first.scale) * np.float64(second.scale) / layer.output.scale))
    worst = layer.shape.depth * 255 * 255 << max(factor.shift, 0)
    if worst > quantized.INT32_MAX:
        raise ValueError(f"its sums can reach {worst:,}, and an int32 holds {quantized.INT32_MAX:,}")
    return Chosen(
        op="matrix_product",
        name=layer.shape.name,
        build=lambda: matrix_product.build(layer.shape),
        shape=layer.shape,
        scalars=[first.zero_point, second.zero_point, factor.value, factor.shift, *_output_scalars(layer)],
        inputs=layer.inputs,
    )


def _slice(layer: layers.Slice) -> Chosen:
    return Chosen(op="slice", name=layer.shape.name, build=lambda: slicing.build(layer.shape), inputs=layer.inputs)


def _multiplication(layer: layers.Multiplication) -> Chosen:
    constant = layer.constant
    operands = layer.inputs if constant is None else (*layer.inputs, constant.value)
    first, second = operands
    factor = quantized.multiplier(float(np.float64(first.scale) * np.float64(second.scale) / layer.output.scale))
    worst = 255 * 255 << max(factor.shift, 0)
    if worst > quantized.INT32_MAX:
        raise ValueError(f"its products can reach {worst:,}, and an int32 holds {quantized.INT32_MAX:,}")
    run = second.elements
    shape = multiplication.Multiplication(
        rows=first.elements // run, run=run, repeats=first.elements > run, scales_up=factor.shift > -1
    )
    return Chosen(
        op="multiply",
        name=shape.name,
        build=lambda: multiplication.build(shape),
        scalars=[first.zero_point, second.zero_point, factor.value, factor.shift, *_output_scalars(layer)],
        inputs=(first, second),
        operands={} if constant is None else {constant.value.name: constant.numbers},
    )


def _padding(layer: layers.Padding) -> Chosen:
    shape = padding.merged(layer.inputs[0].shape, layer.widths)
    return Chosen(
        op="pad", name=shape.name, build=lambda: padding.build(shape), scalars=[layer.fill], inputs=layer.inputs
    )


def _resize(layer: layers.Resize) -> Chosen:
    height, width, channels = layer.inputs[0].shape[-3:]
    shape = resampling.Resampling(
        height=height,
        width=width,
        channels=channels,
        output_height=len(layer.rows),
        output_width=len(layer.columns),
        is_linear=layer.rows.shape[1] > 1,
    )
    return Chosen(
        op="resize",
        name=shape.name,
        build=lambda: resampling.build(shape),
        constants={
            "rows": resampling.places(layer.rows, width * channels),
            "columns": resampling.places(layer.columns, channels),
        },
        inputs=layer.inputs,
    )


def _at_least(layer: layers.AtLeast) -> Chosen:
    shape = at_least.AtLeast(elements=layer.inputs[0].elements)
    return Chosen(
        op="at_least",
        name=shape.name,
        build=lambda: at_least.build(shape),
        scalars=[layer.bound],
        inputs=layer.inputs,
    )


def _early_exit(layer: layers.EarlyExit) -> Chosen:
    taken, condition = layer.inputs
    shape = copying.Copy(bytes=layer.output.elements)
    return Chosen(
        op=EARLY_EXIT,
        name=shape.name,
        build=lambda: copying.build(shape),
        inputs=(taken,),
        condition=condition.name,
    )


def _late_exit(layer: layers.LateExit) -> Chosen:
    shape = copying.Copy(bytes=layer.output.elements)
    return Chosen(op=LATE_EXIT, name=shape.name, build=lambda: copying.build(shape), inputs=layer.inputs)


def _output_scalars(layer: Any) -> list[int]:
    return [layer.output.zero_point, layer.clamp.low, layer.clamp.high]


def _float_bits(value: float) -> int:
    return int(np.array(value, "<f4").view("<i4"))


CHOICES: dict[type[layers.Layer], Callable[[Any], Chosen]] = {
    layers.AveragePool: _average_pool,
    layers.MaxPool: _max_pool,
    layers.Mean: _mean,
    layers.Softmax: _softmax,
    layers.Rescale: _rescale,
    layers.Lookup: _lookup,
    layers.Quantize: _quantize,
    layers.Dequantize: _dequantize,
    layers.FlipSign: _flip_sign,
    layers.Transpose: _transpose,
    layers.Concatenate: _concatenate,
    layers.MatrixProduct: _matrix_product,
    layers.Slice: _slice,
    layers.Multiplication: _multiplication,
    layers.Padding: _padding,
    layers.Resize: _resize,
    layers.AtLeast: _at_least,
    layers.EarlyExit: _early_exit,
    layers.LateExit: _late_exit,
}
