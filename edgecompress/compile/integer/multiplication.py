"""The product of two int8 tensors, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax

from edgecompress.compile.integer import layers
from edgecompress.compile.integer.builder import Builder, NoMatchError, Target
from edgecompress.compile.integer.graph import Constant
from edgecompress.compile.integer.layers import Value
from edgecompress.compile.integer.views import Axes, View, channels_last, identity
from edgecompress.core.values import Array


def multiplication(builder: Builder, target: Target, expression: Any, call: relax.Call) -> View:
    """Two tensors, or one and a constant; one may have a number a channel for a whole image.

    A product of one tensor by itself or by a scalar is a table in an ONNX network (tables.py), which rounds once.
    """
    constants = [builder.graph.constant(argument) for argument in call.args]
    if constants == [None, None]:
        return _tensors_multiplied(builder, target, expression, call)
    (position,) = (place for place, constant in enumerate(constants) if constant is None)
    constant = constants[1 - position]
    assert constant is not None
    if constant.values.size == 1 and builder.arithmetic == "onnx":
        raise NoMatchError(f"{builder.label(expression)} (multiply) multiplies by one number")
    return _times_constant(builder, target, expression, call.args[position], constant)


def _tensors_multiplied(builder: Builder, target: Target, expression: Any, call: relax.Call) -> View:
    first, second = sorted((builder.quantized(each) for each in call.args), key=lambda view: -view.elements)
    first = builder.in_memory(first)
    if first.value == second.value and builder.arithmetic == "onnx":
        raise NoMatchError(f"{builder.label(expression)} (multiply) multiplies a tensor by itself")
    if len(first.shape) != len(second.shape):
        raise NoMatchError(f"{builder.label(expression)} (multiply) multiplies shapes {first.shape} and {second.shape}")
    order = _common_order(builder, expression, first, second)
    first, second = builder.in_order(first, order), builder.in_order(second, order)
    return builder.emit(
        target,
        first.shape,
        first.order,
        layers.Multiplication,
        inputs=(first.value, second.value),
        clamp=target.clamp,
    )


def _times_constant(builder: Builder, target: Target, expression: Any, data: Any, constant: Constant) -> View:
    view = builder.in_memory(builder.quantized(data))
    if not constant.is_quantized or constant.scale.size != 1:
        raise NoMatchError(f"{builder.label(expression)} (multiply) has a constant that is not int8 with one scale")
    shift = 128 if constant.values.dtype == np.uint8 else 0
    aligned = (constant.values.astype(np.int16) - shift).reshape(_aligned(constant.values.shape, len(view.shape)))
    numbers: Array = aligned
    if not _is_row(view.shape, aligned.shape, view.order):
        numbers = np.broadcast_to(aligned, view.shape)
    numbers = np.ascontiguousarray(numbers.transpose(view.order), np.int8)
    value = Value(
        name=builder.unique(f"{target.variable.name}_factor"),
        shape=numbers.shape,
        scale=float(constant.scale.item()),
        zero_point=int(constant.zero_point.item()) - shift,
    )
    return builder.emit(
        target,
        view.shape,
        view.order,
        layers.Multiplication,
        inputs=(view.value,),
        clamp=target.clamp,
        constant=layers.ConstantTensor(value=value, numbers=numbers),
    )


def _aligned(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The shape with axes of one element before it."""
    return (*(1 for _ in range(rank - len(shape))), *shape)


def _common_order(builder: Builder, expression: Any, first: View, second: View) -> Axes:
    """The order of memory in which the second tensor is as large as the first, or a row of it."""
    rank = len(first.shape)
    for order in (first.order, channels_last(rank), identity(rank)):
        if _is_row(first.shape, second.shape, order):
            return order
    shapes = f"{first.shape} and {second.shape}"
    raise NoMatchError(f"{builder.label(expression)} (multiply) multiplies shapes {shapes}; one must be a row of many")


def _is_row(shape: tuple[int, ...], part: tuple[int, ...], order: Axes) -> bool:
    """True when a tensor repeats along memory: its outer axes have one element, the others all that there are."""
    ordered = [(shape[axis], part[axis]) for axis in order]
    whole = next((place for place, (_, extent) in enumerate(ordered) if extent != 1), len(ordered))
    return all(extent == own for extent, own in ordered[whole:])
