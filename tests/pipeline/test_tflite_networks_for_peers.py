"""What benchmarks/tflite_networks.py writes for LiteRT: read again, it computes what the ONNX network computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from benchmarks import tflite_networks
from benchmarks.networks import load
from edgecompress import models
from edgecompress.core.values import Array, Model


def run(model: Model, values: Array) -> Array:
    session = onnxruntime.InferenceSession(model.graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {model.inputs[0].name: values})
    return np.asarray(answer)


@pytest.mark.parametrize("name", ["ic_resnet8", "vww_mobilenetv1_025", "ad_autoencoder"])
def test_a_float_network_computes_the_same(name: str, tmp_path: Path) -> None:
    model = load.load(name, "float32", tmp_path)
    (tmp_path / "network.tflite").write_bytes(tflite_networks.convert(model.graph))
    values = load.noise(model, 1, seed=3).inputs[model.inputs[0].name]
    again = run(models.load(tmp_path / "network.tflite"), values)
    wanted = run(model, values)
    np.testing.assert_allclose(again.ravel(), wanted.ravel(), rtol=0, atol=1e-5 * float(np.abs(wanted).max()))


def test_an_operator_that_is_not_written_is_refused() -> None:
    given = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4])
    made = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 4])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Cos", ["x"], ["y"])], "network", [given], [made])
    with pytest.raises(tflite_networks.UnsupportedNetworkError, match=r"^Cos is not written$"):
        tflite_networks.convert(onnx.helper.make_model(graph))
