"""Read the input and output TensorSpecs of a graph, with scale and zero point where they are 8-bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper

from edgecompress.core.errors import ModelError
from edgecompress.core.values import TensorSpec
from edgecompress.models._onnx_shapes import dims_of, show

MOVES = frozenset({"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"})
"""Operators that move values and leave them as they are, so that the quantization behind them still holds."""

Nodes = Mapping[str, NodeProto]
Constants = Mapping[str, TensorProto]


def read(proto: ModelProto, path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Return the specs of inputs and outputs. Raises ModelError when there is none or a batch is not 1."""
    graph = proto.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    readers = {node.input[0]: node for node in reversed(graph.node) if node.op_type in {*MOVES, "DequantizeLinear"}}
    makers = {node.output[0]: node for node in graph.node if node.op_type in {*MOVES, "QuantizeLinear"}}
    inputs = tuple(_spec(info, _quantization_after(readers, info.name, constants), path) for info in graph.input)
    outputs = tuple(_spec(info, _quantization_before(makers, info.name, constants), path) for info in graph.output)
    if not inputs:
        raise ModelError(f"{path} has no input; its output is constant", hint="export the network with its input")
    names = Counter(spec.name for spec in (*inputs, *outputs))
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise ModelError(
            f"{path}: {twice[0]!r} is the name of two inputs or outputs", hint="export it with one name each"
        )
    return inputs, outputs


def _spec(info: ValueInfoProto, quantization: tuple[float, int] | None, path: Path) -> TensorSpec:
    shape = tuple(int(dim) for dim in dims_of(info))
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)).name
    if not shape or shape[0] != 1:
        raise ModelError(
            f"{path}: {info.name!r} {show(shape)}: the first dimension must be the batch, and 1",
            hint="export the network so that every input and output is (batch, …)",
        )
    scale, zero_point = quantization if quantization and dtype != "float32" else (None, None)
    return TensorSpec.model_validate(
        {"name": info.name, "shape": shape, "dtype": dtype, "scale": scale, "zero_point": zero_point}
    )


def _quantization_after(readers: Nodes, name: str, constants: Constants) -> tuple[float, int] | None:
    while name in readers:
        node = readers[name]
        if node.op_type == "DequantizeLinear":
            return _parameters(node, constants)
        name = node.output[0]
    return None


def _quantization_before(makers: Nodes, name: str, constants: Constants) -> tuple[float, int] | None:
    while name in makers:
        node = makers[name]
        if node.op_type == "QuantizeLinear":
            return _parameters(node, constants)
        name = node.input[0]
    return None


def _parameters(node: NodeProto, constants: Constants) -> tuple[float, int] | None:
    scale, *zero_point = [numpy_helper.to_array(constants[name]) for name in node.input[1:] if name]
    if scale.size != 1:
        return None
    return float(scale.item()), int(zero_point[0].item()) if zero_point else 0
