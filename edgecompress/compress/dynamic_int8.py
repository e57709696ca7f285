"""Dynamic int8 quantization: int8 weights, and activations whose range is found anew for every input.

Nothing is calibrated: DynamicQuantizeLinear finds the scale while the network runs, which costs a pass over every
activation. It serves networks whose activations vary a lot from input to input, under ONNX Runtime; the compiler has no
kernels for it and says so. Where a device is the goal, static_int8 is the method.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import ModelProto
from onnxruntime.quantization import QuantType, quantize_dynamic

from edgecompress.compress import _quantizer
from edgecompress.core import toml_file
from edgecompress.core.errors import ModelError
from edgecompress.core.values import AppliedStep, Context, FileValue, Model, Option


class Options(FileValue):
    """The options of the step in a recipe. `per_channel` gives every output of a layer a scale of its own."""

    per_channel: bool = True


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Quantize weights now and activations while the network runs. Needs no samples.

    Raises ConfigError for wrong options, ModelError for a network that is quantized already or that onnxruntime cannot
    quantize.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    if model.is_quantized:
        raise ModelError(f"{model.name} is already quantized", hint="take one of the two steps out of the recipe")
    context.progress("quantize", 0, 1)
    graph = _quantized(model, per_channel=chosen.per_channel)
    context.progress("quantize", 1, 1)
    step = AppliedStep(method="dynamic_int8", options=chosen.model_dump())
    return dataclasses.replace(model, graph=graph, steps=(*model.steps, step))


def _quantized(model: Model, *, per_channel: bool) -> ModelProto:
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as scratch:
        result = Path(scratch) / "dynamic.onnx"
        with _quantizer.explained(model.name), _quantizer.quietly():
            quantize_dynamic(model.graph, result, per_channel=per_channel, weight_type=QuantType.QInt8)
        graph = onnx.load(result)
    del graph.metadata_props[:]
    return onnx.shape_inference.infer_shapes(graph)
