"""Networks that onnxruntime.quantization makes, compiled for the host, against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from drawn_networks import NETWORKS, Array, Drawing
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from edgecompress import compile as compiler
from edgecompress.core import target
from edgecompress.models import onnx_file

SAMPLES = 24

ACTIVATIONS = {
    "asymmetric": (QuantType.QInt8, False),
    "symmetric": (QuantType.QInt8, True),
    "unsigned": (QuantType.QUInt8, False),
}


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Random inputs."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        random = np.random.default_rng(7)
        self._samples: Iterator[dict[str, Array]] = iter(
            [{"x": random.normal(0, 1, shape).astype(np.float32)} for _ in range(16)]
        )

    def get_next(self) -> dict[str, Array] | None:
        return next(self._samples, None)


@pytest.mark.parametrize("activations", ACTIVATIONS)
@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_stays_close_to_onnxruntime(network: str, activations: str, tmp_path: Path) -> None:
    """Each layer is off by one step at most, where a fixed-point rounding falls the other way; layers pass that on."""
    shape, draw_network = NETWORKS[network]
    drawing = Drawing(shape)
    drawing.save(draw_network(drawing), tmp_path / "float.onnx")
    kind, symmetric = ACTIVATIONS[activations]
    quantize_static(
        tmp_path / "float.onnx",
        tmp_path / "int8.onnx",
        Calibration(shape),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=kind,
        weight_type=QuantType.QInt8,
        extra_options={"ActivationSymmetric": symmetric, "WeightSymmetric": True},
    )
    inputs = np.random.default_rng(11).normal(0, 1, (SAMPLES, *shape[1:])).astype(np.float32)

    model = onnx_file.load(tmp_path / "int8.onnx")
    bundle = compiler.build(model, target.load("host"), tmp_path / "bundle")
    (found,) = bundle.run_on_host({"x": inputs}).values()

    wanted, step = run_onnxruntime(model.graph, inputs)
    steps = np.abs(np.rint((found.reshape(wanted.shape) - wanted) / step))
    assert wanted.std() > 10 * step, "the inputs make no difference"
    assert steps.max() <= 2
    assert (steps > 0).mean() < 0.5


def run_onnxruntime(proto: onnx.ModelProto, inputs: Array) -> tuple[Array, float]:
    """Run every sample without fusions; the outputs, and the scale that they are quantized with."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    outputs = np.stack([session.run(None, {"x": sample[np.newaxis]})[0][0] for sample in inputs])
    scale = next(node.input[1] for node in proto.graph.node if node.output[0] == proto.graph.output[0].name)
    scales = {each.name: numpy_helper.to_array(each) for each in proto.graph.initializer}
    return outputs, float(scales[scale].item())
