"""Early exits of a quantized network: what is compared in integers, and the order of the layers (compile/exits.py)."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from tvm import relax

from edgecompress.compile import exit_graph, exits
from edgecompress.compile.integer import float_parts, layers
from edgecompress.compile.integer.builder import Builder, NoMatchError, Target
from edgecompress.compile.integer.layers import EarlyExit, LateExit, Network, Selection, Value
from edgecompress.compile.integer.views import View
from edgecompress.compile.quantized import INT8_MAX, INT8_MIN


def selection(builder: Builder, target: Target, expression: Any, call: relax.Call) -> View:
    """Make an exit whose operands are both at the result's scale, so that it copies bytes."""
    if expression.name not in exit_graph.find(builder.graph.main):
        raise NoMatchError(builder.why_not(expression))
    condition, *operands = call.args
    taken, other = (builder.rescale(target, builder.operand(each)) for each in operands)
    at_most_once = dataclasses.replace(target, nodes=builder.graph.nodes(expression))
    return builder.emit(
        at_most_once,
        taken.shape,
        taken.order,
        Selection,
        inputs=(taken.value, _condition(builder, condition), other.value),
    )


def _condition(builder: Builder, variable: Any) -> Value:
    """The byte that an exit goes by: from int8 where the graph compares a tensor's largest number, else from reals."""
    compared = _largest_and_bound(builder, variable)
    name = builder.unique(str(variable.name))
    if compared is None:
        return float_parts.as_it_is(builder, variable, name).value
    source, bound = compared
    value = Value(name=name, shape=(1,), dtype="bool")
    nodes = builder.graph.nodes(builder.graph.definition(variable).args[0], variable)
    builder.layers.append(layers.AtLeast(inputs=(source,), output=value, nodes=nodes, bound=bound))
    return value


def _largest_and_bound(builder: Builder, variable: Any) -> tuple[Value, int] | None:
    graph = builder.graph
    comparison = graph.call(variable, "relax.greater_equal")
    largest = graph.call(comparison.args[0], "relax.max") if comparison is not None else None
    if comparison is None or largest is None:
        return None
    view, threshold = builder.real(largest.args[0]), graph.constant(comparison.args[1])
    if view is None or view.value.dtype != "int8" or threshold is None or threshold.values.size != 1:
        return None
    return view.value, smallest_at_least(float(threshold.real().item()), view.value.scale, view.value.zero_point)


def smallest_at_least(threshold: float, scale: float, zero_point: int) -> int:
    """The smallest int8 number that is dequantized to the threshold or more, in single precision; 128 if there is none.

    DequantizeLinear grows with its number, so that comparing numbers chooses the same branch.
    """
    numbers = np.arange(INT8_MIN, INT8_MAX + 1)
    reals = (numbers - zero_point).astype(np.float32) * np.float32(scale)
    reached = numbers[reals >= np.float32(threshold)]
    return int(reached[0]) if reached.size else INT8_MAX + 1


def split(network: Network) -> Network:
    """Put what an exit can save between its two halves."""
    found = network.layers
    if not any(isinstance(layer, Selection) for layer in found):
        return network
    placed = exits.order([_step(layer) for layer in found], [spec.name for spec in network.outputs])
    return dataclasses.replace(network, layers=tuple(_part(found[number], part) for number, part in placed))


def _step(layer: layers.Layer) -> exits.Step:
    names = tuple(value.name for value in layer.inputs)
    if not isinstance(layer, Selection):
        return exits.Step(reads=names, makes=layer.output.name)
    taken, condition, other = names
    operands = exits.Operands(condition=condition, taken=taken, other=other)
    return exits.Step(reads=names, makes=layer.output.name, exit=operands)


def _part(layer: layers.Layer, part: exits.Part) -> layers.Layer:
    if part == "whole":
        return layer
    taken, condition, other = layer.inputs
    if part == "exit":
        return EarlyExit(inputs=(taken, condition), output=layer.output, nodes=layer.nodes)
    return LateExit(inputs=(other,), output=layer.output, nodes=layer.nodes)
