"""Functions of torch -> ONNX nodes. A rule writes one call; it returns the result's name, or the names of its parts.

A rule takes the arguments of the function behind the call, and raises TypeError for ones that it cannot write.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgecompress.compress.torch_graph import _write_layers as layers
from edgecompress.compress.torch_graph._writer import Call, Value

Rule = Callable[..., str | list[str]]
"""(call, *arguments, **options) -> name of the output, or names of the outputs."""


def of_one(operator_name: str) -> Rule:
    """Make the rule for a function of one tensor without options."""

    def write(call: Call, x: Value, **_options: Any) -> str:
        return call.node(operator_name, x)

    return write


def of_two(operator_name: str) -> Rule:
    """Make the rule for an operation of two numbers, element by element."""

    def write(call: Call, a: Value | float, b: Value | float) -> str:
        return call.node(operator_name, *_alike(call, a, b))

    return write


def module(make: Callable[..., nn.Module]) -> Rule:
    """Make the rule for a function that a module computes too; `make` gets its arguments behind the tensor."""

    def write(call: Call, x: Value, *arguments: Any, **options: Any) -> str:
        layer = make(*arguments, **options)
        return layers.RULES[type(layer)](call, layer, x)

    return write


def reduction(operator_name: str) -> Rule:
    """Make the rule for a sum, mean or maximum along axes."""

    def write(call: Call, x: Value, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> str:
        axes = [dim] if isinstance(dim, int) else list(dim or range(x.tensor.ndim))
        return call.node(operator_name, x, call.constant("axes", axes), keepdims=int(keepdim))

    return write


def permuted(call: Call, x: Value, *dims: Any) -> str:
    """Write another order of the axes."""
    order = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
    return call.node("Transpose", x, perm=[axis % x.tensor.ndim for axis in order])


def transposed(call: Call, x: Value, dim0: int, dim1: int) -> str:
    """Write two axes exchanged."""
    order = list(range(x.tensor.ndim))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return permuted(call, x, order)


def reshaped(call: Call, x: Value, *_shape: Any, **_options: Any) -> str:
    """Write another shape of the same numbers."""
    return layers.reshaped(call, None, x)


def concatenated(call: Call, tensors: Sequence[Value], dim: int = 0) -> str:
    """Write tensors put one behind another."""
    return call.node("Concat", *tensors, axis=dim)


def cut(call: Call, x: Value, _parts: Any, dim: int = 0) -> list[str]:
    """Write a tensor cut into parts along one axis."""
    sizes = call.constant("sizes", [part.shape[dim] for part in call.made])
    outputs = [f"{call.name}_{position}" for position in range(len(call.made))]
    return call.writer.add("Split", [x, sizes], outputs, call.name, axis=dim)


def taken(call: Call, x: Value, places: Any) -> str:
    """Write x[…] with slices, and with whole numbers, which take their axis away."""
    wanted = list(places) if isinstance(places, tuple) else [places]
    if Ellipsis in wanted:
        at = wanted.index(Ellipsis)
        wanted[at : at + 1] = [slice(None)] * (x.tensor.ndim - len(wanted) + 1)
    if not all(isinstance(place, int | slice) for place in wanted):
        raise TypeError(f"an index of {', '.join(type(place).__name__ for place in wanted)}")
    sliced = _sliced(call, x, [_bounds(place, size) for place, size in zip(wanted, x.tensor.shape, strict=False)])
    if not any(isinstance(place, int) for place in wanted):
        return sliced
    return call.node("Reshape", sliced, call.constant("shape", list(call.made.shape)))


def selected(call: Call, x: Value, dim: int, index: Value | int) -> str:
    """Write one element, or several by a constant list, along an axis."""
    places = index if isinstance(index, Value) else call.constant("place", np.int64(index))
    return call.node("Gather", x, places, axis=dim)


def bounded(call: Call, x: Value, min: float | None = None, max: float | None = None) -> str:  # noqa: A002
    """Write a lower bound, an upper one, or both."""
    low = "" if min is None else call.constant("low", np.float32(min))
    high = [] if max is None else [call.constant("high", np.float32(max))]
    return call.node("Clip", x, low, *high)


def bordered(call: Call, x: Value, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> str:
    """Write a border of one number."""
    if mode != "constant":
        raise TypeError(f"a border of the mode {mode!r}")
    return layers.border(call, x, pad, value or 0.0)


def linear(call: Call, x: Value, weight: Value, bias: Value | None = None) -> str:
    """Write a linear layer whose weights are computed or held elsewhere."""
    turned = call.helping_node("turned", "Transpose", weight, perm=[1, 0])
    if bias is None:
        return call.node("MatMul", x, turned)
    return call.node("Add", call.helping_node("product", "MatMul", x, turned), bias)


def chosen(call: Call, condition: Value, a: Value | float, b: Value | float) -> str:
    """Write elements of one tensor or of another."""
    return call.node("Where", condition, *_alike(call, a, b))


def unchanged(_call: Call, x: Value, *_arguments: Any, **_options: Any) -> str:
    """Write nothing for what does nothing to an inference."""
    return x.name


def _alike(call: Call, a: Value | float, b: Value | float) -> tuple[Value | str, Value | str]:
    """Write a number beside a tensor as a constant of the tensor's type."""
    if isinstance(a, Value):
        return a, b if isinstance(b, Value) else call.constant("second", torch.tensor(b, dtype=a.tensor.dtype))
    if isinstance(b, Value):
        return call.constant("first", torch.tensor(a, dtype=b.tensor.dtype)), b
    raise TypeError("an operation of two numbers")


def _bounds(place: int | slice, size: int) -> tuple[int, int, int]:
    if isinstance(place, slice):
        return place.indices(size)
    return place % size, place % size + 1, 1


def _sliced(call: Call, x: Value, bounds: Sequence[tuple[int, int, int]]) -> str:
    cuts = [(low, high, axis, step) for axis, (low, high, step) in enumerate(bounds)]
    cuts = [cut for cut in cuts if (cut[0], cut[1], cut[3]) != (0, x.tensor.shape[cut[2]], 1)]
    if not cuts:
        return x.name
    columns = zip(("starts", "ends", "axes", "steps"), zip(*cuts, strict=True), strict=True)
    return call.node("Slice", x, *(call.constant(key, column) for key, column in columns))


RULES: dict[Any, Rule] = {
    functional.adaptive_avg_pool2d: module(nn.AdaptiveAvgPool2d),
    functional.avg_pool2d: module(nn.AvgPool2d),
    functional.dropout: unchanged,
    functional.gelu: module(nn.GELU),
    functional.hardswish: of_one("HardSwish"),
    functional.hardtanh: module(nn.Hardtanh),
    functional.interpolate: module(nn.Upsample),
    functional.leaky_relu: module(nn.LeakyReLU),
    functional.linear: linear,
    functional.max_pool2d: module(nn.MaxPool2d),
    functional.pad: bordered,
    functional.relu: of_one("Relu"),
    functional.relu6: module(nn.ReLU6),
    functional.sigmoid: of_one("Sigmoid"),
    functional.softmax: module(nn.Softmax),
    functional.softplus: of_one("Softplus"),
    functional.tanh: of_one("Tanh"),
    operator.add: of_two("Add"),
    operator.ge: of_two("GreaterOrEqual"),
    operator.getitem: taken,
    operator.matmul: of_two("MatMul"),
    operator.mul: of_two("Mul"),
    operator.neg: of_one("Neg"),
    operator.pow: of_two("Pow"),
    operator.sub: of_two("Sub"),
    operator.truediv: of_two("Div"),
    torch.abs: of_one("Abs"),
    torch.add: of_two("Add"),
    torch.amax: reduction("ReduceMax"),
    torch.cat: concatenated,
    torch.chunk: cut,
    torch.clamp: bounded,
    torch.div: of_two("Div"),
    torch.erf: of_one("Erf"),
    torch.exp: of_one("Exp"),
    torch.flatten: reshaped,
    torch.ge: of_two("GreaterOrEqual"),
    torch.index_select: selected,
    torch.log: of_one("Log"),
    torch.matmul: of_two("MatMul"),
    torch.maximum: of_two("Max"),
    torch.mean: reduction("ReduceMean"),
    torch.minimum: of_two("Min"),
    torch.mul: of_two("Mul"),
    torch.neg: of_one("Neg"),
    torch.permute: permuted,
    torch.pow: of_two("Pow"),
    torch.reciprocal: of_one("Reciprocal"),
    torch.relu: of_one("Relu"),
    torch.reshape: reshaped,
    torch.select: selected,
    torch.sigmoid: of_one("Sigmoid"),
    torch.softmax: module(nn.Softmax),
    torch.split: cut,
    torch.sqrt: of_one("Sqrt"),
    torch.squeeze: reshaped,
    torch.sub: of_two("Sub"),
    torch.sum: reduction("ReduceSum"),
    torch.tanh: of_one("Tanh"),
    torch.transpose: transposed,
    torch.unsqueeze: reshaped,
    torch.where: chosen,
}

METHODS: dict[str, Rule] = {
    "amax": reduction("ReduceMax"),
    "chunk": cut,
    "clamp": bounded,
    "contiguous": unchanged,
    "flatten": reshaped,
    "mean": reduction("ReduceMean"),
    "permute": permuted,
    "relu": of_one("Relu"),
    "reshape": reshaped,
    "sigmoid": of_one("Sigmoid"),
    "softmax": module(nn.Softmax),
    "split": cut,
    "squeeze": reshaped,
    "sum": reduction("ReduceSum"),
    "tanh": of_one("Tanh"),
    "transpose": transposed,
    "unsqueeze": reshaped,
    "view": reshaped,
}
