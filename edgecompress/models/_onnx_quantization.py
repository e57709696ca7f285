"""Quantization parameters of a QDQ graph: what they must be, and constants that can be quantized here and now."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from edgecompress.core.errors import ModelError
from edgecompress.core.values import Array

QUANTIZERS = frozenset({"QuantizeLinear", "DequantizeLinear"})
ZERO_POINT_TYPES = frozenset({TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.INT32})


def check(proto: ModelProto, path: Path) -> None:
    """Check that scales (finite, above zero) and zero points (inside their type, 0 for int32) are constants."""
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    shapes = {
        info.name: tuple(dim.dim_value for dim in info.type.tensor_type.shape.dim)
        for info in [*proto.graph.value_info, *proto.graph.input, *proto.graph.output]
    }
    shapes |= {name: tuple(tensor.dims) for name, tensor in constants.items()}
    for node in proto.graph.node:
        if node.op_type in QUANTIZERS:
            _check_quantizer(node, constants, shapes[node.input[0]], path)


def fold_weights(proto: ModelProto) -> None:
    """Replace each QuantizeLinear of a constant by the quantized constant, in place.

    Exporters of quantization-aware training write float weights with both quantizers behind them; the weights belong
    into the file as int8. Expects a graph that passed `check`.
    """
    graph = proto.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if _is_quantized_constant(node, constants)]:
        values, scale, zero_point = [numpy_helper.to_array(constants[name]) for name in node.input]
        quantized = _quantized(values, scale, zero_point, axis=_axis(node))
        graph.initializer.append(numpy_helper.from_array(quantized, name=node.output[0]))
        graph.node.remove(node)
    read = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in read]:
        graph.initializer.remove(tensor)


def _is_quantized_constant(node: NodeProto, constants: dict[str, TensorProto]) -> bool:
    return node.op_type == "QuantizeLinear" and len(node.input) == 3 and node.input[0] in constants


def _quantized(values: Array, scale: Array, zero_point: Array, *, axis: int) -> Array:
    """Quantize as the ONNX operator does: round half to even, add the zero point, saturate."""
    along = [1] * values.ndim
    if scale.size > 1:
        along[axis] = scale.size
    limits = np.iinfo(zero_point.dtype)
    rounded = np.rint(values / scale.reshape(along)) + zero_point.astype(np.float32).reshape(along)
    quantized: Array = np.clip(rounded, limits.min, limits.max).astype(zero_point.dtype)
    return quantized


def _axis(node: NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)


def _check_quantizer(node: NodeProto, constants: dict[str, TensorProto], shape: tuple[int, ...], path: Path) -> None:
    where = f"{path}: {node.op_type} {node.name!r}"
    names = list(node.input[1:])
    missing = [name for name in names if name and name not in constants]
    if missing:
        raise ModelError(f"{where}: {missing[0]!r} is computed", hint="scales and zero points must be constants")
    if constants[names[0]].data_type != TensorProto.FLOAT:
        raise ModelError(f"{where}: the scale is not float32", hint="export the network in float32 before quantizing")
    scale = numpy_helper.to_array(constants[names[0]])
    wrong = scale[~(np.isfinite(scale) & (scale > 0))]
    if wrong.size:
        raise ModelError(
            f"{where}: the scale is {wrong.flat[0]:g}; it must be finite and above zero", hint="quantize again"
        )
    _check_axis(node, scale, shape, where)
    if len(names) > 1 and names[1]:
        _check_zero_point(constants[names[1]], scale, where)


def _check_axis(node: NodeProto, scale: Array, shape: tuple[int, ...], where: str) -> None:
    if scale.ndim > 1 or any(attribute.name == "block_size" and attribute.i for attribute in node.attribute):
        raise ModelError(f"{where}: blocked quantization", hint="quantize per tensor or per channel")
    if scale.size == 1:
        return
    axis = _axis(node)
    if not -len(shape) <= axis < len(shape) or shape[axis] != scale.size:
        raise ModelError(
            f"{where}: {scale.size} scales do not fit axis {axis} of the shape {shape}", hint="quantize again"
        )


def _check_zero_point(tensor: TensorProto, scale: Array, where: str) -> None:
    if tensor.data_type not in ZERO_POINT_TYPES:
        kind = TensorProto.DataType.Name(tensor.data_type).lower()
        raise ModelError(f"{where}: the zero point is {kind}", hint="quantize to 8 bits")
    raw = np.array(tensor.int32_data, dtype=np.int64) if tensor.int32_data else numpy_helper.to_array(tensor)
    limits = np.iinfo(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
    low, high = (0, 0) if tensor.data_type == TensorProto.INT32 else (int(limits.min), int(limits.max))
    wrong = raw[(raw < low) | (raw > high)]
    if wrong.size:
        raise ModelError(
            f"{where}: the zero point is {wrong.flat[0]}; it must lie in {low}..{high}", hint="quantize again"
        )
    if raw.size != scale.size:
        raise ModelError(f"{where}: {scale.size} scales but {raw.size} zero points", hint="quantize again")
