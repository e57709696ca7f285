"""One function for each TFLite operator: it adds the ONNX nodes that mean the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import tflite

from edgecompress.core.values import Array
from edgecompress.models import _tflite_resizing as resizing
from edgecompress.models import _tflite_windows as windows
from edgecompress.models._onnx_shapes import show
from edgecompress.models._tflite_graph import Graph, Layout, Shape, values_of
from edgecompress.models._tflite_products import bias, depthwise_weights, filter_weights, rows_weights
from edgecompress.models._tflite_records import DAMAGED, Operator

FIRST = Layout.CHANNELS_FIRST
CHANNELS_FIRST_AXES = (0, 2, 3, 1)
"""Where each axis of a stored image (batch, rows, columns, channels) stands when channels are first."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How an operator is converted, and how many tensors it reads at least and at most."""

    convert: Callable[[Graph, Operator], None]
    least: int = 1
    most: int = 1
    keeps_scale: bool = False
    """The result has the scale and zero point of every input: TFLite computes it on the numbers as stored."""


def convolution(graph: Graph, operator: Operator) -> None:
    """A convolution, in groups where the weights have fewer channels than the image."""
    weights = filter_weights(graph, operator)
    outputs, rows, columns, channels = weights.stored_shape
    _, _, _, image_channels = _image(graph, operator)
    if image_channels % channels or outputs % (image_channels // channels):
        reason = f"has weights {show(weights.stored_shape)} for an image of {image_channels:,} channels"
        raise graph.refusal(operator, reason, DAMAGED)
    _convolve(graph, operator, weights.value, (rows, columns), outputs, groups=image_channels // channels)


def depthwise_convolution(graph: Graph, operator: Operator) -> None:
    """A convolution of each channel by itself, to one or several outputs."""
    weights = depthwise_weights(graph, operator)
    _, rows, columns, outputs = weights.stored_shape
    _, _, _, channels = _image(graph, operator)
    if weights.stored_shape[0] != 1 or outputs % channels:
        reason = f"has weights {show(weights.stored_shape)} for an image of {channels:,} channels"
        raise graph.refusal(operator, reason, DAMAGED)
    _convolve(graph, operator, weights.value, (rows, columns), outputs, groups=channels)


def _convolve(
    graph: Graph, operator: Operator, weights: str, kernel: tuple[int, int], outputs: int, *, groups: int
) -> None:
    source, border = graph.borders.get(operator.inputs[0], (operator.inputs[0], windows.NO_BORDER))
    batch, rows, columns, _ = graph.tensor(source).shape
    window = windows.place(graph, operator, (rows, columns), kernel, border)
    inputs = [graph.real(source, FIRST), weights, *bias(graph, operator, outputs)]
    value = graph.node("Conv", inputs, graph.name(operator), group=groups, **window.attributes)
    graph.make(operator, _activated(graph, operator, value), (batch, *window.output, outputs), FIRST)


def fully_connected(graph: Graph, operator: Operator) -> None:
    """Rows times a matrix; what has more axes is reshaped to rows."""
    if graph.options(operator)["weights_format"] != tflite.FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise graph.refusal(operator, "has shuffled weights", "convert the network again, for any processor")
    weights = rows_weights(graph, operator)
    outputs, depth = weights.stored_shape
    data = operator.inputs[0]
    elements = math.prod(graph.tensor(data).shape)
    if elements % depth:
        reason = f"has weights {show(weights.stored_shape)} for {elements:,} elements"
        raise graph.refusal(operator, reason, DAMAGED)
    rows = elements // depth
    real = graph.real(data)
    if graph.tensor(data).shape != (rows, depth):
        real = _reshaped(graph, operator, real, (rows, depth), "rows")
    inputs = [real, weights.value, *bias(graph, operator, outputs)]
    value = _activated(graph, operator, graph.node("Gemm", inputs, graph.name(operator), transB=1))
    shape: Shape = (rows, outputs)
    said = graph.tensor(operator.outputs[0]).shape
    if said != shape and said[-1:] == (outputs,) and math.prod(said) == rows * outputs:  # keep_num_dims
        value, shape = _reshaped(graph, operator, value, said, "axes"), said
    graph.make(operator, value, shape)


def addition(graph: Graph, operator: Operator) -> None:
    """The sum of two tensors, of which one may be smaller."""
    _of_two(graph, operator, "Add", "adds")


def multiplication(graph: Graph, operator: Operator) -> None:
    """The product of two tensors, element by element; one may be smaller."""
    _of_two(graph, operator, "Mul", "multiplies")


def _of_two(graph: Graph, operator: Operator, kind: str, does: str) -> None:
    shapes = [graph.tensor(index).shape for index in operator.inputs]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        reason = f"{does} the shapes {show(shapes[0])} and {show(shapes[1])}"
        raise graph.refusal(operator, reason, DAMAGED) from None
    layout = _common_layout(graph, operator)
    value = graph.node(kind, [graph.real(index, layout) for index in operator.inputs], graph.name(operator))
    graph.make(operator, _activated(graph, operator, value), shape, layout)


def average_pool(graph: Graph, operator: Operator) -> None:
    """The average of a window; what lies outside of the image does not count."""
    _pool(graph, operator, "AveragePool")


def max_pool(graph: Graph, operator: Operator) -> None:
    """The largest value of a window."""
    _pool(graph, operator, "MaxPool")


def _pool(graph: Graph, operator: Operator, kind: str) -> None:
    batch, rows, columns, channels = _image(graph, operator)
    options = graph.options(operator)
    window = windows.place(graph, operator, (rows, columns), (options["filter_h"], options["filter_w"]))
    attributes = {name: each for name, each in window.attributes.items() if name != "dilations"}
    value = graph.node(kind, [graph.real(operator.inputs[0], FIRST)], graph.name(operator), **attributes)
    graph.make(operator, _activated(graph, operator, value), (batch, *window.output, channels), FIRST)


def mean(graph: Graph, operator: Operator) -> None:
    """The mean over axes."""
    data, axes_index = operator.inputs
    shape = graph.tensor(data).shape
    found = _integers(graph, operator, axes_index, "axes")
    if not all(-len(shape) <= axis < len(shape) for axis in found):
        raise graph.refusal(operator, f"runs over the axes {found} of {len(shape)}", DAMAGED)
    axes = sorted({axis % len(shape) for axis in found})
    keeps = bool(graph.options(operator)["keep_dims"])
    is_image = len(shape) == 4 and (keeps or axes == [1, 2])
    attributes = {
        "axes": sorted(CHANNELS_FIRST_AXES[axis] for axis in axes) if is_image else axes,
        "keepdims": int(keeps),
    }
    layout = FIRST if is_image else Layout.AS_STORED
    value = graph.node("ReduceMean", [graph.real(data, layout)], graph.name(operator), **attributes)
    kept = [1 if axis in axes else extent for axis, extent in enumerate(shape) if keeps or axis not in axes]
    graph.make(operator, value, tuple(kept), layout if keeps else Layout.AS_STORED)


def softmax(graph: Graph, operator: Operator) -> None:
    """Softmax over the last axis."""
    beta = graph.options(operator)["beta"]
    if beta != 1:
        raise graph.refusal(operator, f"has beta {beta:g}; only 1 can be read", "multiply the logits by it instead")
    data, result = graph.tensor(operator.inputs[0]), graph.tensor(operator.outputs[0])
    if result.quantization is not None:
        found = float(result.quantization.scales[0]), int(result.quantization.zero_points[0])
        if found != (1 / 256, -128):
            reason = f"gives scale {found[0]:g} and zero point {found[1]}; TFLite has 1/256 and -128"
            raise graph.refusal(operator, reason, "quantize again")
    graph.make(
        operator, graph.node("Softmax", [graph.real(operator.inputs[0])], graph.name(operator), axis=-1), data.shape
    )


def reshape(graph: Graph, operator: Operator) -> None:
    """The same numbers under another shape."""
    before, after = (graph.tensor(index).shape for index in (operator.inputs[0], operator.outputs[0]))
    if len(operator.inputs) == 2:
        wanted = _integers(graph, operator, operator.inputs[1], "shape")
        if len(wanted) != len(after) or any(w not in (-1, extent) for w, extent in zip(wanted, after, strict=True)):
            reason = f"asks for the shape {show(tuple(wanted))}; the file says {show(after)}"
            raise graph.refusal(operator, reason, DAMAGED)
    if math.prod(before) != math.prod(after):
        raise graph.refusal(operator, f"turns the shape {show(before)} into {show(after)}", DAMAGED)
    shape = graph.constant(np.array(after, np.int64), "shape")
    graph.node("Reshape", [graph.stored(operator.inputs[0]), shape], graph.name(operator))
    graph.make_stored(operator, after)


def relu(graph: Graph, operator: Operator) -> None:
    """Negative numbers become 0."""
    _elementwise(graph, operator, tflite.ActivationFunctionType.RELU)


def relu6(graph: Graph, operator: Operator) -> None:
    """Limits to 0 and 6."""
    _elementwise(graph, operator, tflite.ActivationFunctionType.RELU6)


def _elementwise(graph: Graph, operator: Operator, activation: int) -> None:
    layout = _common_layout(graph, operator)
    value = _limited(graph, graph.real(operator.inputs[0], layout), activation, graph.name(operator))
    graph.make(operator, value, graph.tensor(operator.inputs[0]).shape, layout)


def pad(graph: Graph, operator: Operator) -> None:
    """Zeros around a tensor. Those around an image that only convolutions read become part of the convolutions."""
    data, widths_index = operator.inputs
    shape, widths = graph.tensor(data).shape, _widths(graph, operator, widths_index)
    padded = tuple(before + extent + behind for (before, behind), extent in zip(widths, shape, strict=True))
    if padded != graph.tensor(operator.outputs[0]).shape:
        said = graph.tensor(operator.outputs[0]).shape
        raise graph.refusal(operator, f"makes the shape {show(padded)}; the file says {show(said)}", DAMAGED)
    if _is_a_border(graph, operator, widths):
        (top, bottom), (left, right) = widths[1:3]
        graph.borders[operator.outputs[0]] = (data, (top, left, bottom, right))
        return
    layout = _common_layout(graph, operator)
    if layout is FIRST:
        widths = [widths[axis] for axis in (0, 3, 1, 2)]
    begins, ends = zip(*widths, strict=True)
    pads = graph.constant(np.array([*begins, *ends], np.int64), "pads")
    value = graph.node("Pad", [graph.real(data, layout), pads], graph.name(operator))
    graph.make(operator, value, padded, layout)


def _widths(graph: Graph, operator: Operator, index: int) -> list[tuple[int, int]]:
    shape, tensor = graph.tensor(operator.inputs[0]).shape, graph.tensor(index)
    flat = _integers(graph, operator, index, "paddings")
    if tensor.shape != (len(shape), 2) or not all(0 <= width <= windows.EXTENT_LIMIT for width in flat):
        reason = f"has the paddings {flat} of shape {show(tensor.shape)}"
        hint = f"they must be {show((len(shape), 2))} widths of 0 to {windows.EXTENT_LIMIT:,}"
        raise graph.refusal(operator, reason, hint)
    return list(zip(flat[::2], flat[1::2], strict=True))


def _is_a_border(graph: Graph, operator: Operator, widths: list[tuple[int, int]]) -> bool:
    """True for zeros around rows and columns that only convolutions read."""
    result = operator.outputs[0]
    readers = graph.readers(result)
    return (
        len(widths) == 4
        and not any((*widths[0], *widths[3]))
        and bool(readers)
        and not graph.is_output(result)
        and all(each.kind in ("CONV_2D", "DEPTHWISE_CONV_2D") and each.inputs[0] == result for each in readers)
    )


def concatenation(graph: Graph, operator: Operator) -> None:
    """Tensors side by side along one axis."""
    shapes = [graph.tensor(index).shape for index in operator.inputs]
    rank, axis = len(shapes[0]), graph.options(operator)["axis"]
    if not -rank <= axis < rank:
        raise graph.refusal(operator, f"joins along axis {axis} of {rank}", DAMAGED)
    axis %= rank
    if len({(len(shape), shape[:axis], shape[axis + 1 :]) for shape in shapes}) > 1:
        reason = f"joins the shapes {', '.join(map(show, shapes))} along axis {axis}"
        raise graph.refusal(operator, reason, DAMAGED)
    layout = _common_layout(graph, operator)
    value = graph.node(
        "Concat",
        [graph.real(index, layout) for index in operator.inputs],
        graph.name(operator),
        axis=CHANNELS_FIRST_AXES[axis] if layout is FIRST else axis,
    )
    joined = (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])
    graph.make(operator, _activated(graph, operator, value), joined, layout)


def quantize(graph: Graph, operator: Operator) -> None:
    """A real tensor, or one of another scale, as int8."""
    if graph.tensor(operator.outputs[0]).quantization is None:
        raise graph.refusal(operator, "makes a tensor without a scale", "quantize again")
    layout = _common_layout(graph, operator)
    graph.make(operator, graph.real(operator.inputs[0], layout), graph.tensor(operator.inputs[0]).shape, layout)


def dequantize(graph: Graph, operator: Operator) -> None:
    """An int8 tensor as real numbers."""
    index = operator.inputs[0]
    tensor = graph.tensor(index)
    if tensor.quantization is None:
        raise graph.refusal(operator, "reads a tensor without a scale", "quantize again")
    if graph.tensor(operator.outputs[0]).quantization is not None:
        raise graph.refusal(operator, "makes a quantized tensor", DAMAGED)
    layout = _common_layout(graph, operator)
    stored = graph.stored(index, layout)
    value = graph.dequantized(stored, tensor.quantization, tensor.dtype, name=graph.name(operator))
    graph.make(operator, value, tensor.shape, layout)


# What several operators need


def _image(graph: Graph, operator: Operator) -> Shape:
    """The shape of the first input: batch, rows, columns, channels."""
    shape = graph.tensor(operator.inputs[0]).shape
    if len(shape) != 4:
        raise graph.refusal(operator, f"reads the shape {show(shape)}; an image has four axes", DAMAGED)
    return shape


def _common_layout(graph: Graph, operator: Operator) -> Layout:
    """Channels first where everything is an image; then nothing is transposed between layers of images."""
    ranks = {len(graph.tensor(index).shape) for index in (*operator.outputs, *operator.inputs) if index >= 0}
    return FIRST if ranks == {4} else Layout.AS_STORED


def _integers(graph: Graph, operator: Operator, index: int, what: str) -> list[int]:
    """The numbers of a constant int32 or int64 tensor."""
    tensor = graph.tensor(index)
    if tensor.data is None or tensor.dtype not in ("int32", "int64"):
        hint = "convert the network with fixed shapes; a device cannot compute them"
        raise graph.refusal(operator, f"has {what} that are no integer constant", hint)
    return [int(number) for number in values_of(tensor).reshape(-1)]


def _reshaped(graph: Graph, operator: Operator, value: str, shape: Shape, why: str) -> str:
    wanted: Array = np.array(shape, np.int64)
    return graph.node("Reshape", [value, graph.constant(wanted, "shape")], f"{graph.name(operator)}_{why}")


def _activated(graph: Graph, operator: Operator, value: str) -> str:
    """Add the activation that is fused into a layer."""
    activation = graph.options(operator)["activation"]
    if activation == tflite.ActivationFunctionType.NONE:
        return value
    return _limited(graph, value, activation, f"{graph.name(operator)}_activation", operator)


def _limited(graph: Graph, value: str, activation: int, name: str, operator: Operator | None = None) -> str:
    if activation == tflite.ActivationFunctionType.RELU:
        return graph.node("Relu", [value], name)
    bounds = _BOUNDS.get(activation)
    if bounds is None and operator is not None:
        hint = "use relu, relu6 or relu_n1_to_1, or a layer of its own"
        raise graph.refusal(operator, f"has the fused activation {_ACTIVATIONS.get(activation, activation)}", hint)
    constants = [graph.constant(np.array(bound, np.float32), "bound") for bound in bounds or ()]
    return graph.node("Clip", [value, *constants], name)


_BOUNDS = {tflite.ActivationFunctionType.RELU6: (0, 6), tflite.ActivationFunctionType.RELU_N1_TO_1: (-1, 1)}
_ACTIVATIONS = {number: name for name, number in vars(tflite.ActivationFunctionType).items() if isinstance(number, int)}

RULES: Mapping[str, Rule] = {
    "ADD": Rule(convert=addition, least=2, most=2),
    "AVERAGE_POOL_2D": Rule(convert=average_pool, keeps_scale=True),
    "CONCATENATION": Rule(convert=concatenation, most=1024, keeps_scale=True),
    "CONV_2D": Rule(convert=convolution, least=2, most=3),
    "DEPTHWISE_CONV_2D": Rule(convert=depthwise_convolution, least=2, most=3),
    "DEQUANTIZE": Rule(convert=dequantize),
    "FULLY_CONNECTED": Rule(convert=fully_connected, least=2, most=3),
    "MAX_POOL_2D": Rule(convert=max_pool, keeps_scale=True),
    "MEAN": Rule(convert=mean, least=2, most=2),
    "MUL": Rule(convert=multiplication, least=2, most=2),
    "PAD": Rule(convert=pad, least=2, most=2, keeps_scale=True),
    "QUANTIZE": Rule(convert=quantize),
    "RELU": Rule(convert=relu),
    "RELU6": Rule(convert=relu6),
    "RESHAPE": Rule(convert=reshape, most=2, keeps_scale=True),
    "RESIZE_BILINEAR": Rule(convert=resizing.linear, least=2, most=2, keeps_scale=True),
    "RESIZE_NEAREST_NEIGHBOR": Rule(convert=resizing.nearest, least=2, most=2, keeps_scale=True),
    "SOFTMAX": Rule(convert=softmax),
}
