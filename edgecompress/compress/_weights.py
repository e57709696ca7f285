"""The weights of a float graph's layers: which there are, along which axis their outputs lie, and putting in others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgecompress.core.values import Array

OPERATORS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1, "MatMul": -1}
"""Operators with weights, and the axis of their outputs in them; a Gemm may say that it is the other one."""


@dataclass(frozen=True, kw_only=True)
class WeightedLayer:
    """A convolution or matrix product with constant weights. `axis` is that of the outputs in the weights."""

    name: str
    op: str
    weights: str
    axis: int
    output: str

    def by_output(self, values: Array) -> Array:
        """Return the weights as (outputs, weights of one output)."""
        moved: Array = np.moveaxis(values, self.axis, 0)
        return moved.reshape(len(moved), -1)


def layers(graph: ModelProto) -> tuple[WeightedLayer, ...]:
    """List the layers with float weights in the order of the graph, each tensor once."""
    constants = {tensor.name for tensor in graph.graph.initializer if tensor.data_type == TensorProto.FLOAT}
    found: dict[str, WeightedLayer] = {}
    for node in graph.graph.node:
        if node.op_type not in OPERATORS or node.input[1] not in constants or node.input[1] in found:
            continue
        axis = output_axis(node)
        found[node.input[1]] = WeightedLayer(
            name=node.name or node.output[0], op=node.op_type, weights=node.input[1], axis=axis, output=node.output[0]
        )
    return tuple(found.values())


def values(graph: ModelProto) -> dict[str, Array]:
    """Return every constant of the graph by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}


def replaced(graph: ModelProto, arrays: Mapping[str, Array]) -> ModelProto:
    """Return the graph with other values for some constants, of the same shapes and types."""
    changed = ModelProto()
    changed.CopyFrom(graph)
    for tensor in changed.graph.initializer:
        if tensor.name in arrays:
            dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
            tensor.CopyFrom(numpy_helper.from_array(arrays[tensor.name].astype(dtype), tensor.name))
    return changed


def to_grid(array: Array, axis: int, bits: int) -> Array:
    """Round weights to the symmetric grid of so many bits for each output: `2**bits - 1` values around 0.

    The largest magnitude of an output stays as it is, so that a later symmetric int8 quantization of the same output
    finds at most as many different integers.
    """
    others = tuple(other for other in range(array.ndim) if other != axis % array.ndim)
    reach = np.abs(array.astype(np.float64)).max(axis=others, keepdims=True)
    levels = 2 ** (bits - 1) - 1
    scale = np.where(reach > 0, reach, 1.0) / levels
    rounded: Array = (np.rint(array / scale) * scale).astype(np.float32)
    return rounded


def output_axis(node: NodeProto) -> int:
    """The axis of a layer's weights along which its outputs lie. Raises KeyError for another operator."""
    if node.op_type == "Gemm":
        transposed = any(attribute.i for attribute in node.attribute if attribute.name == "transB")
        return 0 if transposed else 1
    return OPERATORS[node.op_type]
