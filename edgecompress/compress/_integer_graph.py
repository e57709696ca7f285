"""Simplify a freshly quantized QDQ graph.

The rewrites take away a Quantize and a Dequantize that stand back to back around a step that does not need them,
without changing one bit of what the graph computes; and those inside of a function that is better computed as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto
from onnx.numpy_helper import to_array

MOVES = frozenset({"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"})
ACTIVATIONS = frozenset({"Relu", "Clip"})


def simplify(proto: ModelProto, inner: Collection[str]) -> None:
    """Move integers instead of floats, and let activations follow their operator directly, in place.

    The values in `inner` (_functions.py) are not quantized at all; this alone changes what is computed.
    """
    graph = proto.graph
    _leave_real(graph, inner)
    _move_integers(graph)
    _attach_activations(graph)
    read = _readers(graph)
    for tensor in [tensor for tensor in graph.initializer if not read[tensor.name]]:
        graph.initializer.remove(tensor)


def _leave_real(graph: GraphProto, values: Collection[str]) -> None:
    """Take the Quantize and Dequantize away from values."""
    for quantize in _quantizers(graph):
        reading = [node for node in graph.node if quantize.output[0] in node.input]
        if quantize.input[0] not in values or any(node.op_type != "DequantizeLinear" for node in reading):
            continue
        restored = {node.output[0] for node in reading}
        for node in graph.node:
            for position, name in enumerate(node.input):
                node.input[position] = quantize.input[0] if name in restored else name
        for node in (quantize, *reading):
            graph.node.remove(node)


def _move_integers(graph: GraphProto) -> None:
    """Turn Dequantize -> move -> Quantize with equal parameters into a move of the integers.

    Exact, for round((q - z) * s / s) + z is q.
    """
    for quantize in _quantizers(graph):
        makers, readers = _makers(graph), _readers(graph)
        found = _step_before(quantize, MOVES, makers)
        if found is None:
            continue
        dequantize, move = found
        if readers[move.output[0]] != 1 or not _same_parameters(graph, dequantize, quantize):
            continue
        if readers[dequantize.output[0]] == 1:
            graph.node.remove(dequantize)
        move.input[0] = dequantize.input[0]
        move.output[0] = quantize.output[0]
        graph.node.remove(quantize)


def _attach_activations(graph: GraphProto) -> None:
    """Turn operator -> Quantize -> Dequantize -> Relu -> Quantize, equal parameters, into operator -> Relu -> Quantize.

    The quantizer writes the long form for symmetric activations. Exact, for rounding keeps the order of values, so that
    cutting before it or after it gives the same integer.
    """
    for last in _quantizers(graph):
        makers, readers = _makers(graph), _readers(graph)
        found = _step_before(last, ACTIVATIONS, makers)
        if found is None:
            continue
        dequantize, activation = found
        first = makers.get(dequantize.input[0])
        if first is None or first.op_type != "QuantizeLinear" or first.input[0] not in makers:
            continue
        if readers[first.output[0]] != 1 or readers[dequantize.output[0]] != 1:
            continue
        if _same_parameters(graph, first, last):
            activation.input[0] = first.input[0]
            graph.node.remove(first)
            graph.node.remove(dequantize)


def _step_before(
    quantize: NodeProto, kinds: frozenset[str], makers: dict[str, NodeProto]
) -> tuple[NodeProto, NodeProto] | None:
    """Return the step of one of `kinds` that feeds `quantize`, and the Dequantize that feeds the step."""
    step = makers.get(quantize.input[0])
    if step is None or step.op_type not in kinds:
        return None
    dequantize = makers.get(step.input[0])
    if dequantize is None or dequantize.op_type != "DequantizeLinear":
        return None
    return dequantize, step


def _same_parameters(graph: GraphProto, one: NodeProto, other: NodeProto) -> bool:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    pairs = zip(one.input[1:], other.input[1:], strict=True)
    return all(np.array_equal(to_array(constants[a]), to_array(constants[b])) for a, b in pairs)


def _quantizers(graph: GraphProto) -> list[NodeProto]:
    return [node for node in graph.node if node.op_type == "QuantizeLinear"]


def _makers(graph: GraphProto) -> dict[str, NodeProto]:
    return {name: node for node in graph.node for name in node.output}


def _readers(graph: GraphProto) -> Counter[str]:
    """Count who reads each tensor; being an output of the network counts."""
    read = Counter(name for node in graph.node for name in node.input)
    read.update(output.name for output in graph.output)
    return read
