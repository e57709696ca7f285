"""Float convolution, pooling and matrix multiplication as tensor expressions that can be register-tiled.

A tile of neighbouring results is computed at a time and kept in registers: a loaded weight then serves every pixel of
the tile, a loaded input every channel. Weights are packed beforehand so that the inner loop reads them in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import tvm
from tvm import relax, te, tirx

from edgecompress.compile.schedule import ORDER, TILE
from edgecompress.core.values import Array

ACCUMULATORS = 16
"""Results kept in registers: half of a Cortex-M4F's 32 float registers, and as much as lower.py leaves on the stack."""

DEPTHWISE_ACCUMULATORS = 8
"""The same for depthwise convolutions, whose weights stay in registers too."""

_OUT_ELEMENTWISE_FUSABLE = 4
"""relax.OpPatternKind: elementwise operators that follow may be fused into this kernel."""

Pixels = Callable[[tirx.Var, tirx.Expr, tirx.Expr, tirx.Expr], tirx.Expr]
"""An image as a function of (n, c, y, x)."""


def legalize_conv2d(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """Lower a 2-D convolution (data NCHW or NHWC, output NCHW); computed weights take TVM's own way."""
    data, weights = call.args
    if not isinstance(weights, tvm.ir.GenericConst):
        return _by_tvm(builder, call)
    _, channels, height, width = _shape(call)
    group_channels = channels // int(call.attrs.groups)
    accumulators = ACCUMULATORS if group_channels > 1 else DEPTHWISE_ACCUMULATORS
    tile = choose_tile((group_channels, height, width), accumulators)
    packed = relax.const(pack(weights.value.numpy(), tile[0]))
    return builder.call_te(
        lambda x, w: _conv2d(x, w, call, tile),
        data,
        packed,
        primfunc_name_hint="conv2d" if group_channels > 1 else "depthwise_conv2d",
        primfunc_attrs={"op_pattern": _OUT_ELEMENTWISE_FUSABLE},
    )


def legalize_matmul(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """Lower x @ weights, the weights a constant matrix; every other product takes TVM's own way."""
    data, weights = call.args
    if not isinstance(weights, tvm.ir.GenericConst) or weights.ty.ndim != 2 or data.ty.ndim < 2:
        return _by_tvm(builder, call)
    tile = choose_tile(_shape(call)[-2:], ACCUMULATORS)
    packed = relax.const(pack(weights.value.numpy().T, tile[1]))
    return builder.call_te(
        lambda x, w: _dense(x, w, tile),
        data,
        packed,
        primfunc_name_hint="dense",
        primfunc_attrs={"op_pattern": _OUT_ELEMENTWISE_FUSABLE},
    )


LEGALIZE: dict[str, Callable[[relax.BlockBuilder, relax.Call], relax.Expr]] = {
    "relax.nn.conv2d": legalize_conv2d,
    "relax.matmul": legalize_matmul,
}
"""What replaces TVM's lowering of an operator."""


def choose_tile(extents: tuple[int, ...], accumulators: int) -> tuple[int, ...]:
    """Choose the register tile that loads least per multiplication.

    The first extent is that of the weights' outputs, or the inputs' rows; the tile divides the extents.
    """
    tiles = [
        tile
        for tile in product(*(_divisors(extent, accumulators) for extent in extents))
        if math.prod(tile) <= accumulators
    ]
    return min(tiles, key=lambda tile: (1 / tile[0] + tile[0] / math.prod(tile), tile))


def pack(weights: Array, channels: int) -> Array:
    """Put the weights (outputs, ...) of neighbouring outputs side by side: (outputs / channels, ..., channels)."""
    outputs, *inner = weights.shape
    return np.ascontiguousarray(np.moveaxis(weights.reshape(outputs // channels, channels, *inner), 1, -1))


def _divisors(number: int, limit: int) -> list[int]:
    return [divisor for divisor in range(1, min(number, limit) + 1) if number % divisor == 0]


def _shape(value: relax.Expr) -> tuple[int, ...]:
    return tuple(int(extent) for extent in value.ty.shape.values)


def _by_tvm(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    return call.op.get_attr("FLegalize")(builder, call)


def _conv2d(x: te.Tensor, w: te.Tensor, call: relax.Call, tile: tuple[int, ...]) -> te.Tensor:
    """Convolve x with packed weights w (outputs / t, inputs of a group, height, width, t)."""
    attributes = call.attrs
    (stride_y, stride_x), (dilation_y, dilation_x) = _pair(attributes.strides), _pair(attributes.dilation)
    _, group_inputs, kernel_y, kernel_x, together = (int(extent) for extent in w.shape)
    shape = _shape(call)
    group_outputs = shape[1] // int(attributes.groups)
    padded = _pad(x, str(attributes.data_layout), tuple(int(side) for side in attributes.padding), 0.0)
    channel = te.reduce_axis((0, group_inputs), "ic")
    ky, kx = te.reduce_axis((0, kernel_y), "ky"), te.reduce_axis((0, kernel_x), "kx")

    def sum_products(n: tirx.Var, c: tirx.Var, y: tirx.Var, x: tirx.Var) -> tirx.Expr:
        source = (c // group_outputs) * group_inputs + channel
        value = padded(n, source, y * stride_y + ky * dilation_y, x * stride_x + kx * dilation_x)
        return te.sum(value * w[c // together, channel, ky, kx, c % together], axis=[channel, ky, kx])

    order = [0, 2, 1, 3] if group_outputs > 1 else [0, 1, 2, 3]
    return te.compute(shape, sum_products, name="sums", attrs={TILE: [1, *tile], ORDER: order})


def _pad(x: te.Tensor, layout: str, padding: tuple[int, ...], value: float) -> Pixels:
    """Read an image (NCHW or NHWC) with `value` around it, by (top, left, bottom, right)."""

    def unpadded(n: tirx.Var, c: tirx.Expr, row: tirx.Expr, column: tirx.Expr) -> tirx.Expr:
        return x[n, row, column, c] if layout == "NHWC" else x[n, c, row, column]

    if not any(padding):
        return unpadded
    top, left, bottom, right = padding
    batch, *extents = (int(extent) for extent in x.shape)
    height, width, channels = extents if layout == "NHWC" else (*extents[1:], extents[0])

    def bordered(n: tirx.Var, c: tirx.Var, row: tirx.Var, column: tirx.Var) -> tirx.Expr:
        inside = tirx.all(row >= top, row < height + top, column >= left, column < width + left)
        return tirx.if_then_else(inside, unpadded(n, c, row - top, column - left), tirx.const(value, "float32"))

    copy = te.compute((batch, channels, height + top + bottom, width + left + right), bordered, name="pad")
    return lambda n, c, row, column: copy[n, c, row, column]


def _pair(values: tvm.ir.Array) -> tuple[int, int]:
    first, second = (int(value) for value in values)
    return first, second


def _dense(x: te.Tensor, w: te.Tensor, tile: tuple[int, ...]) -> te.Tensor:
    """Multiply x (..., inputs) with packed weights w (outputs / t, inputs, t)."""
    blocks, inputs, together = (int(extent) for extent in w.shape)
    k = te.reduce_axis((0, inputs), "k")

    def sum_products(*index: tirx.Var) -> tirx.Expr:
        *row, column = index
        return te.sum(x[*row, k] * w[column // together, k, column % together], axis=[k])

    shape = (*x.shape[:-1], blocks * together)
    tile = (*[1] * (len(shape) - 2), *tile)
    return te.compute(shape, sum_products, name="sums", attrs={TILE: list(tile), ORDER: list(range(len(shape)))})
