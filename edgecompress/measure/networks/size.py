"""How much a graph holds and computes: parameters, stored bytes, multiply-accumulates."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

from edgecompress.core.values import Measurement, Model

INSTRUMENT = "the graph's tensors"
BITS_A_BYTE = 8
_BITS: dict[int, int] = {TensorProto.INT4: 4, TensorProto.UINT4: 4, TensorProto.INT2: 2, TensorProto.UINT2: 2}


def read(model: Model) -> tuple[Measurement, ...]:
    """Count parameters, those that are not 0, their bytes in storage, and multiply-accumulates an inference.

    Scales, zero points and shapes are no parameters, but are stored. A step that keeps the parameters in a form of its
    own (entropy-coded, sparse) has counted its bytes itself.
    """
    parameters = [numpy_helper.to_array(tensor) for tensor in _parameters(model.graph)]
    own_form = model.steps[-1].stored_bytes if model.steps else None
    stored = sum(map(_bytes, model.graph.graph.initializer)) if own_form is None else own_form
    return (
        _count("parameters", "", sum(array.size for array in parameters)),
        _count("nonzero_parameters", "", sum(int(np.count_nonzero(array)) for array in parameters)),
        _count("stored_bytes", "bytes", stored, form="the graph's tensors" if own_form is None else "the step's own"),
        _count("macs", "", multiplications(model.graph)),
    )


def multiplications(graph: ModelProto) -> int:
    """Count the multiply-accumulates of convolutions and matrix products of one inference."""
    inferred = shape_inference.infer_shapes(graph).graph
    known = [*inferred.input, *inferred.value_info, *inferred.output]
    shapes = {value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in known}
    shapes |= {tensor.name: tuple(tensor.dims) for tensor in inferred.initializer}
    return sum(_of_node(node, shapes) for node in inferred.node)


def _of_node(node: NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    if node.op_type in ("Conv", "ConvInteger"):
        return math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
    if node.op_type == "ConvTranspose":
        return math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])
    if node.op_type == "Gemm":
        transposed = any(helper.get_attribute_value(a) for a in node.attribute if a.name == "transA")
        return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if transposed else 1]
    if node.op_type in ("MatMul", "MatMulInteger"):
        return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    return 0


def _parameters(graph: ModelProto) -> Iterator[TensorProto]:
    settings = {name for node in graph.graph.node for name in _settings(node)}
    for tensor in graph.graph.initializer:
        if tensor.name not in settings and tensor.data_type not in (TensorProto.INT64, TensorProto.BOOL):
            yield tensor


def _settings(node: NodeProto) -> tuple[str, ...]:
    """Name the inputs of a node that say how it computes: no parameters."""
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        return tuple(node.input[1:])
    return tuple(node.input[1:]) if node.op_type in ("Clip", "Resize", "Pad", "Slice") else ()


def _bytes(tensor: TensorProto) -> int:
    elements = math.prod(map(int, tensor.dims))
    bits = _BITS.get(tensor.data_type, BITS_A_BYTE * numpy_helper.to_array(tensor).itemsize)
    return math.ceil(elements * bits / BITS_A_BYTE)


def _count(metric: str, unit: str, value: int, **conditions: str) -> Measurement:
    return Measurement(
        metric=metric, unit=unit, value=value, how="computed", instrument=INSTRUMENT, conditions=conditions
    )
