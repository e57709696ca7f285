"""Static int8 quantization: ranges from calibration samples, then a QDQ graph in which every operator is 8-bit.

What comes out, and why the compiler finds nothing left to do in floating point:

- The input stays float32 and is quantized by the first node, the output is dequantized by the last one.
- Weights are symmetric int8, per output channel; biases int32 with the scale input x weight; activations int8, with a
  zero point unless `symmetric`. `load` has already turned MatMul + Add into Gemm, so that a dense layer's bias is int32
  too and no Add of its own.
- Every operator is quantized, Transpose and Reshape included: the leading Transpose of a channels-last network moves
  bytes instead of floats.
- ReLU disappears into the range of its output; with symmetric activations it stays, right behind its operator.
- A function of one tensor is quantized as a whole, not step by step (_functions.py): a table of the compiler.
- Pooling and data movement keep the scale of their input, softmax, sigmoid and tanh have fixed scales, as the TFLite
  8-bit quantization specification wants (ai.google.dev/edge/litert/models/quantization_spec).

The rewriting is onnxruntime's QDQQuantizer; the ranges are ours (_ranges.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import onnx
from onnx import ModelProto
from pydantic import Field

from edgecompress.compress import _bias_correction, _quantization_error, _quantizer, _ranges, _weights
from edgecompress.compress._calibration import observe
from edgecompress.compress._functions import inner_values
from edgecompress.compress._integer_graph import simplify
from edgecompress.compress._ranges import Histogram
from edgecompress.core import toml_file
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import AppliedStep, Context, FileValue, Model, Option, Samples

INT8_BITS = 8


class Options(FileValue):
    """The options of the step in a recipe.

    `ranges`: `minmax`, `percentile` (of `percentile` per cent), `entropy` or `mse`, see _ranges.py. `weight_bits` below
    8 rounds the weights of every output to that many bits first; they stay in int8. `correct_bias` takes the mean error
    of each channel out of its bias.
    """

    ranges: Literal["minmax", "percentile", "entropy", "mse"] = "minmax"
    percentile: float = Field(default=99.99, gt=50, le=100)
    per_channel: bool = True
    symmetric: bool = False
    weight_bits: int = Field(default=8, ge=2, le=8)
    correct_bias: bool = False


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Quantize a float32 network to int8 with the calibration samples of `context`.

    Raises ConfigError for wrong options or when there are no samples, ModelError when the network is quantized already,
    computes NaN on a sample, or holds something that onnxruntime cannot run or quantize.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    if model.is_quantized:
        raise ModelError(f"{model.name} is already quantized", hint="take the step static_int8 out of the recipe")
    if any(node.op_type == "DynamicQuantizeLinear" for node in model.graph.graph.node):
        raise ModelError(
            f"{model.name} is already quantized while it runs (dynamic_int8)",
            hint="take one of the two steps out of the recipe",
        )
    if context.data is None:
        raise ConfigError(
            f"static_int8 needs samples to calibrate {model.name} with", hint="add a [data] table to the recipe"
        )
    with _quantizer.explained(model.name):
        graph = _quantized(model.graph, context.data.calibration, chosen, context)
    step = AppliedStep(method="static_int8", options=chosen.model_dump())
    return dataclasses.replace(model, graph=graph, steps=(*model.steps, step))


def _quantized(real: ModelProto, samples: Samples, options: Options, context: Context) -> ModelProto:
    """Quantize a float graph, and record how far the result is from it."""
    coarse = _coarse(real, options.weight_bits)
    seen = observe(real, samples, context.progress)
    context.progress("quantize", 0, 1)
    ranges = {name: _range(histogram, options) for name, histogram in seen.items()}
    graph = _quantizer.quantize(
        coarse, ranges, activation_bits=8, per_channel=options.per_channel, symmetric=options.symmetric
    )
    simplify(graph, inner_values(coarse.graph))
    graph = onnx.shape_inference.infer_shapes(graph, check_type=True, strict_mode=True)
    context.progress("quantize", 1, 1)
    if options.correct_bias:
        graph = _bias_correction.correct(real, graph, samples, context.progress)
    for finding in _quantization_error.findings(real, graph, samples):
        context.record(finding)
    return graph


def _coarse(real: ModelProto, bits: int) -> ModelProto:
    """Round the weights to fewer bits than int8 has."""
    if bits == INT8_BITS:
        return real
    arrays = _weights.values(real)
    rounded = {
        layer.weights: _weights.to_grid(arrays[layer.weights], layer.axis, bits) for layer in _weights.layers(real)
    }
    return _weights.replaced(real, rounded)


def _range(seen: Histogram, options: Options) -> tuple[float, float]:
    if options.ranges == "percentile":
        return _ranges.percentile(seen, options.percentile)
    if options.ranges == "entropy":
        return _ranges.entropy(seen)
    if options.ranges == "mse":
        return _ranges.mse(seen, symmetric=options.symmetric)
    return _ranges.minmax(seen)
