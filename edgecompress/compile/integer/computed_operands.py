"""Layers of attention: products of two tensors that are both computed, and parts of a tensor."""

from __future__ import annotations

from typing import Any

from tvm import relax

from edgecompress.compile.integer import layers
from edgecompress.compile.integer.builder import Builder, NoMatchError, Target
from edgecompress.compile.integer.graph import shape_of
from edgecompress.compile.integer.views import View, identity
from edgecompress.compile.kernels.matrix_product import MatrixProduct
from edgecompress.compile.kernels.slicing import Slice


def matrix_product(builder: Builder, target: Target, expression: Any, call: relax.Call) -> View:
    """The product of two tensors, batch by batch. They are read as they lie, if the sums run along memory."""
    first, second = (builder.quantized(argument) for argument in call.args)
    rank = len(first.shape)
    if len(second.shape) != rank or first.shape[:-2] != second.shape[:-2]:
        raise NoMatchError(
            f"{builder.label(expression)} (matmul) multiplies shapes {first.shape} and {second.shape}; "
            "their batches must be equal"
        )
    first = _along_memory(builder, first, rank - 1)
    second = _along_memory(builder, second, rank - 2)
    batch = range(rank - 2)
    shape = MatrixProduct(
        batches=first.shape[:-2],
        rows=first.shape[-2],
        columns=second.shape[-1],
        depth=first.shape[-1],
        first_strides=tuple(_strides(first)[axis] for axis in (*batch, rank - 2)),
        second_strides=tuple(_strides(second)[axis] for axis in (*batch, rank - 1)),
    )
    return builder.emit(
        target,
        shape_of(call),
        identity(rank),
        layers.MatrixProduct,
        inputs=(first.value, second.value),
        shape=shape,
        clamp=target.clamp,
    )


def part(builder: Builder, target: Target, _expression: Any, call: relax.Call) -> View:
    """A part of a tensor, rescaled afterwards where the scale changes."""
    view = builder.quantized(call.args[0])
    return builder.rescale(target, cut(builder, target.at(view.value), view, call))


def cut(builder: Builder, target: Target, view: View, call: relax.Call) -> View:
    """Copy a part of a tensor, in the order in which it lies."""
    view = builder.in_memory(view)
    axes, begins, ends = (_integers(argument) for argument in call.args[1:4])
    steps = _integers(call.args[4]) if len(call.args) > 4 else [1] * len(axes)
    ranges = [range(extent) for extent in view.shape]
    for axis, begin, end, step in zip(axes, begins, ends, steps, strict=True):
        extent = view.shape[axis]
        ranges[axis] = range(*slice(begin, end, step).indices(extent))
    stored = [ranges[axis] for axis in view.order]
    shape = Slice(
        shape=view.stored_shape,
        begins=tuple(each.start for each in stored),
        extents=tuple(len(each) for each in stored),
        steps=tuple(each.step for each in stored),
    )
    return builder.emit(target, shape_of(call), view.order, layers.Slice, inputs=(view.value,), shape=shape)


def _along_memory(builder: Builder, view: View, axis: int) -> View:
    """The same tensor with neighbours along an axis side by side."""
    view = builder.in_memory(view)
    if view.shape[axis] == 1 or _strides(view)[axis] == 1:
        return view
    others = [each for each in identity(len(view.shape)) if each != axis]
    return builder.in_order(view, (*others, axis))


def _strides(view: View) -> list[int]:
    """How far neighbours lie apart along each axis."""
    strides = [0] * len(view.shape)
    distance = 1
    for axis in reversed(view.order):
        strides[axis] = distance
        distance *= view.shape[axis]
    return strides


def _integers(values: Any) -> list[int]:
    """The numbers of an operand that is a tuple of integers."""
    fields = getattr(values, "fields", None)
    return [int(getattr(value, "value", value)) for value in (fields if fields is not None else values)]
