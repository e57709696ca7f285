"""Functions of torch -> ONNX nodes. A rule writes one call and returns the name of its result, or names of its parts."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgecompress.compress.torch_graph import _write_layers as layers
from edgecompress.compress.torch_graph._writer import Value, Writer

Rule = Callable[..., str | list[str]]
"""(writer, what torch computes, name of the node, wanted name of the output, *arguments, **options) -> name or names."""


def of_one(operator_name: str) -> Rule:
    """Make the rule for a function of one tensor without options."""

    def write(writer: Writer, made: Any, name: str, output: str, x: Value, inplace: bool = False) -> str:
        return writer.add(operator_name, [x], name, output)

    return write


def of_two(operator_name: str) -> Rule:
    """Make the rule for an operation of two numbers, element by element."""

    def write(writer: Writer, made: Any, name: str, output: str, a: Any, b: Any) -> str:
        like = a if isinstance(a, Value) else b
        inputs = [_operand(writer, x, like, f"{name}_{i}") for i, x in enumerate((a, b))]
        return writer.add(operator_name, inputs, name, output)

    return write


def module(make: Callable[..., nn.Module]) -> Rule:
    """Make the rule for a function that a module computes too; `make` gets its arguments behind the tensor."""

    def write(writer: Writer, made: Any, name: str, output: str, x: Value, *arguments: Any, **options: Any) -> str:
        layer = make(*arguments, **options)
        return layers.RULES[type(layer)](writer, layer, x, made, name, output)

    return write


def reduction(operator_name: str) -> Rule:
    """Make the rule for a sum, mean or maximum along axes."""

    def write(
        writer: Writer, made: Any, name: str, output: str, x: Value, dim: Any = None, keepdim: bool = False
    ) -> str:
        axes = list(range(x.tensor.ndim)) if dim is None or dim == () else [dim] if isinstance(dim, int) else list(dim)
        # Of ReduceMax, the axes are an attribute up to operator set 17 and an input from 18 on, as of ReduceMean.
        return writer.add(
            operator_name, [x, writer.constant(axes, f"{name}_axes")], name, output, keepdims=int(keepdim)
        )

    return write


def permuted(writer: Writer, made: Any, name: str, output: str, x: Value, *dims: Any) -> str:
    """Write another order of the axes."""
    order = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
    return writer.add("Transpose", [x], name, output, perm=[axis % x.tensor.ndim for axis in order])


def transposed(writer: Writer, made: Any, name: str, output: str, x: Value, dim0: int, dim1: int) -> str:
    """Write two axes exchanged."""
    order = list(range(x.tensor.ndim))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return permuted(writer, made, name, output, x, order)


def reshaped(writer: Writer, made: Any, name: str, output: str, x: Value, *shape: Any, **options: Any) -> str:
    """Write another shape of the same numbers."""
    return layers.reshaped(writer, nn.Identity(), x, made, name, output)


def concatenated(writer: Writer, made: Any, name: str, output: str, tensors: Sequence[Value], dim: int = 0) -> str:
    """Write tensors put one behind another."""
    return writer.add("Concat", list(tensors), name, output, axis=dim)


def cut(writer: Writer, made: Sequence[Any], name: str, output: str, x: Value, parts: Any, dim: int = 0) -> list[str]:
    """Write a tensor cut into parts along one axis."""
    sizes = writer.constant([part.shape[dim] for part in made], f"{name}_sizes")
    return writer.add_parts("Split", [x, sizes], name, len(made), axis=dim)


def taken(writer: Writer, made: Any, name: str, output: str, x: Value, places: Any) -> str:
    """Write x[…] with slices, and whole numbers, which take their axis away."""
    wanted = places if isinstance(places, tuple) else (places,)
    if any(place is Ellipsis for place in wanted):
        at = wanted.index(Ellipsis)
        wanted = (*wanted[:at], *[slice(None)] * (x.tensor.ndim - len(wanted) + 1), *wanted[at + 1 :])
    if not all(isinstance(place, int | slice) for place in wanted):
        raise TypeError(f"an index of {', '.join(type(place).__name__ for place in wanted)}")
    bounds = []
    for axis, place in enumerate(wanted):
        size = x.tensor.shape[axis]
        low, high, step = (place % size, place % size + 1, 1) if isinstance(place, int) else place.indices(size)
        if (low, high, step) != (0, size, 1):
            bounds.append((low, high, axis, step))
    sliced = x.name
    if bounds:
        keys = ("starts", "ends", "axes", "steps")
        inputs = [
            writer.constant(list(each), f"{name}_{key}")
            for key, each in zip(keys, zip(*bounds, strict=True), strict=True)
        ]
        sliced = writer.add("Slice", [x, *inputs], name, output)
    if not any(isinstance(place, int) for place in wanted):
        return sliced
    shape = writer.constant(list(made.shape), f"{name}_shape")
    return writer.add("Reshape", [sliced, shape], f"{name}_flat")


def selected(writer: Writer, made: Any, name: str, output: str, x: Value, dim: int, index: Any) -> str:
    """Write one element, or several by a constant list, along an axis."""
    places = index if isinstance(index, Value) else writer.constant(np.int64(index), f"{name}_place")
    return writer.add("Gather", [x, places], name, output, axis=dim)


def bounded(writer: Writer, made: Any, name: str, output: str, x: Value, min: Any = None, max: Any = None) -> str:  # noqa: A002
    """Write a lower bound, an upper one, or both."""
    bounds = [
        "" if bound is None else writer.constant(np.float32(bound), f"{name}_{key}")
        for key, bound in (("low", min), ("high", max))
    ]
    return writer.add("Clip", [x, *bounds[: 2 if max is not None else 1]], name, output)


def bordered(
    writer: Writer,
    made: Any,
    name: str,
    output: str,
    x: Value,
    pad: Sequence[int],
    mode: str = "constant",
    value: Any = None,
) -> str:
    """Write a border of one number."""
    if mode != "constant":
        raise TypeError(f"a border of the mode {mode!r}")
    return layers.bordered(writer, x, list(pad), float(value or 0.0), name, output)


def linear(
    writer: Writer, made: Any, name: str, output: str, x: Value, weight: Value, bias: Value | None = None
) -> str:
    """Write a linear layer whose weights are computed or held elsewhere."""
    order = writer.add("Transpose", [weight], f"{name}_turned", perm=[1, 0])
    product = writer.add("MatMul", [x, order], name, output if bias is None else "")
    return product if bias is None else writer.add("Add", [product, bias], f"{name}_add", output)


def chosen(writer: Writer, made: Any, name: str, output: str, condition: Value, a: Any, b: Any) -> str:
    """Write elements of one tensor or of another."""
    like = a if isinstance(a, Value) else b
    inputs = [condition, _operand(writer, a, like, f"{name}_a"), _operand(writer, b, like, f"{name}_b")]
    return writer.add("Where", inputs, name, output)


def unchanged(writer: Writer, made: Any, name: str, output: str, x: Value, *arguments: Any, **options: Any) -> str:
    """Write nothing for what does nothing to an inference."""
    return x.name


def _operand(writer: Writer, x: Any, like: Value, name: str) -> Value | str:
    if isinstance(x, Value):
        return x
    return writer.constant(torch.tensor(x, dtype=like.tensor.dtype), name)


RULES: dict[Any, Rule] = {
    functional.adaptive_avg_pool2d: module(nn.AdaptiveAvgPool2d),
    functional.avg_pool2d: module(nn.AvgPool2d),
    functional.dropout: unchanged,
    functional.gelu: module(nn.GELU),
    functional.hardswish: of_one("HardSwish"),
    functional.hardtanh: module(nn.Hardtanh),
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
