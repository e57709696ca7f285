"""Networks that onnxruntime.quantization makes, compiled for the host, against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from edgecompress import compile as compiler
from edgecompress.core import target
from edgecompress.models import onnx_file

Array = np.ndarray[Any, Any]
SAMPLES = 24


class Drawing:
    """A float network in the making, with random weights."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._random = np.random.default_rng(5)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def random(self, *shape: int, spread: float = 0.3) -> str:
        return self.constant(self._random.normal(0, spread, shape).astype(np.float32))

    def constant(self, values: Array) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def save(self, output: str, path: Path) -> None:
        ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)]
        ends.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
        graph = helper.make_graph(self._nodes, "drawn", ends[:1], ends[1:], self._constants)
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.save(onnx.shape_inference.infer_shapes(proto), path)


def image_network(draw: Drawing) -> str:
    """Odd channels, every kind of window, groups, a depth multiplier, a residual, both ways to flatten."""
    conv = draw.node("Conv", "x", draw.random(10, 6, 3, 3), draw.random(10), pads=[2, 1, 0, 1])
    first = draw.node("Relu", conv)
    thin = draw.node("Conv", first, draw.random(10, 1, 3, 3), draw.random(10), pads=[2] * 4, dilations=[2, 2], group=10)
    low, high = (draw.constant(np.array(bound, np.float32)) for bound in (0, 6))
    total = draw.node("Relu", draw.node("Add", first, draw.node("Clip", thin, low, high)))
    pooled = draw.node("MaxPool", total, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    grouped = draw.node("Conv", pooled, draw.random(8, 5, 1, 1), draw.random(8), group=2)
    mean = draw.node("AveragePool", pooled, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    joined = draw.node("Concat", grouped, mean, axis=1)
    wide = draw.node("Conv", joined, draw.random(36, 1, 2, 3), group=18, strides=[2, 1])
    flat = draw.node("Flatten", draw.node("GlobalAveragePool", wide))
    whole = draw.node("Gemm", draw.node("Flatten", wide), draw.random(7, 432, spread=0.1), draw.random(7), transB=1)
    return draw.node("Add", whole, draw.node("Gemm", flat, draw.random(36, 7), draw.random(7)))


def line_network(draw: Drawing) -> str:
    """A convolution over a line, a matrix product for each of its places, a constant added to a quantized sum."""
    conv = draw.node("Relu", draw.node("Conv", "x", draw.random(6, 4, 5), draw.random(6), pads=[2, 2], strides=[2]))
    places = draw.node("MatMul", draw.node("Transpose", conv, perm=[0, 2, 1]), draw.random(6, 9))
    shifted = draw.node("Add", places, draw.random(9))
    row = draw.node("Reshape", shifted, draw.constant(np.array([1, 90])))
    return draw.node("MatMul", row, draw.random(90, 3))


def gate_network(draw: Drawing) -> str:
    """Activations that are tables, one of them on a tensor that another layer reads as well."""
    conv = draw.node("Conv", "x", draw.random(8, 4, 3, 3), draw.random(8), pads=[1, 1, 1, 1])
    leaky = draw.node("LeakyRelu", conv, alpha=0.1)
    total = draw.node("Add", leaky, draw.node("Tanh", leaky))
    mean = draw.node("Sigmoid", draw.node("ReduceMean", total, axes=[2, 3], keepdims=0))
    return draw.node("MatMul", mean, draw.random(8, 5, spread=2))


NETWORKS: dict[str, tuple[tuple[int, ...], Callable[[Drawing], str]]] = {
    "image": ((1, 6, 13, 11), image_network),
    "line": ((1, 4, 20), line_network),
    "gates": ((1, 4, 6, 6), gate_network),
}

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
