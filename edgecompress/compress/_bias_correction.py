"""Bias correction: the mean error that quantization gives each channel is taken out of its bias.

Rounding weights shifts the mean of a layer's outputs; batch normalisation's job is undone by that much. Layer after
layer, in the order of the graph: the mean of float minus quantized over the calibration samples, each channel by
itself, is added to the int32 bias, so that a layer is corrected behind layers that are corrected already (Nagel et al.
2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.2, in its empirical form).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto

from edgecompress.compress import _activations, _weights
from edgecompress.core.values import Array, Progress, Samples

MOST_SAMPLES = 64
BIAS_INPUTS = 3
CHANNEL_AXIS = 2
"""Of values stacked over samples of batch 1: (n, 1, channels, …)."""


@dataclass(frozen=True, kw_only=True)
class _Biased:
    """A layer with an int32 bias: its output in both graphs, before any activation, and the bias's integers and scale.

    A quantized graph gives a layer the name of the activation that its output's range took in.
    """

    real_output: str
    output: str
    bias: str
    scale: str


def correct(real: ModelProto, quantized: ModelProto, samples: Samples, progress: Progress) -> ModelProto:
    """Return the quantized graph with corrected biases. Layers without a bias of their own stay."""
    layers = _biased_layers(real, quantized)
    wanted = _activations.read(real, [layer.real_output for layer in layers], samples, MOST_SAMPLES)
    for done, layer in enumerate(layers):
        progress("correct biases", done, len(layers))
        got = _activations.read(quantized, [layer.output], samples, MOST_SAMPLES)[layer.output]
        quantized = _shifted(quantized, layer, _mean_by_channel(wanted[layer.real_output] - got))
    progress("correct biases", len(layers), len(layers))
    return quantized


def _shifted(quantized: ModelProto, layer: _Biased, shift: Array) -> ModelProto:
    constants = _weights.values(quantized)
    bias, scale = constants[layer.bias].astype(np.float64), constants[layer.scale].astype(np.float64)
    limits = np.iinfo(np.int32)
    return _weights.replaced(quantized, {layer.bias: np.clip(np.rint(bias + shift / scale), limits.min, limits.max)})


def _mean_by_channel(values: Array) -> Array:
    others = tuple(axis for axis in range(values.ndim) if axis != CHANNEL_AXIS)
    mean: Array = values.astype(np.float64).mean(axis=others)
    return mean


def _biased_layers(real: ModelProto, quantized: ModelProto) -> tuple[_Biased, ...]:
    outputs = {node.name: node.output[0] for node in real.graph.node if node.name}
    makers = {node.output[0]: node for node in quantized.graph.node}
    found = (_biased(node, outputs, makers) for node in quantized.graph.node)
    layers = [layer for layer in found if layer is not None]
    users = Counter(layer.bias for layer in layers)
    return tuple(layer for layer in layers if users[layer.bias] == 1)


def _biased(node: NodeProto, outputs: dict[str, str], makers: dict[str, NodeProto]) -> _Biased | None:
    if node.op_type not in ("Conv", "Gemm") or len(node.input) < BIAS_INPUTS or node.name not in outputs:
        return None
    dequantize = makers.get(node.input[2])
    if dequantize is None or dequantize.op_type != "DequantizeLinear":
        return None
    return _Biased(
        real_output=outputs[node.name],
        output=node.output[0],
        bias=dequantize.input[0],
        scale=dequantize.input[1],
    )
