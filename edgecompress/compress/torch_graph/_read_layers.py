"""ONNX layers -> modules of torch.nn: what has weights, a window or a shape of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from onnx import NodeProto
from torch import fx, nn

from edgecompress.compress.torch_graph import _resizing
from edgecompress.compress.torch_graph._modules import Reshape
from edgecompress.compress.torch_graph._reader import Reader, attributes
from edgecompress.core.values import Array

Rule = Callable[[Reader, NodeProto], fx.Node]
CONVOLUTIONS: dict[int, Callable[..., nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d}
MAX_POOLS: dict[int, Callable[..., nn.Module]] = {1: nn.MaxPool1d, 2: nn.MaxPool2d}
AVERAGE_POOLS: dict[int, Callable[..., nn.Module]] = {1: nn.AvgPool1d, 2: nn.AvgPool2d}
PADS: dict[int, Callable[..., nn.Module]] = {1: nn.ConstantPad1d, 2: nn.ConstantPad2d}
ONE_OR_TWO = "one or two axes behind the channels can be trained"


def convolution(reader: Reader, node: NodeProto) -> fx.Node:
    """Read a convolution; zeros at one side only become a module of their own."""
    weight, bias = reader.constant(node, 1), reader.constant(node, 2)
    if weight is None or weight.ndim - 2 not in CONVOLUTIONS:
        raise reader.refusal(node, "has no weights of 3 or 4 dimensions", ONE_OR_TWO)
    window = _window(reader, node, weight.shape[2:])
    x, padding = _padded(reader, node, window, 0.0)
    group = attributes(node).get("group", 1)
    layer = CONVOLUTIONS[weight.ndim - 2](
        weight.shape[1] * group,
        weight.shape[0],
        window["kernel"],
        stride=window["strides"],
        padding=padding,
        dilation=window["dilations"],
        groups=group,
        bias=bias is not None,
    )
    return reader.module(node, _filled(layer, weight=weight, bias=bias), x)


def matrix_of_weights(reader: Reader, node: NodeProto) -> fx.Node:
    """Read Gemm: with constant weights a linear layer."""
    given = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0} | attributes(node)
    if given["transA"] or node.input[1] not in reader.constants:
        raise reader.refusal(node, "multiplies with a computed or turned matrix", "write it with MatMul and Transpose")
    weight = reader.constants[node.input[1]] * np.float32(given["alpha"])
    bias = reader.constant(node, 2)
    if bias is not None:
        bias = np.broadcast_to(bias * np.float32(given["beta"]), (weight.shape[0 if given["transB"] else 1],))
    return _linear(reader, node, weight if given["transB"] else weight.T, bias)


def matrix_product(reader: Reader, node: NodeProto) -> fx.Node:
    """Read MatMul: with a constant matrix a linear layer, else the product of two computed tensors."""
    weight = reader.constants.get(node.input[1])
    if weight is not None and weight.ndim == 2 and node.input[0] not in reader.constants:
        return _linear(reader, node, weight.T, None)
    return reader.function(node, torch.matmul, reader.value(node, 0), reader.value(node, 1))


def max_pool(reader: Reader, node: NodeProto) -> fx.Node:
    """Read a maximum over a window."""
    given = attributes(node)
    window = _window(reader, node, tuple(given["kernel_shape"]))
    _check_pool(reader, node, MAX_POOLS, window)
    x, padding = _padded(reader, node, window, -float("inf"))
    layer = MAX_POOLS[len(padding)](
        window["kernel"],
        window["strides"],
        padding,
        dilation=window["dilations"],
        ceil_mode=bool(given.get("ceil_mode", 0)),
    )
    return reader.module(node, layer, x)


def average_pool(reader: Reader, node: NodeProto) -> fx.Node:
    """Read a mean over a window."""
    given = attributes(node)
    window = _window(reader, node, tuple(given["kernel_shape"]))
    _check_pool(reader, node, AVERAGE_POOLS, window)
    counts_border = bool(given.get("count_include_pad", 0))
    if _one_sided(window["pads"]) and not counts_border:
        raise reader.refusal(node, f"has the pads {window['pads']}", "the same zeros on both sides can be trained")
    if set(window["dilations"]) != {1}:
        raise reader.refusal(node, f"has the dilations {window['dilations']}", "dilations of 1 can be trained")
    x, padding = _padded(reader, node, window, 0.0)
    layer = AVERAGE_POOLS[len(padding)](
        window["kernel"],
        window["strides"],
        padding,
        ceil_mode=bool(given.get("ceil_mode", 0)),
        count_include_pad=counts_border,
    )
    return reader.module(node, layer, x)


def global_pool(kinds: dict[int, Callable[..., nn.Module]]) -> Rule:
    """Make the rule for a pool over all of an image."""

    def read(reader: Reader, node: NodeProto) -> fx.Node:
        axes = len(reader.shape(node.input[0])) - 2
        if axes not in kinds:
            raise reader.refusal(node, f"has {axes} axes behind the channels", ONE_OR_TWO)
        return reader.module(node, kinds[axes](1), reader.value(node, 0))

    return read


def batch_normalization(reader: Reader, node: NodeProto) -> fx.Node:
    """Read a batch normalization with its statistics."""
    scale, bias, mean, variance = (_wanted(reader, node, position) for position in range(1, 5))
    kind = nn.BatchNorm2d if len(reader.shape(node.input[0])) == 4 else nn.BatchNorm1d
    layer = kind(len(scale), eps=attributes(node).get("epsilon", 1e-5))
    return reader.module(
        node, _filled(layer, weight=scale, bias=bias, running_mean=mean, running_var=variance), reader.value(node, 0)
    )


def layer_normalization(reader: Reader, node: NodeProto) -> fx.Node:
    """Read a normalization over the last axes."""
    given = attributes(node)
    weight, bias = _wanted(reader, node, 1), reader.constant(node, 2)
    rank = len(reader.shape(node.input[0]))
    axis = given.get("axis", -1) % rank
    layer = nn.LayerNorm(reader.shape(node.input[0])[axis:], eps=given.get("epsilon", 1e-5), bias=bias is not None)
    return reader.module(node, _filled(layer, weight=weight, bias=bias), reader.value(node, 0))


def reshape(reader: Reader, node: NodeProto) -> fx.Node:
    """Read whatever only gives a tensor another shape."""
    before, after = reader.shape(node.input[0]), reader.shape(node.output[0])
    return reader.module(node, Reshape(before, after), reader.value(node, 0))


def clip(reader: Reader, node: NodeProto) -> fx.Node:
    """Read Clip: ReLU, ReLU6 or other bounds."""
    low, high = (_bound(reader, node, position) for position in (1, 2))
    if (low, high) == (0.0, None):
        return reader.module(node, nn.ReLU(), reader.value(node, 0))
    if (low, high) == (0.0, 6.0):
        return reader.module(node, nn.ReLU6(), reader.value(node, 0))
    if low is None or high is None or low > high:
        return reader.function(node, torch.clamp, reader.value(node, 0), low, high)
    return reader.module(node, nn.Hardtanh(low, high), reader.value(node, 0))


def softmax(reader: Reader, node: NodeProto) -> fx.Node:
    """Read a softmax along one axis."""
    return reader.module(node, nn.Softmax(dim=attributes(node).get("axis", -1)), reader.value(node, 0))


def _window(reader: Reader, node: NodeProto, kernel: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Give the window of a convolution or pool, whatever the node says of the border, as numbers."""
    given = attributes(node)
    axes = len(kernel)
    strides, dilations = (tuple(given.get(key, [1] * axes)) for key in ("strides", "dilations"))
    pads = tuple(given.get("pads", [0] * 2 * axes))
    if given.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        image = reader.shape(node.input[0])[2:]
        missing = [
            max((-(-size // stride) - 1) * stride + (extent - 1) * dilation + 1 - size, 0)
            for size, extent, stride, dilation in zip(image, kernel, strides, dilations, strict=True)
        ]
        smaller, larger = tuple(m // 2 for m in missing), tuple(m - m // 2 for m in missing)
        pads = smaller + larger if given["auto_pad"] == "SAME_UPPER" else larger + smaller
    return {"kernel": kernel, "strides": strides, "dilations": dilations, "pads": pads}


def _one_sided(pads: tuple[int, ...]) -> bool:
    return pads[: len(pads) // 2] != pads[len(pads) // 2 :]


def _padded(reader: Reader, node: NodeProto, window: dict[str, Any], border: float) -> tuple[fx.Node, tuple[int, ...]]:
    """Give the input of a window, and the padding that is left to the window's own module."""
    pads = window["pads"]
    axes = len(pads) // 2
    x = reader.value(node, 0)
    if not _one_sided(pads):
        return x, pads[:axes]
    # torch tells the last axis first, and both ends of an axis together.
    ends = [end for axis in reversed(range(axes)) for end in (pads[axis], pads[axis + axes])]
    return reader.module(node, PADS[axes](tuple(ends), border), x, suffix="_pad"), (0,) * axes


def _check_pool(reader: Reader, node: NodeProto, kinds: dict[int, Any], window: dict[str, Any]) -> None:
    if len(window["kernel"]) not in kinds:
        raise reader.refusal(node, f"has a window of {len(window['kernel'])} axes", ONE_OR_TWO)
    if len(node.output) > 1 and node.output[1]:
        raise reader.refusal(node, "gives the places of its maxima", "give the maxima only")


def _linear(reader: Reader, node: NodeProto, weight: Array, bias: Array | None) -> fx.Node:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    return reader.module(node, _filled(layer, weight=weight, bias=bias), reader.value(node, 0))


def _filled(layer: nn.Module, **arrays: Array | None) -> nn.Module:
    with torch.no_grad():
        for name, array in arrays.items():
            if array is not None:
                getattr(layer, name).copy_(torch.from_numpy(np.array(array, np.float32)))
    return layer


def _wanted(reader: Reader, node: NodeProto, position: int) -> Array:
    found = reader.constant(node, position)
    if found is None:
        raise reader.refusal(node, f"lacks its input {position}", "export the network again")
    return found


def _bound(reader: Reader, node: NodeProto, position: int) -> float | None:
    found = reader.constant(node, position)
    return None if found is None else float(found.item())


RULES: dict[str, Rule] = {
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Clip": clip,
    "Conv": convolution,
    "Flatten": reshape,
    "Gemm": matrix_of_weights,
    "GlobalAveragePool": global_pool({1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d}),
    "GlobalMaxPool": global_pool({1: nn.AdaptiveMaxPool1d, 2: nn.AdaptiveMaxPool2d}),
    "LayerNormalization": layer_normalization,
    "MatMul": matrix_product,
    "MaxPool": max_pool,
    "Reshape": reshape,
    "Resize": _resizing.read,
    "Softmax": softmax,
    "Squeeze": reshape,
    "Unsqueeze": reshape,
}
