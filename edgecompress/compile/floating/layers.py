"""Float convolution and matrix multiplication as tensor expressions that can be register-tiled.

A tile of neighbouring results is computed at a time and kept in registers: a loaded weight then serves every pixel of
the tile, a loaded input every channel. Weights are packed beforehand so that the inner loop reads them in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import product

import numpy as np
import tvm
from tvm import relax, te, tirx

from edgecompress.compile.schedule import ORDER, PACKED, TILE, read_together
from edgecompress.core.values import Array

ACCUMULATORS = 16
"""Results kept in registers: half of a Cortex-M4F's 32 float registers, and as much as lower.py leaves on the stack."""

DEPTHWISE_ACCUMULATORS = 8
"""The same for depthwise convolutions, whose weights stay in registers too."""

_OUT_ELEMENTWISE_FUSABLE = 4
"""relax.OpPatternKind: elementwise operators that follow may be fused into this kernel."""

Pixels = Callable[..., tirx.Expr]
"""An image as a function of (n, c, *position)."""


def legalize_convolution(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """Lower a convolution in 1, 2 or 3 dimensions (output channels first); computed weights take TVM's own way."""
    data, weights = call.args
    if not isinstance(weights, tvm.ir.GenericConst):
        return _by_tvm(builder, call)
    _, channels, *extents = _shape(call)
    group_channels = channels // int(call.attrs.groups)
    accumulators = ACCUMULATORS if group_channels > 1 else DEPTHWISE_ACCUMULATORS
    tile = choose_tile((group_channels, *extents), accumulators)
    packed = relax.const(pack(weights.value.numpy(), tile[0]))
    name = f"conv{len(extents)}d"
    return builder.call_te(
        lambda x, w: _convolution(x, w, call, tile),
        data,
        packed,
        primfunc_name_hint=name if group_channels > 1 else f"depthwise_{name}",
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
    "relax.nn.conv1d": legalize_convolution,
    "relax.nn.conv2d": legalize_convolution,
    "relax.nn.conv3d": legalize_convolution,
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
    return min(tiles, key=lambda tile: (1 / tile[0] + _weight_loads(tile[0]) / math.prod(tile), tile))


def _weight_loads(together: int) -> int:
    """Count the instructions that load the weights of a tile: neighbours come at once, at an address of their own."""
    size = read_together(together)
    return together if size == 1 else 2 * together // size


def pack(weights: Array, channels: int) -> Array:
    """Put the weights (outputs, ...) of neighbouring outputs side by side: (outputs / channels, ..., channels)."""
    outputs, *inner = weights.shape
    return np.ascontiguousarray(np.moveaxis(weights.reshape(outputs // channels, channels, *inner), 1, -1))


def _divisors(number: int, limit: int) -> list[int]:
    return [divisor for divisor in range(1, min(number, limit) + 1) if number % divisor == 0]


def _shape(value: relax.Expr) -> tuple[int, ...]:
    return _integers(value.ty.shape.values)


def _by_tvm(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    return call.op.get_attr("FLegalize")(builder, call)


def _convolution(x: te.Tensor, w: te.Tensor, call: relax.Call, tile: tuple[int, ...]) -> te.Tensor:
    """Convolve x with packed weights w (outputs / t, inputs of a group, *kernel, t)."""
    attributes = call.attrs
    strides, dilations = _integers(attributes.strides), _integers(attributes.dilation)
    _, group_inputs, *kernel, together = _integers(w.shape)
    shape = _shape(call)
    group_outputs = shape[1] // int(attributes.groups)
    padded = _pad(x, str(attributes.data_layout), _integers(attributes.padding))
    channel = te.reduce_axis((0, group_inputs), "channel")
    taps = [te.reduce_axis((0, extent), "tap") for extent in kernel]

    def sum_products(n: tirx.Var, c: tirx.Var, *position: tirx.Var) -> tirx.Expr:
        source = (c // group_outputs) * group_inputs + channel
        at = [p * s + tap * d for p, s, tap, d in zip(position, strides, taps, dilations, strict=True)]
        weight = w[c // together, channel, *taps, c % together]
        return te.sum(padded(n, source, *at) * weight, axis=[channel, *taps])

    order = list(range(len(shape)))
    if group_outputs > 1:  # all channels of a row, so that it is padded once
        order[1], order[2] = 2, 1
    return te.compute(shape, sum_products, name="sums", attrs={TILE: [1, *tile], ORDER: order, PACKED: 1})


def _pad(x: te.Tensor, layout: str, padding: tuple[int, ...]) -> Pixels:
    """Read an image (channels first, or NHWC) with zeros around it; `padding` has all begins, then all ends."""

    def unpadded(n: tirx.Var, c: tirx.Expr, *position: tirx.Expr) -> tirx.Expr:
        return x[n, *position, c] if layout == "NHWC" else x[n, c, *position]

    if not any(padding):
        return unpadded
    batch, *extents = _integers(x.shape)
    channels = extents.pop(-1 if layout == "NHWC" else 0)
    begins, ends = padding[: len(extents)], padding[len(extents) :]
    sizes = [before + extent + after for before, extent, after in zip(begins, extents, ends, strict=True)]

    def bordered(n: tirx.Var, c: tirx.Var, *position: tirx.Var) -> tirx.Expr:
        triples = list(zip(position, begins, extents, strict=True))
        inside = [tirx.all(p >= before, p < before + extent) for p, before, extent in triples]
        value = unpadded(n, c, *(p - before for p, before, _ in triples))
        return tirx.if_then_else(tirx.all(*inside), value, tirx.const(0.0, "float32"))

    copy = te.compute((batch, channels, *sizes), bordered, name="pad")
    return lambda *index: copy[index]


def _integers(values: Iterable[tirx.Expr]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _dense(x: te.Tensor, w: te.Tensor, tile: tuple[int, ...]) -> te.Tensor:
    """Multiply x (..., inputs) with packed weights w (outputs / t, inputs, t)."""
    blocks, inputs, together = _integers(w.shape)
    k = te.reduce_axis((0, inputs), "k")

    def sum_products(*index: tirx.Var) -> tirx.Expr:
        *row, column = index
        return te.sum(x[*row, k] * w[column // together, k, column % together], axis=[k])

    shape = (*x.shape[:-1], blocks * together)
    tile = (*[1] * (len(shape) - 2), *tile)
    attributes = {TILE: list(tile), ORDER: list(range(len(shape))), PACKED: len(shape) - 1}
    return te.compute(shape, sum_products, name="sums", attrs=attributes)
