"""Weights and biases of convolutions and fully connected layers, quantized as the TFLite specification demands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.models._onnx_shapes import show
from edgecompress.models._tflite_graph import Graph, Shape, values_of
from edgecompress.models._tflite_records import DAMAGED, Operator

BIAS_SCALE_TOLERANCE = 1e-3
"""The converter computes a bias scale in float32; what is further from input scale times weight scale is wrong."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The ONNX value of real weights, and their shape as the file has it."""

    value: str
    stored_shape: Shape


def filter_weights(graph: Graph, operator: Operator) -> Weights:
    """Weights (outputs, rows, columns, channels), a scale for each output or one."""
    return _weights(graph, operator, order=(0, 3, 1, 2), axis=0)


def depthwise_weights(graph: Graph, operator: Operator) -> Weights:
    """Weights (1, rows, columns, outputs), a scale for each output or one."""
    return _weights(graph, operator, order=(3, 0, 1, 2), axis=3)


def rows_weights(graph: Graph, operator: Operator) -> Weights:
    """Weights (outputs, inputs), a scale for each output or one."""
    return _weights(graph, operator, order=(0, 1), axis=0)


def _weights(graph: Graph, operator: Operator, *, order: tuple[int, ...], axis: int) -> Weights:
    tensor, data = graph.tensor(operator.inputs[1]), graph.tensor(operator.inputs[0])
    wanted = "int8" if data.quantization is not None else "float32"
    if tensor.data is None:
        raise graph.refusal(operator, f"has weights {tensor.name!r} that are computed", "weights must be constants")
    if len(tensor.shape) != len(order):
        raise graph.refusal(operator, f"has weights {show(tensor.shape)}; they have {len(order)} axes", DAMAGED)
    if tensor.dtype != wanted or (tensor.quantization is not None) != (wanted == "int8"):
        reason = f"computes {data.dtype} numbers with {tensor.dtype} weights"
        raise graph.refusal(operator, reason, "convert the network to full int8, or leave it in float32")
    value = graph.constant(values_of(tensor).transpose(order), tensor.name)
    quantization = tensor.quantization
    if quantization is not None:
        if quantization.zero_points.any():
            raise graph.refusal(operator, "has weights with a zero point", "quantize weights symmetrically")
        if quantization.scales.size > 1 and quantization.axis != axis:
            reason = f"has weights with scales along axis {quantization.axis}, not along {axis}, its outputs"
            raise graph.refusal(operator, reason, DAMAGED)
        value = graph.dequantized(value, quantization, "int8", axis=0)
    return Weights(value=value, stored_shape=tensor.shape)


def bias(graph: Graph, operator: Operator, outputs: int) -> list[str]:
    """The ONNX value of a layer's bias; nothing when it has none. Expects weights that passed."""
    if len(operator.inputs) < 3 or operator.inputs[2] < 0:
        return []
    tensor, data = graph.tensor(operator.inputs[2]), graph.tensor(operator.inputs[0])
    wanted = "int32" if data.quantization is not None else "float32"
    if tensor.data is None or tensor.dtype != wanted or tensor.shape != (outputs,):
        kind = "constant" if tensor.data is not None else "computed"
        reason = f"has a {kind} {tensor.dtype} bias {show(tensor.shape)}; it takes a constant {wanted} ({outputs})"
        raise graph.refusal(operator, reason, "convert the network again")
    value = graph.constant(values_of(tensor), tensor.name)
    if data.quantization is None:
        return [value]
    if tensor.quantization is None:
        raise graph.refusal(operator, "has a bias without a scale", "quantize again")
    weight_scales = _scales(graph, operator.inputs[1])
    _check_bias_scale(graph, operator, data.quantization.scales * weight_scales, tensor.quantization.scales)
    return [graph.dequantized(value, tensor.quantization, "int32", axis=0)]


def _scales(graph: Graph, index: int) -> NDArray[np.float32]:
    quantization = graph.tensor(index).quantization
    return np.ones(1, np.float32) if quantization is None else quantization.scales


def _check_bias_scale(
    graph: Graph, operator: Operator, wanted: NDArray[np.float32], found: NDArray[np.float32]
) -> None:
    if wanted.size > 1 and found.size not in (1, wanted.size):
        raise graph.refusal(operator, f"has {found.size:,} bias scales for {wanted.size:,} channels", DAMAGED)
    wanted, found = np.broadcast_arrays(wanted, found)
    wrong = np.flatnonzero(~np.isclose(found, wanted, rtol=BIAS_SCALE_TOLERANCE, atol=0))
    if wrong.size:
        first = int(wrong[0])
        reason = f"has the bias scale {found[first]:g}; its input's times its weights' is {wanted[first]:g}"
        raise graph.refusal(operator, reason, "quantize again")
