"""How far a quantized graph is from the float one, layer by layer: measured on the calibration samples, not assumed.

The figure is the signal to quantization noise ratio, SQNR = 10 log10(sum x^2 / sum (x - q)^2) in dB: 6 dB are one bit
(Widrow and Kollar 2008, "Quantization Noise", chapter 1). For every quantized value there are three: of the layer's
weights alone, of the value rounded by itself, and of the value as it comes out behind all quantized layers before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto

from edgecompress.compress import _activations, _weights
from edgecompress.core.values import Array, Finding, Samples, Series

MOST_SAMPLES = 32
BINS = 41
LARGEST_DB = 99.0
"""What stands for no noise at all."""


@dataclass(frozen=True, kw_only=True)
class _Quantized:
    """A value of the float graph that is quantized: its quantizer's parameters and the integers' tensor."""

    value: str
    integers: str
    scale: float
    zero_point: int


def findings(real: ModelProto, quantized: ModelProto, samples: Samples) -> tuple[Finding, ...]:
    """Compare the two graphs: SQNR by layer, and how the error of the output is distributed.

    Both graphs name their values alike, as a graph and its quantized form do; values that only one of them has are
    left out.
    """
    compared = _quantized_values(real, quantized)
    if not compared:
        return ()
    outputs = [output.name for output in quantized.graph.output]
    seen = _activations.read(real, [*(each.value for each in compared), *outputs], samples, MOST_SAMPLES)
    integers = [*(each.integers for each in compared), *outputs]
    got = _activations.read(quantized, integers, samples, MOST_SAMPLES)
    return (_by_layer(real, quantized, compared, seen, got), _of_output(seen[outputs[0]], got[outputs[0]], outputs[0]))


def sqnr_db(real: Array, noisy: Array) -> float:
    """The signal to quantization noise ratio in dB, at most 99."""
    signal = float(np.sum(np.square(real, dtype=np.float64)))
    noise = float(np.sum(np.square(real.astype(np.float64) - noisy)))
    if noise == 0 or signal == 0:
        return LARGEST_DB if noise == 0 else -LARGEST_DB
    return min(LARGEST_DB, 10 * float(np.log10(signal / noise)))


def _by_layer(
    real: ModelProto,
    quantized: ModelProto,
    compared: tuple[_Quantized, ...],
    seen: dict[str, Array],
    got: dict[str, Array],
) -> Finding:
    names = tuple(each.value for each in compared)
    alone, behind = [], []
    for each in compared:
        values = seen[each.value]
        limits = np.iinfo(got[each.integers].dtype)
        rounded = np.clip(np.rint(values / each.scale) + each.zero_point, limits.min, limits.max)
        alone.append(sqnr_db(values, (rounded - each.zero_point) * each.scale))
        behind.append(sqnr_db(values, (got[each.integers].astype(np.float64) - each.zero_point) * each.scale))
    weights = _of_weights(real, quantized)
    series = (
        Series(name="as it comes out", x=names, y=tuple(behind)),
        Series(name="rounded by itself", x=names, y=tuple(alone)),
        Series(name="weights", x=tuple(weights), y=tuple(weights.values())),
    )
    return Finding(
        title="Signal to quantization noise by layer",
        kind="bars",
        x_label="value",
        y_label="SQNR, dB",
        series=tuple(each for each in series if each.x),
        note=f"On {min(MOST_SAMPLES, len(next(iter(seen.values()))))} calibration samples; 6 dB are one bit.",
    )


def _of_output(real: Array, noisy: Array, name: str) -> Finding:
    error = (noisy.astype(np.float64) - real).reshape(-1)
    reach = float(np.abs(error).max()) or 1.0
    counts, edges = np.histogram(error, bins=BINS, range=(-reach, reach))
    centres = (edges[:-1] + edges[1:]) / 2
    return Finding(
        title=f"Error of the output {name}",
        kind="lines",
        x_label="quantized minus float",
        y_label="share of the elements",
        series=(Series(name="error", x=tuple(centres.tolist()), y=tuple((counts / error.size).tolist())),),
        note=f"Mean {error.mean():.3g}, standard deviation {error.std():.3g}, largest {np.abs(error).max():.3g}.",
    )


def _quantized_values(real: ModelProto, quantized: ModelProto) -> tuple[_Quantized, ...]:
    made = {name for node in real.graph.node for name in node.output}
    made &= {
        info.name
        for info in [*real.graph.value_info, *real.graph.output]
        if info.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    constants = _weights.values(quantized)
    found: dict[str, _Quantized] = {}
    for node in quantized.graph.node:
        if node.op_type != "QuantizeLinear" or node.input[0] not in made or node.input[0] in found:
            continue
        scale, zero_point = constants[node.input[1]], constants[node.input[2]]
        if scale.size == 1:
            found[node.input[0]] = _Quantized(
                value=node.input[0],
                integers=node.output[0],
                scale=scale.item(),
                zero_point=int(zero_point.item()),
            )
    return tuple(found.values())


def _of_weights(real: ModelProto, quantized: ModelProto) -> dict[str, float]:
    """SQNR of each layer's weights, by the name that the layer's output has in the quantized graph."""
    constants = _weights.values(quantized)
    makers = {node.output[0]: node for node in quantized.graph.node}
    layers = {node.name: node for node in quantized.graph.node}
    floats = _weights.values(real)
    found = {}
    for layer in _weights.layers(real):
        node = layers.get(layer.name)
        dequantize = makers.get(node.input[1]) if node is not None and len(node.input) > 1 else None
        if node is None or dequantize is None or dequantize.op_type != "DequantizeLinear":
            continue
        noisy = _dequantized(dequantize, constants)
        if noisy.shape == floats[layer.weights].shape:
            found[node.output[0]] = sqnr_db(floats[layer.weights], noisy)
    return found


def _dequantized(node: NodeProto, constants: dict[str, Array]) -> Array:
    integers, scale = constants[node.input[0]], constants[node.input[1]].astype(np.float64)
    zero_point = constants[node.input[2]] if len(node.input) > 2 else np.zeros_like(scale)
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    along = [1] * integers.ndim
    if scale.size > 1:
        along[axis] = scale.size
    real: Array = (integers - zero_point.astype(np.float64).reshape(along)) * scale.reshape(along)
    return real
