"""What the ONNX graph says of its outputs: their quantization step, and how far a softmax spreads one step."""

from __future__ import annotations

import math

from onnx import NodeProto, numpy_helper

from edgecompress.core.values import Model, TensorSpec


def output_steps(model: Model) -> dict[str, float | None]:
    """The quantization step of every output: 1 for an integer one, the scale of the DequantizeLinear that makes a
    float one, None for a float output that is not made by a DequantizeLinear with one scale.
    """
    return {spec.name: _step(model, spec) for spec in model.outputs}


def softmax_reach(model: Model, output: str, step: float) -> str | None:
    """Say how many output steps one input step of the softmax in front of `output` can make; None without a softmax.

    One logit that is higher by s moves a probability by at most tanh(s / 4): the largest slope of the logistic
    function, where a probability is one half, taken over the finite step.
    """
    softmax = _softmax_before(model, output)
    scale = _dequantize_scale(model, softmax.input[0]) if softmax is not None else None
    if scale is None:
        return None
    quantum = _quantize_scale(model, output) or step
    reach = math.tanh(scale / 4) / quantum
    return f"one step of its input ({scale:.3g}) moves it by up to {reach:.1f} LSB, two opposite ones by twice that"


def _step(model: Model, spec: TensorSpec) -> float | None:
    return 1.0 if spec.dtype != "float32" else _dequantize_scale(model, spec.name)


def _softmax_before(model: Model, output: str) -> NodeProto | None:
    node = _maker(model, output)
    while node is not None and node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
        node = _maker(model, node.input[0])
    return node if node is not None and node.op_type == "Softmax" else None


def _quantize_scale(model: Model, tensor: str) -> float | None:
    node = _maker(model, tensor)
    return _scale(model, node) if node is not None and node.op_type == "QuantizeLinear" else None


def _dequantize_scale(model: Model, tensor: str) -> float | None:
    node = _maker(model, tensor)
    return _scale(model, node) if node is not None and node.op_type == "DequantizeLinear" else None


def _maker(model: Model, tensor: str) -> NodeProto | None:
    return next((node for node in model.graph.graph.node if tensor in node.output), None)


def _scale(model: Model, node: NodeProto) -> float | None:
    constant = next((one for one in model.graph.graph.initializer if one.name == node.input[1]), None)
    if constant is None:
        return None
    values = numpy_helper.to_array(constant)
    return float(values.reshape(-1)[0]) if values.size == 1 else None
