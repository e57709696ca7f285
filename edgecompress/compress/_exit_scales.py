"""How early exits are quantized: `Where` copies numbers, and the confidence is compared as it is.

Both operands of a `Where` and its result take one scale, so that a device copies bytes. ReduceMax and GreaterOrEqual
stay between real numbers: what they compare was quantized by the softmax before them, so that every runtime that gives
the same int8 probabilities takes the same exit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from onnx import ModelProto, NodeProto

Ranges = Mapping[str, tuple[float, float]]
_Fixed = TypeVar("_Fixed")


def unquantized(proto: ModelProto) -> list[str]:
    """Name the nodes that compare a confidence with a threshold."""
    makers = {name: node for node in proto.graph.node for name in node.output}
    comparisons = [node for node in _conditions(proto, makers) if node.op_type == "GreaterOrEqual"]
    largest = [makers[node.input[0]] for node in comparisons if node.input[0] in makers]
    return [node.name for node in (*comparisons, *(node for node in largest if node.op_type == "ReduceMax"))]


def _conditions(proto: ModelProto, makers: Mapping[str, NodeProto]) -> list[NodeProto]:
    return [makers[node.input[0]] for node in _selections(proto) if node.input[0] in makers]


def _selections(proto: ModelProto) -> list[NodeProto]:
    return [node for node in proto.graph.node if node.op_type == "Where"]


def shared(proto: ModelProto, ranges: Ranges) -> dict[str, tuple[float, float]]:
    """Give the operands and the result of every `Where` the range of all three."""
    found = dict(ranges)
    selections = _selections(proto)
    for node in (*selections, *reversed(selections)):  # forwards to the last result, and back to every operand
        names = [name for name in (*node.input[1:], *node.output) if name in found]
        whole = (min(found[name][0] for name in names), max(found[name][1] for name in names))
        found |= dict.fromkeys(names, whole)
    return found


def with_results(proto: ModelProto, fixed: Mapping[str, _Fixed]) -> dict[str, _Fixed]:
    """Add the result of every `Where` whose operands are of one fixed scale."""
    found = dict(fixed)
    for node in _selections(proto):
        taken, other = (found.get(name) for name in node.input[1:])
        if taken is not None and taken == other:
            found[node.output[0]] = taken
    return found
