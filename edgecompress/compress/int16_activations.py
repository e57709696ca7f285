"""int8 weights and int16 activations: close to the float network, for layers that 8 bits of activation spoil.

Symmetric int16 activations over the range that calibration saw, int8 weights with a scale for each output: the 16x8
form of TFLite's quantization specification, as QDQ. It tells whether the activations or the weights are what a network
loses by. The compiler has 8-bit kernels only and says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import onnx

from edgecompress.compress import _quantization_error, _quantizer, _ranges
from edgecompress.compress._calibration import observe
from edgecompress.core import toml_file
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import AppliedStep, Context, FileValue, Model, Option


class Options(FileValue):
    """The options of the step in a recipe. `per_channel` gives every output of a layer a scale of its own."""

    per_channel: bool = True


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Quantize a float32 network with the calibration samples of `context`.

    Raises ConfigError for wrong options or without samples, ModelError when the network is quantized already or
    onnxruntime cannot quantize it.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    if model.is_quantized:
        raise ModelError(f"{model.name} is already quantized", hint="take one of the two steps out of the recipe")
    if context.data is None:
        raise ConfigError(
            f"int16_activations needs samples to calibrate {model.name} with", hint="add a [data] table to the recipe"
        )
    samples = context.data.calibration
    with _quantizer.explained(model.name):
        seen = observe(model.graph, samples, context.progress)
        ranges = {name: _ranges.minmax(histogram) for name, histogram in seen.items()}
        graph = _quantizer.quantize(
            model.graph, ranges, activation_bits=16, per_channel=chosen.per_channel, symmetric=True
        )
        graph = onnx.shape_inference.infer_shapes(graph)
    for finding in _quantization_error.findings(model.graph, graph, samples):
        context.record(finding)
    step = AppliedStep(method="int16_activations", options=chosen.model_dump())
    return dataclasses.replace(model, graph=graph, steps=(*model.steps, step))
