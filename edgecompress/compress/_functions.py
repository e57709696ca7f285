"""Find what needs no quantization of its own: values inside of a function of one tensor, and sums that are only scaled.

GELU as exporters write it is a division, an erf, an addition and two multiplications. With every step at 8 bits it
would lose what it computes; as one function of one tensor the compiler makes a table of it, exact to half a step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from onnx import GraphProto, NodeProto
from onnx.numpy_helper import to_array

_STEPS = """
Abs Add Celu Div Elu Erf Exp Gelu HardSigmoid HardSwish LeakyRelu Log Max Min Mish Mul Neg Pow Reciprocal Selu Sigmoid
Softplus Softsign Sqrt Sub Tanh
"""
STEPS = frozenset(_STEPS.split())
"""Operators that compute each element from the elements at its place. Relu and Clip end a layer instead."""

SUMS = frozenset({"Conv", "Gemm", "MatMul"})


def inner_values(graph: GraphProto) -> frozenset[str]:
    """Name the values that only steps of the same function of one tensor read, or that only a change of scale reads."""
    scalars = {tensor.name: to_array(tensor).item() for tensor in graph.initializer if math.prod(tensor.dims) == 1}
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in dict.fromkeys(node.input):
            readers.setdefault(name, []).append(node)
    outputs = {output.name for output in graph.output}
    roots = _roots(graph, scalars)
    read = {node.output[0]: node for node in graph.node if node.output[0] in readers and node.output[0] not in outputs}
    steps = {
        value
        for value in read
        if roots[value] != value and all(roots[reader.output[0]] == roots[value] for reader in readers[value])
    }
    scaled = {
        value
        for value, node in read.items()
        if node.op_type in SUMS and len(readers[value]) == 1 and _only_scales(readers[value][0], value, scalars)
    }
    return frozenset(steps | {value for value in scaled if readers[value][0].output[0] not in steps})


def _roots(graph: GraphProto, scalars: Mapping[str, float]) -> dict[str, str]:
    """Find the tensor that each value is a function of, element by element; other values are their own."""
    roots: dict[str, str] = {}
    for node in graph.node:
        read = {roots.get(name, name) for name in node.input if name and name not in scalars}
        is_step = node.op_type in STEPS and len(read) == 1
        for value in node.output:
            roots[value] = next(iter(read)) if is_step else value
    return roots


def _only_scales(node: NodeProto, value: str, scalars: Mapping[str, float]) -> bool:
    """True for a multiplication or division of a value by a constant above zero."""
    if node.op_type not in ("Mul", "Div") or len(node.input) != 2:
        return False
    other = node.input[1] if node.input[0] == value else node.input[0]
    if node.op_type == "Div" and node.input[0] != value:
        return False
    return scalars.get(other, 0.0) > 0
