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

import contextlib
import dataclasses
import io
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import onnx
from onnx import ModelProto
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import add_infer_metadata
from pydantic import Field

from edgecompress.compress import _ranges
from edgecompress.compress._calibration import observe
from edgecompress.compress._functions import inner_values
from edgecompress.compress._integer_graph import simplify
from edgecompress.compress._ranges import Histogram
from edgecompress.core import toml_file
from edgecompress.core.errors import ConfigError, EdgecompressError, ModelError
from edgecompress.core.values import AppliedStep, Context, FileValue, Model, Option

SAME_SCALE = frozenset({"AveragePool", "GlobalAveragePool", "MaxPool", "GlobalMaxPool"})
FIXED_OUTPUTS = {"Softmax": (1 / 256, -128), "Sigmoid": (1 / 256, -128), "Tanh": (1 / 128, 0)}
"""Scale and zero point of an output whose range is known."""


class Options(FileValue):
    """The options of the step in a recipe.

    `ranges`: `minmax`, `percentile` (of `percentile` per cent), `entropy` or `mse`, see _ranges.py.
    """

    ranges: Literal["minmax", "percentile", "entropy", "mse"] = "minmax"
    percentile: float = Field(default=99.99, gt=50, le=100)
    per_channel: bool = True
    symmetric: bool = False


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Quantize a float32 network to int8 with the calibration samples of `context`.

    Raises ConfigError for wrong options or when there are no samples, ModelError when the network is quantized already,
    computes NaN on a sample, or holds something that onnxruntime cannot run or quantize.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    if model.is_quantized:
        raise ModelError(f"{model.name} is already quantized", hint="take the step static_int8 out of the recipe")
    if context.data is None:
        raise ConfigError(
            f"static_int8 needs samples to calibrate {model.name} with", hint="add a [data] table to the recipe"
        )
    try:
        seen = observe(model.graph, context.data.calibration, context.progress)
        context.progress("quantize", 0, 1)
        graph = _quantize(model.graph, _ranges_of(seen, model.graph, chosen), chosen)
    except EdgecompressError:
        raise
    except Exception as error:
        # onnxruntime throws a dozen unrelated types, bare Exception among them.
        text = " ".join(str(error).split())[:200]
        raise ModelError(
            f"onnxruntime cannot quantize {model.name}: {type(error).__name__}: {text}",
            hint="check that onnxruntime runs the network at all",
        ) from error
    context.progress("quantize", 1, 1)
    step = AppliedStep(method="static_int8", options=chosen.model_dump())
    return dataclasses.replace(model, graph=graph, steps=(*model.steps, step))


def _range(seen: Histogram, options: Options) -> tuple[float, float]:
    if options.ranges == "percentile":
        return _ranges.percentile(seen, options.percentile)
    if options.ranges == "entropy":
        return _ranges.entropy(seen)
    if options.ranges == "mse":
        return _ranges.mse(seen, symmetric=options.symmetric)
    return _ranges.minmax(seen)


def _ranges_of(seen: Mapping[str, Histogram], proto: ModelProto, options: Options) -> dict[str, tuple[float, float]]:
    """Find every activation's range; pooling takes its input's, for its kernel works on the integers as they are."""
    ranges = {name: _range(histogram, options) for name, histogram in seen.items()}
    for node in proto.graph.node:
        if node.op_type in SAME_SCALE:
            ranges[node.output[0]] = ranges[node.input[0]]
    return ranges


def _quantize(proto: ModelProto, ranges: Mapping[str, tuple[float, float]], options: Options) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(proto)
    # Says that shapes are inferred already; without it the quantizer writes the model to disk and reads it back.
    add_infer_metadata(copy)
    data = {name: TensorData(lowest=np.float32(low), highest=np.float32(high)) for name, (low, high) in ranges.items()}
    with _quiet():
        quantizer = QDQQuantizer(
            copy,
            options.per_channel,
            False,  # reduce_range: int8 weights use all 8 bits
            QuantType.QInt8,
            QuantType.QInt8,
            TensorsData(CalibrationMethod.MinMax, data),
            [],
            [],
            sorted({node.op_type for node in proto.graph.node}),
            {
                "WeightSymmetric": True,
                "ActivationSymmetric": options.symmetric,
                "ForceQuantizeNoInputCheck": True,
                "TensorQuantOverrides": _fixed_outputs(proto),
            },
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
    quantized: ModelProto = quantizer.model.model
    del quantized.metadata_props[:]
    del quantized.graph.value_info[:]
    simplify(quantized, inner_values(proto.graph))
    return onnx.shape_inference.infer_shapes(quantized, check_type=True, strict_mode=True)


def _fixed_outputs(proto: ModelProto) -> dict[str, list[dict[str, Any]]]:
    return {
        node.output[0]: [{"scale": np.array(scale, np.float32), "zero_point": np.array(zero_point, np.int8)}]
        for node in proto.graph.node
        if node.op_type in FIXED_OUTPUTS
        for scale, zero_point in [FIXED_OUTPUTS[node.op_type]]
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantizer's prints and its warnings on the root logger off the terminal."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(before)
