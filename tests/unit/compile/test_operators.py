"""A network that cannot be compiled is refused with every operator, its layers, and what to do."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecompress.compile import operators
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Model, TensorSpec


def model(*nodes: onnx.NodeProto, name: str = "ops", **constants: float) -> Model:
    values = [numpy_helper.from_array(np.array(value, np.float32), key) for key, value in constants.items()]
    graph = helper.make_graph(
        list(nodes), name, [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])], [], values
    )
    return Model(name=name, graph=helper.make_model(graph), inputs=(), outputs=())


def node(
    kind: str, name: str = "", inputs: tuple[str, ...] = ("x",), outputs: tuple[str, ...] = ("y",)
) -> onnx.NodeProto:
    return helper.make_node(kind, list(inputs), list(outputs), name=name)


def refusal(refused: Model) -> tuple[str, str | None]:
    with pytest.raises(ModelError) as caught:
        operators.check(refused)
    assert caught.value.exit_code == 4
    return caught.value.message, caught.value.hint


def test_every_unsupported_operator_is_listed_with_all_its_layers() -> None:
    network = model(node("LSTM", "rnn1"), node("Relu", "act"), node("NonZero", "nz"), node("LSTM", "rnn2"))

    message, hint = refusal(network)

    assert message == (
        "ops holds 2 operators that cannot be compiled:\n  LSTM: layers 'rnn1', 'rnn2'\n  NonZero: layer 'nz'"
    )
    assert hint == (
        "LSTM: unroll the recurrence into MatMul, Sigmoid and Tanh before exporting, or keep it on the host\n"
        "NonZero: how much it gives depends on the data; keep that part of the network on the host"
    )


def test_one_unsupported_operator_is_spoken_of_in_the_singular() -> None:
    message, hint = refusal(model(node("GridSample", "warp"), name="net"))

    assert message == "net holds 1 operator that cannot be compiled:\n  GridSample: layer 'warp'"
    assert hint == "GridSample: keep that part of the network on the host"


def test_a_layer_without_a_name_of_its_own_is_called_by_its_type_and_output() -> None:
    network = model(node("TopK", "", outputs=("best",)), node("TopK", "same", outputs=("a",)), node("TopK", "same"))

    message, _ = refusal(network)

    assert message.endswith("  TopK: layers 'TopK best', 'TopK a', 'TopK y'")


def test_a_quantized_network_may_hold_what_a_float_network_may() -> None:
    quantizers = (
        node("QuantizeLinear", "q", ("x", "s"), ("xq",)),
        node("DequantizeLinear", "dq", ("xq", "s"), ("xf",)),
    )

    operators.check(model(*quantizers, node("Resize", "gate", ("xf",)), s=0.5))
    message, _ = refusal(model(*quantizers, node("LSTM", "rnn", ("xf",)), s=0.5))

    assert message == "ops holds 1 operator that cannot be compiled:\n  LSTM: layer 'rnn'"


def test_quantizers_alone_make_no_float_network() -> None:
    assert {"QuantizeLinear", "DequantizeLinear"} == operators.QUANTIZED - operators.FLOAT


def test_a_power_other_than_the_simple_ones_is_refused() -> None:
    message, hint = refusal(model(node("Pow", "cube_root", ("x", "third")), third=1 / 3))

    assert message == "ops holds 1 operator that cannot be compiled:\n  Pow: layer 'cube_root'"
    assert hint == "Pow: only the constant exponents -1, 0.5, 1, 2, 3 can be compiled"


def test_a_computed_exponent_is_refused() -> None:
    message, _ = refusal(model(node("Pow", "power", ("x", "x"))))

    assert message.endswith("  Pow: layer 'power'")


@pytest.mark.parametrize("power", operators.POWERS)
def test_a_simple_power_can_be_compiled(power: float) -> None:
    operators.check(model(node("Pow", "power", ("x", "p")), p=power))


def test_a_pooling_that_gives_indices_is_refused() -> None:
    message, hint = refusal(model(node("MaxPool", "pool", outputs=("y", "where"))))

    assert message.endswith("  MaxPool: layer 'pool'")
    assert hint == "MaxPool: only its first output can be compiled, not the indices"


def test_an_input_of_too_many_axes_is_refused_before_anything_is_built() -> None:
    video = TensorSpec(name="video", shape=(1, 2, 3, 4, 5), dtype="float32")

    message, hint = refusal(dataclasses.replace(model(node("Relu")), inputs=(video,)))

    assert message == "video has 5 dimensions; the device protocol carries 4"
    assert hint == "reshape the input or output inside the model"
