"""models/onnx_file: what comes out of a good file, and that saving loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper, parser

from edgecompress import models
from edgecompress.core.values import AppliedStep, Model, TensorSpec
from edgecompress.models import onnx_file

Load = Callable[..., Model]
Network = Callable[..., ModelProto]
Refusal = Callable[..., tuple[str, str]]

RELU = "g (float[N,3] x) => (float[N,3] y) { y = Relu(x) }"
ADD_WEIGHTS = "g (float[N,3] x) => (float[N,3] y) { y = Add(x, w) }"
QUANTIZE = "g (float[N,3] x) => (int8[N,3] y) <float s = {0.5}, int8 z = {0}> { y = QuantizeLinear(x, s, z) }"


def test_an_open_batch_becomes_1_and_the_name_is_the_files(load: Load) -> None:
    model = load(RELU)

    assert model.name == "net"
    assert model.inputs == (TensorSpec(name="x", shape=(1, 3), dtype="float32"),)
    assert model.outputs == (TensorSpec(name="y", shape=(1, 3), dtype="float32"),)
    assert not model.is_quantized


def test_other_open_dimensions_are_bound_by_shapes(load: Load) -> None:
    image = "g (float[N,3,H,W] x) => (float[N,3,H,W] y) { y = Relu(x) }"

    model = load(image, shapes={"x": (1, 3, 8, 9)})

    assert model.inputs[0].shape == model.outputs[0].shape == (1, 3, 8, 9)


def test_an_8_bit_input_behind_a_transpose_has_the_scale_of_its_dequantizer(load: Load, file: Path) -> None:
    model = load(
        "g (int8[N,2,3] x) => (int8[N,3,2] y) <float s = {0.25}, int8 z = {-7}> {"
        " t = Transpose <perm = [0, 2, 1]> (x) d = DequantizeLinear(t, s, z) r = Relu(d) y = QuantizeLinear(r, s, z) }",
    )

    assert model.is_quantized
    assert model.inputs == (TensorSpec(name="x", shape=(1, 2, 3), dtype="int8", scale=0.25, zero_point=-7),)
    assert model.outputs == (TensorSpec(name="y", shape=(1, 3, 2), dtype="int8", scale=0.25, zero_point=-7),)


def test_node_names_are_kept_and_become_unique_and_never_empty(load: Load, network: Network) -> None:
    proto = network("g (float[N,3] x) => (float[N,3] y) { a = Relu(x) b = Neg(a) c = Abs(b) y = Exp(c) }")
    for node, name in zip(proto.graph.node, ("stem", "", "stem", "stem"), strict=True):
        node.name = name

    model = load(proto)

    assert [node.name for node in model.graph.graph.node] == ["stem", "Neg_1", "stem_2", "stem_3"]


def test_matmul_and_bias_become_one_gemm_and_a_batch_norm_disappears(load: Load, network: Network) -> None:
    proto = network(
        "g (float[N,2,4,4] x) => (float[N,5] y) <int64[2] flat = {1, 32}> {"
        " c = Conv(x, k) n = BatchNormalization(c, one, one, one, one) f = Reshape(n, flat) m = MatMul(f, w)"
        " y = Add(m, b) }",
        k=np.ones((2, 2, 1, 1), np.float32),
        one=np.ones(2, np.float32),
        w=np.ones((32, 5), np.float32),
        b=np.ones(5, np.float32),
    )

    model = load(proto)

    assert [node.op_type for node in model.graph.graph.node] == ["Conv", "Reshape", "Gemm"]


def test_float_weights_with_a_quantizer_behind_them_become_int8(load: Load, network: Network) -> None:
    proto = network(
        "g (float[N,3] x) => (float[N,3] y) <float s = {0.5}, int8 z = {1}> {"
        " q = QuantizeLinear(w, s, z) d = DequantizeLinear(q, s, z) y = Add(x, d) }",
        w=np.array([0.25, 0.75, 1000], np.float32),
    )

    graph = load(proto).graph.graph

    assert [node.op_type for node in graph.node] == ["DequantizeLinear", "Add"]
    stored = next(tensor for tensor in graph.initializer if tensor.name == "q")
    # 0.25 / 0.5 and 0.75 / 0.5 are ties: rounded to even, then + 1; the last one saturates.
    assert numpy_helper.to_array(stored).tolist() == [1, 3, 127]


def test_an_old_operator_set_is_converted(load: Load, network: Network) -> None:
    proto = network(RELU)
    proto.opset_import[0].version = 11

    assert load(proto).graph.opset_import[0].version == 17


def test_model_local_functions_are_inlined(load: Load) -> None:
    proto = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17, "my": 1]> g (float[N,3] x) => (float[N,3] y) { y = my.f(x) }'
        '<domain: "my", opset_import: ["": 17]> f (a) => (b) { b = Relu(a) }'
    )

    assert [node.op_type for node in load(proto).graph.graph.node] == ["Relu"]


def test_name_steps_and_arithmetic_survive_save_and_load(load: Load, small_cnn: ModelProto, file: Path) -> None:
    step = AppliedStep(method="static_int8", options={"ranges": "minmax", "per_channel": True, "percentile": 99.9})
    read = load(small_cnn)
    written = replace(read, name="mine", steps=(step,), arithmetic="tflite")

    onnx_file.save(written, file)
    again = models.load(file)

    assert again == written
    assert models.load(file, name="other").name == "other"


def test_the_same_model_gives_the_same_bytes(load: Load, small_cnn: ModelProto, tmp_path: Path, file: Path) -> None:
    first, second = load(small_cnn), load(small_cnn)

    onnx_file.save(first, tmp_path / "first.onnx")
    onnx_file.save(second, tmp_path / "second.onnx")

    assert (tmp_path / "first.onnx").read_bytes() == (tmp_path / "second.onnx").read_bytes()


def test_a_graph_that_was_cleaned_before_is_not_cleaned_again(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(RELU)
    onnx_file.save(model, tmp_path / "net.onnx", is_clean=True)
    monkeypatch.setattr(onnx_file, "_clean", None)

    again = onnx_file.load(tmp_path / "net.onnx")

    assert (again.name, again.inputs, again.outputs) == (model.name, model.inputs, model.outputs)
    assert list(again.graph.graph.node) == list(model.graph.graph.node)
    assert list(again.graph.graph.initializer) == list(model.graph.graph.initializer)
