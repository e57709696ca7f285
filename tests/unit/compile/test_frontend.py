"""The front end keeps the names of the ONNX nodes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecompress.compile import frontend
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Model


def model(nodes: list[onnx.NodeProto], outputs: dict[str, list[int]], **constants: np.ndarray) -> Model:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("input:0", TensorProto.FLOAT, [1, 2, 4, 4])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    return Model(name="net", graph=proto, inputs=(), outputs=())


def operators(imported: frontend.Imported) -> list[tuple[str, str]]:
    """The operator and the variable of every binding."""
    return [
        (getattr(getattr(binding.value, "op", None), "name", ""), binding.var.name)
        for binding in frontend.bindings(imported.module["main"])
    ]


@pytest.fixture
def convolution() -> Model:
    nodes = [
        helper.make_node("Conv", ["input:0", "w", "b"], ["net/conv1/out"], name="net/conv1"),
        helper.make_node("Relu", ["net/conv1/out"], ["y"], name="net/relu"),
    ]
    return model(nodes, {"y": [1, 3, 2, 2]}, w=np.ones((3, 2, 3, 3), np.float32), b=np.ones(3, np.float32))


def test_every_variable_knows_its_onnx_node(convolution: Model) -> None:
    imported = frontend.import_onnx(convolution)

    named = [imported.origin[name] for _, name in operators(imported)]
    assert named == [("net/conv1",), ("net/conv1",), ("net/conv1",), ("net/relu",)]


def test_a_node_s_value_is_named_after_it(convolution: Model) -> None:
    imported = frontend.import_onnx(convolution)

    assert ("relax.add", "net_conv1_out") in operators(imported)


def test_quantizers_stay_in_the_graph() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["input:0", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    network = model(nodes, {"y": [1, 2, 4, 4]}, s=np.array(0.5, np.float32), z=np.array(3, np.int8))

    imported = frontend.import_onnx(network)

    assert [operator for operator, _ in operators(imported)] == ["relax.quantize", "relax.dequantize"]


def test_a_clip_stays_one_operator() -> None:
    bounds = {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
    network = model([helper.make_node("Clip", ["input:0", "low", "high"], ["y"])], {"y": [1, 2, 4, 4]}, **bounds)

    assert [operator for operator, _ in operators(frontend.import_onnx(network))] == ["relax.clip"]


def test_a_clip_from_zero_up_is_a_relu() -> None:
    clip = helper.make_node("Clip", ["input:0", "low"], ["y"])
    network = model([clip], {"y": [1, 2, 4, 4]}, low=np.array(0, np.float32))

    assert [operator for operator, _ in operators(frontend.import_onnx(network))] == ["relax.nn.relu"]


@pytest.mark.parametrize(("auto_pad", "expected"), [("SAME_UPPER", [0, 1, 1, 1]), ("SAME_LOWER", [1, 1, 0, 1])])
def test_automatic_padding_becomes_explicit(auto_pad: str, expected: list[int]) -> None:
    conv = helper.make_node("Conv", ["input:0", "w"], ["y"], auto_pad=auto_pad)
    network = model([conv], {"y": [1, 1, 4, 4]}, w=np.ones((1, 2, 2, 3), np.float32))

    (binding,) = frontend.bindings(frontend.import_onnx(network).module["main"])

    assert [int(side) for side in binding.value.attrs.padding] == expected


def test_a_node_that_the_importer_refuses_is_named_with_the_reason() -> None:
    pad = helper.make_node("Pad", ["input:0", "p"], ["y"], name="border", mode="wrap")
    network = model([pad], {"y": [1, 2, 4, 4]}, p=np.zeros(8, np.int64))

    with pytest.raises(ModelError) as caught:
        frontend.import_onnx(network)

    assert caught.value.message == (
        "layer 'border' (Pad) cannot be imported: Value wrap in attribute \"mode\" is invalid for operator Pad."
    )
    assert caught.value.hint == "export the network with opset 17, or keep that part of it on the host"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conv1", "conv1"),
        ("net/conv1/Relu;net/bn/FusedBatchNorm", "net_conv1_Relu"),
        ("serving_default:0", "serving_default_0"),
        ("123", "v123"),
        ("7/out", "out"),
        ("", "v"),
        ("größe", "gr_e"),
        ("main", "vmain"),
        ("a_very_long_scope/" * 4 + "conv", "scope_a_very_long_scope_a_very_long_scope_conv"),
    ],
)
def test_a_name_becomes_a_short_identifier(name: str, expected: str) -> None:
    assert frontend.identifier(name) == expected
