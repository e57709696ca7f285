"""Real networks through models and compress: nothing lost on loading, accuracy kept by every rule for ranges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto

from edgecompress import models
from edgecompress.compress import static_int8
from edgecompress.core import data, recipe
from edgecompress.core.values import Context, Data, Model, Samples
from edgecompress.models import onnx_file

EXAMPLES = Path(__file__).parents[2] / "examples"
NETWORKS = sorted((EXAMPLES / "mlperf_tiny").glob("*.onnx"))
RANGES = ("minmax", "percentile", "entropy", "mse")
LARGEST_LOSS = {"kws_dscnn": 0.01, "vww_mobilenetv1_025": 0.01, "ic_resnet8": 0.05, "ad_autoencoder": 1.0}
"""Root mean square error against the float network on seeded noise: what int8 costs there, measured, and some room.

The first three end in probabilities; the autoencoder's outputs span 47.
"""


def run(proto: ModelProto, samples: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: samples[i : i + 1]})[0] for i in range(len(samples))])


def seeded(model: Model, count: int) -> np.ndarray:
    draw = np.random.default_rng(0)
    shape = (count, *model.inputs[0].shape[1:])
    if model.inputs[0].dtype == "int8":
        return draw.integers(-128, 128, shape).astype(np.int8)
    return draw.random(shape, np.float32)


def quantize(model: Model, used: Data, ranges: str) -> Model:
    return static_int8.apply(model, {"ranges": ranges}, Context(data=used))


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_loading_changes_no_output(path: Path, tmp_path: Path) -> None:
    model = models.load(path)
    samples = seeded(model, 8)
    original = onnx.load(path)
    for value in [*original.graph.input, *original.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_value = 1

    wanted, found = run(original, samples), run(model.graph, samples)

    # Only MatMul + Add -> Gemm rounds elsewhere, and only in floating point.
    assert np.abs(found.astype(np.float64) - wanted).max() <= (0 if model.is_quantized else 2e-5)


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_loading_what_was_saved_gives_the_same_model(path: Path, tmp_path: Path) -> None:
    model = models.load(path)

    onnx_file.save(model, tmp_path / "again.onnx")

    assert models.load(tmp_path / "again.onnx") == model


@pytest.mark.parametrize("ranges", RANGES)
def test_the_wake_word_network_keeps_its_accuracy(ranges: str, tmp_path: Path) -> None:
    wakeword = recipe.load(EXAMPLES / "wakeword.toml")
    assert wakeword.data is not None
    model = models.load(wakeword.model, name=wakeword.name)
    used = data.load(wakeword.data, model.inputs)
    samples, labels = used.evaluation.inputs[model.inputs[0].name], used.evaluation.labels

    int8 = quantize(model, used, ranges)
    onnx_file.save(int8, tmp_path / "int8.onnx")
    again = models.load(tmp_path / "int8.onnx")

    float_accuracy = np.mean(run(model.graph, samples).argmax(axis=1) == labels)
    assert float_accuracy == pytest.approx(28 / 30)
    assert np.mean(run(int8.graph, samples).argmax(axis=1) == labels) == float_accuracy
    assert np.array_equal(run(again.graph, samples), run(int8.graph, samples))
    assert again.steps == int8.steps


@pytest.mark.parametrize("ranges", RANGES)
@pytest.mark.parametrize("name", sorted(LARGEST_LOSS))
def test_float_networks_stay_close_on_seeded_noise(name: str, ranges: str) -> None:
    model = models.load(EXAMPLES / "mlperf_tiny" / f"{name}_fp32.onnx")
    samples = seeded(model, 16)
    used = Samples(inputs={model.inputs[0].name: samples})

    int8 = quantize(model, Data(calibration=used, evaluation=used), ranges)

    error = run(int8.graph, samples) - run(model.graph, samples)
    assert np.sqrt(np.mean(error**2)) < LARGEST_LOSS[name]


@pytest.mark.parametrize("name", sorted(LARGEST_LOSS))
def test_every_operator_of_a_quantized_network_works_on_integers(name: str) -> None:
    model = models.load(EXAMPLES / "mlperf_tiny" / f"{name}_fp32.onnx")
    used = Samples(inputs={model.inputs[0].name: seeded(model, 2)})

    graph = quantize(model, Data(calibration=used, evaluation=used), "minmax").graph.graph

    makers = {output: node for node in graph.node for output in node.output}
    kinds = {info.name: info.type.tensor_type.elem_type for info in graph.value_info}
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            continue
        inputs = [name for name in node.input if kinds.get(name) == onnx.TensorProto.FLOAT]
        assert all(makers[tensor].op_type == "DequantizeLinear" for tensor in inputs), node.name
