"""One function for each real operator that can stand before a quantize: it makes the integer layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax

from edgecompress.compile.integer import computed_operands, early_exits, images, layers, products
from edgecompress.compile.integer.builder import Builder, NoMatchError, Target, WrongQuantizationError, elements
from edgecompress.compile.integer.graph import Constant, operator, pair, shape_of
from edgecompress.compile.integer.layers import Value
from edgecompress.compile.integer.multiplication import multiplication
from edgecompress.compile.integer.views import View, channels_last, identity
from edgecompress.compile.kernels.window import Window


def addition(builder: Builder, target: Target, expression: Any, call: relax.Call) -> View:
    """The sum of two tensors; what is added to a product as a constant is its bias."""
    constants = [builder.graph.constant(argument) for argument in call.args]
    if None not in constants or constants == [None, None]:
        return _tensors_added(builder, target, expression, call)
    data = call.args[constants.index(None)]
    if builder.real(data) is None:
        return product(builder, target, expression, call)
    return _constant_added(builder, target, expression, data, next(each for each in constants if each is not None))


def _tensors_added(builder: Builder, target: Target, expression: Any, call: relax.Call) -> View:
    a = builder.in_memory(builder.quantized(call.args[0]))
    b = builder.in_order(builder.quantized(call.args[1]), a.order)
    if a.shape != b.shape:
        raise NoMatchError(f"{builder.label(expression)} (add) adds shapes {a.shape} and {b.shape}; they must be equal")
    return builder.emit(target, a.shape, a.order, layers.Addition, inputs=(a.value, b.value), clamp=target.clamp)


def _constant_added(builder: Builder, target: Target, expression: Any, data: Any, constant: Constant) -> View:
    """Add a constant to a tensor, element by element: it is laid out in full."""
    view = builder.in_memory(builder.quantized(data))
    if constant.scale.size != 1 or constant.values.dtype not in (np.int8, np.uint8):
        raise NoMatchError(f"{builder.label(expression)} (add) adds a constant that is not int8 with one scale")
    shift = 128 if constant.values.dtype == np.uint8 else 0
    full = np.broadcast_to(constant.values.astype(np.int16) - shift, view.shape).transpose(view.order)
    second = Value(
        name=builder.unique(f"{target.variable.name}_addend"),
        shape=full.shape,
        scale=float(constant.scale.item()),
        zero_point=int(constant.zero_point.item()) - shift,
    )
    addend = layers.ConstantTensor(value=second, numbers=np.ascontiguousarray(full, np.int8))
    return builder.emit(
        target, view.shape, view.order, layers.Addition, inputs=(view.value,), clamp=target.clamp, addend=addend
    )


def product(builder: Builder, target: Target, expression: Any, call: relax.Call) -> View:
    """A convolution or a matrix product, with its bias; or a product of two tensors that are both computed."""
    if operator(call) == "relax.matmul" and builder.graph.constant(call.args[1]) is None:
        return computed_operands.matrix_product(builder, target, expression, call)
    found = products.find(builder.graph, expression, call)
    if isinstance(found, str):
        kind = WrongQuantizationError if isinstance(found, products.WrongQuantization) else NoMatchError
        raise kind(f"{builder.label(expression)}: {found}")
    nodes = tuple(dict.fromkeys((*builder.graph.nodes(found.variable), *target.nodes)))
    target = dataclasses.replace(target, nodes=nodes)
    if operator(found.call) == "relax.matmul":
        return _fully_connected(builder, target, found)
    return _convolution(builder, target, found)


def _convolution(builder: Builder, target: Target, found: products.Found) -> View:
    """A convolution over rows and columns; one over a line has a single row."""
    view = builder.operand(found.data)
    attrs = found.call.attrs
    weights = found.weights.values
    strides, dilation, padding = (tuple(map(int, each)) for each in (attrs.strides, attrs.dilation, attrs.padding))
    is_line = len(view.shape) == 3
    if is_line:
        view = view.reshaped((1, view.shape[1], 1, view.shape[2]))
        weights = weights[:, :, np.newaxis]
        strides, dilation, padding = (1, *strides), (1, *dilation), (0, padding[0], 0, padding[1])
    window = Window(
        height=view.shape[2],
        width=view.shape[3],
        channels=view.shape[1],
        kernel=pair(weights.shape[2:]),
        stride=pair(strides),
        dilation=pair(dilation),
        padding=(padding[0], padding[1], padding[2], padding[3]),
    )
    result = builder.emit(
        target,
        (1, len(weights), window.output_height, window.output_width),
        channels_last(4),
        layers.Convolution,
        inputs=(view.value,),
        weights=np.ascontiguousarray(weights.transpose(0, 2, 3, 1)),
        weight_scales=np.broadcast_to(found.weights.scale.reshape(-1), (len(weights),)),
        bias=found.bias_at(view.value.scale),
        clamp=target.clamp,
        window=window,
        groups=int(attrs.groups),
    )
    return result.reshaped((1, len(weights), window.output_width)) if is_line else result


def _fully_connected(builder: Builder, target: Target, found: products.Found) -> View:
    """Rows times a matrix. A flattened image is taken as it lies: its columns of the matrix move instead."""
    view = builder.quantized(found.data)
    weights = found.weights.values.T
    if view.before is not None and view.elements == weights.shape[1]:
        moved = np.empty_like(weights)
        moved[:, view.stored_index()] = weights
        weights = moved
    else:
        view = builder.in_order(view, identity(len(view.shape)))
    return builder.emit(
        target,
        (*view.shape[:-1], len(weights)),
        identity(len(view.shape)),
        layers.FullyConnected,
        inputs=(view.value,),
        weights=np.ascontiguousarray(weights),
        weight_scales=np.broadcast_to(found.weights.scale.reshape(-1), (len(weights),)),
        bias=found.bias_at(view.value.scale),
        clamp=target.clamp,
        rows=view.elements // weights.shape[1],
    )


def average_pool(builder: Builder, target: Target, expression: Any, call: relax.Call) -> View:
    """An average over a window. One over the whole image may change the scale, any other is rescaled afterwards."""
    view = builder.operand(call.args[0])
    window = _pool_window(builder, expression, call, view)
    if window.is_padded and call.attrs.count_include_pad:
        raise NoMatchError(f"{builder.label(expression)} (avg_pool2d) counts its padding (count_include_pad)")
    if target.is_at(view.value):
        return _pool(builder, target, layers.AveragePool, view, window)
    if (window.output_height, window.output_width) == (1, 1) and window.kernel == (window.height, window.width):
        return _mean(builder, target, view)
    pooled = _pool(builder, target.at(view.value), layers.AveragePool, view, window)
    return builder.rescale(target, pooled)


def max_pool(builder: Builder, target: Target, expression: Any, call: relax.Call) -> View:
    """The largest value of a window, rescaled afterwards where the scale changes."""
    view = builder.operand(call.args[0])
    window = _pool_window(builder, expression, call, view)
    if target.is_at(view.value):
        return _pool(builder, target, layers.MaxPool, view, window)
    return builder.rescale(target, _pool(builder, target.at(view.value), layers.MaxPool, view, window))


def mean(builder: Builder, target: Target, expression: Any, call: relax.Call) -> View:
    """The mean over rows and columns."""
    view = builder.operand(call.args[0])
    axes = sorted(int(axis) % len(view.shape) for axis in call.attrs.axis)
    if len(view.shape) != 4 or axes != [2, 3]:
        raise NoMatchError(f"{builder.label(expression)} (mean) runs over axes {axes}; only rows and columns can")
    if builder.arithmetic == "tflite" or not target.is_at(view.value):
        return _mean(builder, target, view).reshaped(shape_of(call))
    height, width = view.shape[2:]
    window = Window(height=height, width=width, channels=view.shape[1], kernel=(height, width))
    return _pool(builder, target, layers.AveragePool, view, window).reshaped(shape_of(call))


def softmax(builder: Builder, target: Target, expression: Any, call: relax.Call) -> View:
    """Softmax over the last axis."""
    view = builder.quantized(call.args[0])
    view = builder.in_order(view, identity(len(view.shape)))
    classes = view.shape[-1]
    if int(call.attrs.axis) % len(view.shape) != len(view.shape) - 1:
        raise NoMatchError(f"{builder.label(expression)} (softmax) runs over axis {call.attrs.axis}, not over the last")
    return builder.emit(
        target,
        view.shape,
        view.order,
        layers.Softmax,
        inputs=(view.value,),
        rows=view.elements // classes,
        classes=classes,
    )


def concatenation(builder: Builder, target: Target, _expression: Any, call: relax.Call) -> View:
    """Tensors side by side, each brought to the result's scale before."""
    parts = [builder.rescale(target, builder.operand(field)) for field in call.args[0].fields]
    order = channels_last(len(parts[0].shape))
    axis = int(call.attrs.axis) % len(order)
    inner = order[order.index(axis) :]
    runs = tuple(elements(tuple(part.shape[each] for each in inner)) for part in parts)
    shape = shape_of(call)
    return builder.emit(
        dataclasses.replace(target),
        shape,
        order,
        layers.Concatenate,
        inputs=tuple(part.value for part in parts),
        rows=elements(shape) // sum(runs),
        runs=runs,
    )


def _mean(builder: Builder, target: Target, view: View) -> View:
    _, channels, height, width = view.shape
    return builder.emit(
        target,
        (1, channels, 1, 1),
        channels_last(4),
        layers.Mean,
        inputs=(view.value,),
        pixels=height * width,
        channels=channels,
        clamp=target.clamp,
    )


def _pool(builder: Builder, target: Target, kind: type[layers.Layer], view: View, window: Window) -> View:
    shape = (1, window.channels, window.output_height, window.output_width)
    return builder.emit(target, shape, channels_last(4), kind, inputs=(view.value,), window=window, clamp=target.clamp)


def _pool_window(builder: Builder, expression: Any, call: relax.Call, view: View) -> Window:
    top, left, bottom, right = (int(side) for side in call.attrs.padding)
    window = Window(
        height=view.shape[2],
        width=view.shape[3],
        channels=view.shape[1],
        kernel=pair(call.attrs.pool_size),
        stride=pair(call.attrs.strides),
        dilation=pair(call.attrs.dilation),
        padding=(top, left, bottom, right),
    )
    if (window.output_height, window.output_width) != shape_of(call)[2:]:
        raise NoMatchError(f"{builder.label(expression)} (pooling) rounds its size up (ceil_mode)")
    return window


MAKERS: dict[str, Callable[[Builder, Target, Any, relax.Call], View]] = {
    "relax.add": addition,
    "relax.multiply": multiplication,
    "relax.nn.pad": images.pad,
    "relax.image.resize2d": images.resize,
    "relax.nn.conv1d": product,
    "relax.nn.conv2d": product,
    "relax.matmul": product,
    "relax.nn.avg_pool2d": average_pool,
    "relax.nn.max_pool2d": max_pool,
    "relax.mean": mean,
    "relax.nn.softmax": softmax,
    "relax.where": early_exits.selection,
    "relax.concat": concatenation,
    "relax.strided_slice": computed_operands.part,
}
