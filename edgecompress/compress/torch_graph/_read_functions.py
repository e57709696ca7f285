"""ONNX operators -> functions of torch: arithmetic, functions of one tensor, parts of tensors."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from onnx import NodeProto
from torch import fx, nn
from torch.nn import functional

from edgecompress.compress.torch_graph._read_layers import Rule
from edgecompress.compress.torch_graph._reader import Reader, attributes, axes_of


def arithmetic(function: Callable[..., Any]) -> Rule:
    """Make the rule for an operation of two numbers, element by element."""

    def read(reader: Reader, node: NodeProto) -> fx.Node:
        return reader.function(node, function, reader.operand(node, 0), reader.operand(node, 1))

    return read


def extreme(function: Callable[..., Any], bound: str) -> Rule:
    """Make the rule for the larger or smaller of two tensors, or of a tensor and the number `bound` of torch.clamp."""

    def read(reader: Reader, node: NodeProto) -> fx.Node:
        if len(node.input) != 2:
            raise reader.refusal(node, f"has {len(node.input)} inputs", "two can be trained")
        first, second = reader.operand(node, 0), reader.operand(node, 1)
        if isinstance(first, fx.Node) and isinstance(second, fx.Node):
            return reader.function(node, function, first, second)
        tensor, number = (first, second) if isinstance(first, fx.Node) else (second, first)
        return reader.function(node, torch.clamp, tensor, **{bound: number})

    return read


def of_one(function: Callable[..., Any]) -> Rule:
    """Make the rule for a function of one tensor without options."""

    def read(reader: Reader, node: NodeProto) -> fx.Node:
        return reader.function(node, function, reader.value(node, 0))

    return read


def activation(make: Callable[[dict[str, Any]], nn.Module]) -> Rule:
    """Make the rule for an activation that is a module of torch.nn; `make` gets the node's attributes."""

    def read(reader: Reader, node: NodeProto) -> fx.Node:
        return reader.module(node, make(attributes(node)), reader.value(node, 0))

    return read


def reduction(function: Callable[..., Any]) -> Rule:
    """Make the rule for a sum, mean or maximum along axes."""

    def read(reader: Reader, node: NodeProto) -> fx.Node:
        axes = axes_of(reader, node, 1)
        if axes is None:
            axes = list(range(len(reader.shape(node.input[0]))))
        keep = bool(attributes(node).get("keepdims", 1))
        return reader.function(node, function, reader.value(node, 0), tuple(axes), keep)

    return read


def transpose(reader: Reader, node: NodeProto) -> fx.Node:
    """Read another order of the axes."""
    rank = len(reader.shape(node.input[0]))
    order = attributes(node).get("perm", list(reversed(range(rank))))
    return reader.function(node, torch.permute, reader.value(node, 0), tuple(order))


def concatenation(reader: Reader, node: NodeProto) -> fx.Node:
    """Read tensors put one behind another."""
    tensors = [reader.value(node, position) for position in range(len(node.input))]
    return reader.function(node, torch.cat, tensors, attributes(node)["axis"])


def split(reader: Reader, node: NodeProto) -> fx.Node:
    """Read a tensor cut into parts along one axis; every part is an output of its own."""
    axis = attributes(node).get("axis", 0)
    parts = [reader.shape(name)[axis] for name in node.output]
    x = reader.value(node, 0)
    if len(set(parts)) == 1:  # follows when the whole changes
        whole = reader.function(node, torch.chunk, x, len(parts), axis)
    else:
        whole = reader.function(node, torch.split, x, parts, axis)
    for position, name in enumerate(node.output):
        reader.values[name] = reader.part(whole, position, name)
    return reader.values[node.output[0]]


def part(reader: Reader, node: NodeProto) -> fx.Node:
    """Read Slice: every n-th element between two places."""
    shape = reader.shape(node.input[0])
    starts, ends, axes, steps = (reader.constant(node, position) for position in range(1, 5))
    if starts is None or ends is None:
        raise reader.refusal(node, "lacks its starts or ends", "export the network with a newer operator set")
    where = [slice(None)] * len(shape)
    for i in range(len(starts)):
        axis = i if axes is None else int(axes[i])
        step = 1 if steps is None else int(steps[i])
        if step < 1:
            raise reader.refusal(node, f"goes backwards (step {step})", "steps above 0 can be trained")
        where[axis] = slice(*slice(int(starts[i]), int(ends[i]), step).indices(shape[axis]))
    return reader.function(node, operator.getitem, reader.value(node, 0), tuple(where))


def chosen(reader: Reader, node: NodeProto) -> fx.Node:
    """Read Gather with constant places: elements along one axis."""
    places = reader.constant(node, 1)
    axis = attributes(node).get("axis", 0)
    if places is None or places.ndim > 1:
        raise reader.refusal(node, "has no constant list of places", "one number, or a list of them, can be trained")
    size = reader.shape(node.input[0])[axis]
    x = reader.value(node, 0)
    if places.ndim == 0:
        return reader.function(node, torch.select, x, axis, int(places) % size)
    return reader.function(node, torch.index_select, x, axis, reader.value(node, 1))


def border(reader: Reader, node: NodeProto) -> fx.Node:
    """Read Pad with one number around the tensor."""
    given = attributes(node)
    pads, number = reader.constant(node, 1), reader.constant(node, 2)
    mode = given.get("mode", "constant")
    if pads is None or mode != "constant" or (pads < 0).any():
        raise reader.refusal(node, f"has the mode {mode!r} or cuts", "a constant border can be trained")
    axes = axes_of(reader, node, 3)
    rank = len(reader.shape(node.input[0]))
    ends = {axis % rank: i for i, axis in enumerate(range(rank) if axes is None else axes)}
    half = len(pads) // 2
    torch_order = [
        int(pads[ends[axis] + side * half]) if axis in ends else 0 for axis in reversed(range(rank)) for side in (0, 1)
    ]
    while torch_order[-2:] == [0, 0]:
        del torch_order[-2:]
    value = 0.0 if number is None else float(number.item())
    return reader.function(node, functional.pad, reader.value(node, 0), torch_order, "constant", value)


def passed_on(reader: Reader, node: NodeProto) -> fx.Node:
    """Read what does nothing to an inference."""
    return reader.value(node, 0)


def choice(reader: Reader, node: NodeProto) -> fx.Node:
    """Read Where: elements of one tensor or of another."""
    return reader.function(node, torch.where, *(reader.value(node, position) for position in range(3)))


def gelu(reader: Reader, node: NodeProto) -> fx.Node:
    """Read GELU, exact or by tanh."""
    return reader.module(node, nn.GELU(approximate=attributes(node).get("approximate", "none")), reader.value(node, 0))


def hard_sigmoid(reader: Reader, node: NodeProto) -> fx.Node:
    """Read a straight line between 0 and 1; torch has the one with the slope 1/6."""
    given = {"alpha": 0.2, "beta": 0.5} | attributes(node)
    x = reader.value(node, 0)
    if abs(given["alpha"] - 1 / 6) < 1e-6 and given["beta"] == 0.5:
        return reader.module(node, nn.Hardsigmoid(), x)
    sloped = reader.graph.call_function(operator.mul, (x, given["alpha"]))
    raised = reader.graph.call_function(operator.add, (sloped, given["beta"]))
    return reader.function(node, torch.clamp, raised, 0.0, 1.0)


def slope_for_each(reader: Reader, node: NodeProto) -> fx.Node:
    """Read PRelu; slopes may differ from channel to channel."""
    x = reader.value(node, 0)
    slope = reader.operand(node, 1)
    negative = reader.graph.call_function(torch.clamp, (x, None, 0.0))
    scaled = reader.graph.call_function(operator.mul, (slope, negative))
    return reader.function(node, operator.add, reader.graph.call_function(torch.relu, (x,)), scaled)


RULES: dict[str, Rule] = {
    "Abs": of_one(torch.abs),
    "Add": arithmetic(operator.add),
    "Concat": concatenation,
    "Div": arithmetic(operator.truediv),
    "Dropout": passed_on,
    "Elu": activation(lambda given: nn.ELU(given.get("alpha", 1.0))),
    "Erf": of_one(torch.erf),
    "Exp": of_one(torch.exp),
    "Gather": chosen,
    "Gelu": gelu,
    "GreaterOrEqual": arithmetic(operator.ge),
    "HardSigmoid": hard_sigmoid,
    "HardSwish": activation(lambda _given: nn.Hardswish()),
    "Identity": passed_on,
    "LeakyRelu": activation(lambda given: nn.LeakyReLU(given.get("alpha", 0.01))),
    "Log": of_one(torch.log),
    "Max": extreme(torch.maximum, "min"),
    "Min": extreme(torch.minimum, "max"),
    "Mul": arithmetic(operator.mul),
    "Neg": of_one(torch.neg),
    "PRelu": slope_for_each,
    "Pad": border,
    "Pow": arithmetic(operator.pow),
    "Reciprocal": of_one(torch.reciprocal),
    "ReduceMax": reduction(torch.amax),
    "ReduceMean": reduction(torch.mean),
    "ReduceSum": reduction(torch.sum),
    "Relu": activation(lambda _given: nn.ReLU()),
    "Sigmoid": activation(lambda _given: nn.Sigmoid()),
    "Slice": part,
    "Softplus": of_one(functional.softplus),
    "Split": split,
    "Sqrt": of_one(torch.sqrt),
    "Sub": arithmetic(operator.sub),
    "Tanh": activation(lambda _given: nn.Tanh()),
    "Transpose": transpose,
    "Where": choice,
}
