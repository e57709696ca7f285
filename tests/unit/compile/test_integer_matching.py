"""Small QDQ graphs to integer layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper
from qdq_drawing import Array, Drawing, kinds, match, only

from edgecompress.compile.integer import layers, passes
from edgecompress.compile.integer.emit import emit
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Model, TensorSpec


def conv_relu(*, activations: type = np.int8, weight_zero: int = 0) -> Model:
    draw = Drawing((1, 2, 4, 5), activations=activations)
    offset = 128 if activations is np.uint8 else 0
    x = draw.quantized("x", 0.5, 3 + offset)
    values = np.arange(36).reshape(2, 2, 3, 3).astype(np.int8)
    w = draw.weights("w", values, np.array([0.25, 0.125]), axis=0, zero=weight_zero)
    b = draw.weights("b", np.array([40, -80], np.int32), np.array([0.125, 0.0625]), axis=0)
    draw.node("Conv", [x, w, b], "c", pads=[1, 0, 1, 0], strides=[2, 1])
    draw.node("Relu", ["c"], "r")
    return draw.model(draw.quantized("r", 0.2, -100 + offset), (1, 2, 2, 3))


@pytest.mark.parametrize("activations", [np.int8, np.uint8])
def test_a_convolution_takes_in_its_bias_and_activation(activations: type) -> None:
    network = match(conv_relu(activations=activations))

    conv = only(network, layers.Convolution)
    assert kinds(network) == ["Quantize", "Convolution", "Transpose", "Dequantize"]
    assert (conv.inputs[0].zero_point, conv.output.zero_point) == (3, -100)
    assert conv.clamp == layers.Clamp(low=-100)
    assert conv.bias.tolist() == [40, -80]
    assert conv.weights.shape == (2, 3, 3, 2)
    assert (conv.window.padding, conv.window.stride) == ((1, 0, 1, 0), (2, 1))
    assert conv.nodes == ("Conv_c", "Relu_r")
    assert conv.macs == 2 * 3 * 36


def test_a_float_bias_is_brought_to_the_accumulators_scale() -> None:
    draw = Drawing((1, 4))
    w = draw.weights("w", np.ones((4, 2), np.int8), np.array(0.5), axis=0)
    draw.node("MatMul", [draw.quantized("x", 0.1), w], "m")
    draw.node("Add", ["m", draw.constant("b", np.array([1.0, -0.26], np.float32))], "s")

    network = match(draw.model(draw.quantized("s"), (1, 2)))

    assert only(network, layers.FullyConnected).bias.tolist() == [20, -5]


def test_flattening_an_image_moves_the_columns_of_the_matrix_instead() -> None:
    draw = Drawing((1, 2, 3, 4))
    values = np.arange(48).reshape(24, 2).astype(np.int8)
    draw.node("Flatten", [draw.quantized("x")], "f")
    draw.node("MatMul", ["f", draw.weights("w", values, np.array(0.5), axis=0)], "m")

    network = match(draw.model(draw.quantized("m"), (1, 2)))

    weights = only(network, layers.FullyConnected).weights
    assert kinds(network) == ["Quantize", "FullyConnected", "Dequantize"]
    assert np.array_equal(weights, values.T.reshape(2, 2, 3, 4).transpose(0, 2, 3, 1).reshape(2, 24))


def test_transposes_between_layouts_vanish() -> None:
    draw = Drawing((1, 4, 5, 2))
    draw.node("Transpose", ["x"], "t", perm=[0, 3, 1, 2])
    draw.node("MaxPool", [draw.quantized("t")], "p", kernel_shape=[2, 2])
    draw.node("Transpose", [draw.quantized("p")], "u", perm=[0, 2, 3, 1])

    network = match(draw.model("u", (1, 3, 4, 2)))

    assert kinds(network) == ["Quantize", "MaxPool", "Dequantize"]
    assert only(network, layers.MaxPool).window.channels == 2


def test_an_activation_with_quantizers_on_both_sides_becomes_the_layers_clamp() -> None:
    draw = Drawing((1, 4))
    draw.node("Add", [draw.quantized("x"), "x_dq"], "s")
    draw.node("Relu", [draw.quantized("s", 0.2)], "r")

    network = match(draw.model(draw.quantized("r", 0.2), (1, 4)))

    assert kinds(network) == ["Quantize", "Addition", "Rescale", "Dequantize"]
    fused = passes.fuse_clamps(network)
    assert kinds(fused) == ["Quantize", "Addition", "Dequantize"]
    assert only(fused, layers.Addition).clamp == layers.Clamp(low=0)
    assert only(fused, layers.Addition).nodes == ("Add_s", "Relu_r")


def test_a_clamp_that_others_do_not_want_stays_a_layer() -> None:
    draw = Drawing((1, 4))
    draw.node("Add", [draw.quantized("x"), "x_dq"], "s")
    draw.node("Relu", [draw.quantized("s", 0.2)], "r")
    draw.node("Add", [draw.quantized("r", 0.2), "s_dq"], "t")

    network = match(draw.model(draw.quantized("t", 0.3), (1, 4)))

    assert kinds(passes.fuse_clamps(network)) == ["Quantize", "Addition", "Rescale", "Addition", "Dequantize"]


def test_layers_that_nobody_reads_are_dropped() -> None:
    draw = Drawing((1, 4))
    draw.node("Add", [draw.quantized("x"), "x_dq"], "s")
    draw.quantized("s", 0.2)
    draw.node("Relu", ["x_dq"], "r")

    network = match(draw.model(draw.quantized("r", 0.1), (1, 4)))

    assert "Addition" in kinds(network)
    assert kinds(passes.drop_unused(network)) == ["Quantize", "Rescale", "Dequantize"]


def test_a_tensor_may_be_two_outputs_and_a_real_one() -> None:
    draw = Drawing((1, 4))
    draw.quantized(draw.node("Relu", [draw.quantized("x")], "r"), 0.2)
    draw.node("Reshape", ["r_q", draw.constant("flat", np.array([4]))], "second")
    model = draw.model("r_dq", (1, 4))
    shapes = {"r_q": (1, 4), "second": (4,)}
    infos = [helper.make_tensor_value_info(name, TensorProto.INT8, shape) for name, shape in shapes.items()]
    real = model.graph.graph.output.pop()
    model.graph.graph.output.extend([*infos, real])
    specs = [TensorSpec(name=name, shape=shape, dtype="int8") for name, shape in shapes.items()]

    network = match(replace(model, outputs=(*specs, *model.outputs)))

    edges = [([value.name for value in layer.inputs], layer.output.name) for layer in network.layers]
    assert edges == [(["x"], "x_q"), (["x_q"], "r_q"), (["r_q"], "second"), (["r_q"], "r_dq")]


def test_clips_are_rounded_to_the_quantized_range() -> None:
    draw = Drawing((1, 4))
    bounds = {"low": -0.55, "high": 6.0}
    names = [draw.constant(name, np.array(bound, np.float32)) for name, bound in bounds.items()]
    draw.node("Add", [draw.quantized("x"), "x_dq"], "s")
    draw.node("Clip", ["s", *names], "c")

    network = match(draw.model(draw.quantized("c", 0.1, -20), (1, 4)))

    assert only(network, layers.Addition).clamp == layers.Clamp(low=-26, high=40)


ACTIVATIONS = {
    "Abs": np.abs,
    "Elu": lambda x: np.where(x < 0, np.exp(x) - 1, x),
    "Exp": np.exp,
    "HardSigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "HardSwish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "LeakyRelu": lambda x: np.where(x < 0, 0.01 * x, x),
    "Neg": np.negative,
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Softplus": lambda x: np.log(1 + np.exp(x)),
    "Tanh": np.tanh,
}


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_an_activation_becomes_a_table_of_what_onnx_defines(kind: str) -> None:
    draw = Drawing((1, 4))
    draw.node(kind, [draw.quantized("x", 0.03, -5)], "a")

    network = match(draw.model(draw.quantized("a", 0.04, 7), (1, 4)))

    exact = np.clip(ACTIVATIONS[kind]((np.arange(-128, 128) + 5) * 0.03) / 0.04 + 7, -128, 127)
    assert kinds(network) == ["Quantize", "Lookup", "Dequantize"]
    assert np.abs(only(network, layers.Lookup).table - exact).max() < 0.501


def test_a_gate_of_a_tensor_with_itself_is_one_table() -> None:
    draw = Drawing((1, 4))
    x = draw.quantized("x")
    draw.node("Mul", [x, draw.node("Sigmoid", [x], "s")], "m")

    network = match(draw.model(draw.quantized("m"), (1, 4)))

    assert kinds(network) == ["Quantize", "Lookup", "Dequantize"]
    assert only(network, layers.Lookup).table[128 + 20] == round(20 / (1 + np.exp(-2.0)))


def test_a_product_of_two_tensors_is_a_layer() -> None:
    draw = Drawing((1, 4))
    x = draw.quantized("x")
    draw.node("Add", [x, x], "a")
    draw.node("Mul", [x, draw.quantized("a", 0.2)], "m")

    network = match(draw.model(draw.quantized("m"), (1, 4)))

    product = only(network, layers.Multiplication)
    assert kinds(network) == ["Quantize", "Addition", "Multiplication", "Dequantize"]
    assert [value.name for value in product.inputs] == ["x_q", "a_q"]
    assert product.nodes == ("Mul_m",)


def test_a_quotient_of_two_tensors_is_computed_with_reals() -> None:
    draw = Drawing((1, 4))
    x = draw.quantized("x")
    draw.node("Add", [x, x], "a")
    draw.node("Div", [x, draw.quantized("a", 0.2)], "m")

    network = match(draw.model(draw.quantized("m"), (1, 4)))

    part = only(network, layers.FloatPart)
    assert kinds(network) == ["Quantize", "Addition", "FloatPart", "Dequantize"]
    assert [value.name for value in part.inputs] == ["x_q", "a_q"]
    assert part.nodes == ("Div_m",)
    assert (part.output.dtype, part.output.scale) == ("int8", np.float32(0.1))


def refusal(model: Model) -> ModelError:
    with pytest.raises(ModelError) as caught:
        emit(match(model))
    return caught.value


def test_every_layer_that_cannot_run_in_integers_is_named() -> None:
    draw = Drawing((1, 4))
    x = draw.quantized("x")
    for name in ("a", "b"):
        w = draw.weights(f"w_{name}", np.ones((4, 4), np.int8), np.array(0.5), axis=0, zero=3)
        draw.node("MatMul", [x, w], name)
        x = draw.quantized(name)

    error = refusal(draw.model(x, (1, 4)))

    assert error.message == (
        "net cannot run in integers: layer 'MatMul_a': its weights have a zero point; quantize weights symmetrically; "
        "layer 'MatMul_b': its weights have a zero point; quantize weights symmetrically"
    )
    assert error.hint == "quantize the inputs and outputs of these layers (QDQ), or take them out of the network"


def test_a_layer_that_reads_a_real_value_is_computed_with_reals() -> None:
    draw = Drawing((1, 4))
    draw.node("Add", ["x", draw.quantized("x")], "s")

    network = match(draw.model(draw.quantized("s"), (1, 4)))

    assert kinds(network) == ["Quantize", "FloatPart", "Dequantize"]
    assert {(value.name, value.dtype) for value in only(network, layers.FloatPart).inputs} == {
        ("x", "float32"),
        ("x_q", "int8"),
    }


def test_reals_that_two_parts_read_are_computed_once_and_kept() -> None:
    draw = Drawing((1, 4))
    x = draw.quantized("x")
    draw.node("Mul", [draw.node("Add", [x, draw.quantized("x", 0.3)], "a"), x], "m")
    draw.node("Mul", [draw.quantized("m"), draw.node("Sqrt", ["m"], "r")], "n")

    network = match(draw.model(draw.quantized("n"), (1, 4)))

    kept, *others = (layer for layer in network.layers if isinstance(layer, layers.FloatPart))
    assert kept.output.dtype == "float32"
    assert kept.nodes == ("Add_a", "Mul_m")
    assert all(kept.output in other.inputs for other in others)


def test_an_output_that_is_not_quantized_stays_float() -> None:
    draw = Drawing((1, 4))
    draw.node("Softplus", [draw.node("Mul", [draw.quantized("x"), "x"], "m")], "y")

    network = match(draw.model("y", (1, 4)))

    assert kinds(network) == ["Quantize", "FloatPart"]
    assert network.layers[-1].output == layers.Value(name="y", shape=(1, 4), dtype="float32")


def test_weights_with_a_zero_point_are_refused() -> None:
    error = refusal(conv_relu(weight_zero=2))

    assert error.message == (
        "net cannot run in integers: layer 'Conv_c': its weights have a zero point; quantize weights symmetrically"
    )


def test_sums_that_an_int32_cannot_hold_are_refused() -> None:
    draw = Drawing((1, 4))
    w = draw.weights("w", np.full((4, 1), 100, np.int8), np.array(1.0), axis=0)
    b = draw.weights("b", np.array([2**31 - 1], np.int32), np.array(1.0), axis=0)
    draw.node("MatMul", [draw.quantized("x", 1.0), w], "m")
    draw.node("Add", ["m", b], "s")

    error = refusal(draw.model(draw.quantized("s", 1e6), (1, 1)))

    assert error.message == (
        "layer 'MatMul_m' of net cannot run in 32-bit integers: "
        "its sums can reach 2,147,534,847, and an int32 holds 2,147,483,647"
    )
    assert error.hint == "quantize the network anew with other calibration data, or with other ranges"


def test_calls_of_one_shape_share_a_kernel() -> None:
    draw = Drawing((1, 4))
    x = draw.quantized("x")
    for name in ("a", "b"):
        draw.node("Add", [x, "x_dq"], name)
        x = draw.quantized(name, 0.3)
        draw.node("Relu", [x], f"{name}_relu")
        x = draw.quantized(f"{name}_relu", 0.1)

    program = emit(match(draw.model(x, (1, 4))))

    additions = [call for call in program.calls if call.op == "add"]
    assert len({call.kernel for call in additions}) == 1
    assert len(program.kernels) < len(program.calls)
    assert _names_known(program.constants, [name for call in program.calls for name in call.arguments[1:]])


def _names_known(constants: Mapping[str, Array], names: list[str]) -> bool:
    return {name for name in names if name.endswith(("_table", "_weights"))} <= set(constants)


def test_a_sequence_stays_in_order_and_one_of_its_places_is_a_slice() -> None:
    draw = Drawing((1, 5, 4))
    w = draw.weights("w", np.ones((4, 6), np.int8), np.array(0.5), axis=0)
    draw.node("MatMul", [draw.quantized("x"), w], "m")
    draw.node("Gather", [draw.quantized("m"), draw.constant("last", np.array(-1))], "g", axis=1)

    network = match(draw.model(draw.quantized("g"), (1, 6)))

    assert kinds(network) == ["Quantize", "FullyConnected", "Slice", "Dequantize"]
    assert only(network, layers.Slice).shape.begins == (0, 4, 0)


def test_a_product_of_two_tensors_is_read_as_its_heads_lie() -> None:
    draw = Drawing((1, 6, 8))
    heads = draw.node("Reshape", [draw.quantized("x"), draw.constant("shape", np.array([1, 6, 2, 4]))], "h")
    draw.node("Transpose", [heads], "q", perm=[0, 2, 1, 3])
    draw.node("Transpose", [heads], "k", perm=[0, 2, 3, 1])
    draw.node("Div", [draw.node("MatMul", ["q", "k"], "m"), draw.constant("root", np.array(2, np.float32))], "s")

    network = match(draw.model(draw.quantized("s", 0.25), (1, 2, 6, 6)))

    product = only(network, layers.MatrixProduct)
    assert kinds(network) == ["Quantize", "MatrixProduct", "Dequantize"]
    assert (product.shape.batches, product.shape.rows, product.shape.columns, product.shape.depth) == ((1, 2), 6, 6, 4)
    assert product.shape.first_strides == product.shape.second_strides == (48, 4, 8)
    assert product.output.scale == 0.5, "the division is a change of scale"
    assert network.layers[-1].inputs[0].scale == 0.25


def test_a_convolution_with_float_weights_is_computed_with_reals_and_said_to_be(
    caplog: pytest.LogCaptureFixture,
) -> None:
    draw = Drawing((1, 2, 4, 4))
    draw.node("Conv", [draw.quantized("x"), draw.constant("w", np.ones((3, 2, 1, 1), np.float32))], "c")

    network = match(draw.model(draw.quantized("c"), (1, 3, 4, 4)))

    part = only(network, layers.FloatPart)
    assert part.output.shape == (1, 4, 4, 3), "channels last, as the image that it reads"
    assert caplog.messages == ["layer 'Conv_c' is computed in float: it is not quantized on all sides"]
