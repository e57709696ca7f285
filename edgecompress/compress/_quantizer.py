"""A QDQ graph from a float one and the range of every activation, by ONNX Runtime's quantizer."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import add_infer_metadata

from edgecompress.compress import _exit_scales
from edgecompress.core.errors import EdgecompressError, ModelError

SAME_SCALE = frozenset({"AveragePool", "GlobalAveragePool", "MaxPool", "GlobalMaxPool"})
FIXED_OUTPUTS = {"Softmax": (1 / 256, -128), "Sigmoid": (1 / 256, -128), "Tanh": (1 / 128, 0)}
"""Scale and zero point of an int8 output whose range is known."""
OPSET_OF_INT16 = 21
"""The first operator set whose QuantizeLinear knows int16."""

Ranges = Mapping[str, tuple[float, float]]
Parameters = Mapping[str, tuple[NDArray[np.float32], int]]
"""Scale and zero point by tensor: a scale () of an activation, or scales (outputs,) of weights, outputs first."""
NO_PARAMETERS: Parameters = MappingProxyType({})


def quantize(
    real: ModelProto,
    ranges: Ranges,
    *,
    activation_bits: Literal[8, 16],
    per_channel: bool,
    symmetric: bool,
    parameters: Parameters = NO_PARAMETERS,
) -> ModelProto:
    """Quantize every operator: int8 weights (symmetric), int8 or int16 activations, int32 biases.

    What `parameters` names is quantized with these instead of its range or its largest weights. Pooling takes the
    range of its input, for its kernel works on the integers as they are.
    """
    copy = ModelProto()
    copy.CopyFrom(real)
    if activation_bits == 16:
        copy = onnx.version_converter.convert_version(copy, max(OPSET_OF_INT16, _opset(copy)))
    # Says that shapes are inferred already; without it the quantizer writes the model to disk and reads it back.
    add_infer_metadata(copy)
    with quietly():
        quantizer = QDQQuantizer(
            copy,
            per_channel,
            False,  # reduce_range: int8 weights use all 8 bits
            QuantType.QInt8,
            QuantType.QInt8 if activation_bits == 8 else QuantType.QInt16,
            TensorsData(CalibrationMethod.MinMax, _data(real, ranges)),
            [],
            _exit_scales.unquantized(real),
            sorted({node.op_type for node in real.graph.node}),
            {
                "WeightSymmetric": True,
                "ActivationSymmetric": symmetric,
                "ForceQuantizeNoInputCheck": True,
                "TensorQuantOverrides": {
                    **_given(parameters),
                    **(_fixed_outputs(real) if activation_bits == 8 else {}),
                },
            },
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
    quantized: ModelProto = quantizer.model.model
    del quantized.metadata_props[:]
    del quantized.graph.value_info[:]
    return quantized


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep the quantizer's prints and its warnings on the root logger off the terminal."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(before)


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn whatever onnxruntime throws at the network `name` into a ModelError."""
    try:
        yield
    except EdgecompressError:
        raise
    except Exception as error:
        # onnxruntime throws a dozen unrelated types, bare Exception among them.
        text = " ".join(str(error).split())[:200]
        raise ModelError(
            f"onnxruntime cannot quantize {name}: {type(error).__name__}: {text}",
            hint="check that onnxruntime runs the network at all",
        ) from error


def _data(real: ModelProto, ranges: Ranges) -> dict[str, TensorData]:
    shared = _exit_scales.shared(real, ranges)
    for node in real.graph.node:
        if node.op_type in SAME_SCALE:
            shared[node.output[0]] = shared[node.input[0]]
    return {name: TensorData(lowest=np.float32(low), highest=np.float32(high)) for name, (low, high) in shared.items()}


def _given(parameters: Parameters) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [
            {
                "scale": np.array(scale),
                "zero_point": np.array(zero_point, np.int8),
                **({"axis": 0} if scales.ndim else {}),
            }
            for scale in np.atleast_1d(scales)
        ]
        for name, (scales, zero_point) in parameters.items()
    }


def _fixed_outputs(proto: ModelProto) -> dict[str, list[dict[str, Any]]]:
    known = {node.output[0]: FIXED_OUTPUTS[node.op_type] for node in proto.graph.node if node.op_type in FIXED_OUTPUTS}
    return {
        name: [{"scale": np.array(scale, np.float32), "zero_point": np.array(zero_point, np.int8)}]
        for name, (scale, zero_point) in _exit_scales.with_results(proto, known).items()
    }


def _opset(proto: ModelProto) -> int:
    return max(int(entry.version) for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
