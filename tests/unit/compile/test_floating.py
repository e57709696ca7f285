"""A float network becomes few, fused calls on named tensors."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecompress.compile import c_math, floating, frontend, schedule
from edgecompress.compile.floating import layers
from edgecompress.compile.program import Program
from edgecompress.core import target as targets
from edgecompress.core.values import Model, TensorSpec


def compiled(
    nodes: list[onnx.NodeProto], inputs: dict[str, list[int]], outputs: dict[str, list[int]], **constants: np.ndarray
) -> Program:
    def infos(shapes: dict[str, list[int]]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    def specs(shapes: dict[str, list[int]]) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name=name, shape=tuple(shape), dtype="float32") for name, shape in shapes.items())

    values = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "net", infos(inputs), infos(outputs), values)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model = Model(name="net", graph=proto, inputs=specs(inputs), outputs=specs(outputs))
    return floating.to_program(frontend.import_onnx(model), model, targets.load("host"))


def node(kind: str, inputs: list[str], output: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output], name=output, **attributes)


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def test_convolution_bias_residual_and_activation_are_one_call() -> None:
    program = compiled(
        [
            node("Conv", ["x", "w", "b"], "conv", pads=[1, 1, 1, 1]),
            node("Add", ["conv", "x"], "sum"),
            node("Relu", ["sum"], "y"),
        ],
        {"x": [1, 4, 8, 8]},
        {"y": [1, 4, 8, 8]},
        w=ones(4, 4, 3, 3),
        b=ones(4),
    )

    (call,) = program.calls
    assert (call.name, call.op, call.kernel, call.output) == ("conv", "conv2d", "conv2d_1", "y")
    assert call.onnx_nodes == ("conv", "sum", "y")
    assert call.macs == 4 * 8 * 8 * 4 * 3 * 3
    assert call.arguments.count("x") == 1
    assert program.tensors == {}


def test_a_channels_last_image_is_not_transposed_first() -> None:
    program = compiled(
        [node("Transpose", ["x"], "t", perm=[0, 3, 1, 2]), node("Conv", ["t", "w"], "y")],
        {"x": [1, 8, 6, 3]},
        {"y": [1, 4, 6, 4]},
        w=ones(4, 3, 3, 3),
    )

    assert [call.op for call in program.calls] == ["conv2d"]
    assert program.calls[0].arguments[0] == "x"


def test_zeros_around_an_image_cost_no_copy_of_their_own() -> None:
    program = compiled(
        [node("Pad", ["x", "p"], "padded"), node("Conv", ["padded", "w"], "y")],
        {"x": [1, 3, 6, 6]},
        {"y": [1, 4, 7, 6]},
        p=np.array([0, 0, 1, 1, 0, 0, 2, 1]),
        w=ones(4, 3, 3, 3),
    )

    assert [call.op for call in program.calls] == ["conv2d"]


def test_a_transposition_that_moves_nothing_and_a_reshape_cost_nothing() -> None:
    program = compiled(
        [
            node("Relu", ["x"], "r"),
            node("Transpose", ["r"], "t", perm=[0, 2, 3, 1]),
            node("Reshape", ["t", "shape"], "flat"),
            node("MatMul", ["flat", "w"], "y"),
        ],
        {"x": [1, 12, 1, 1]},
        {"y": [1, 5]},
        shape=np.array([1, 12]),
        w=ones(12, 5),
    )

    assert [(call.op, call.macs) for call in program.calls] == [("relu", 0), ("dense", 60)]


def test_layers_of_one_shape_share_a_kernel_and_equal_weights_are_kept_once() -> None:
    program = compiled(
        [node("MatMul", ["x", "w"], "a"), node("MatMul", ["a", "same"], "b"), node("MatMul", ["b", "other"], "y")],
        {"x": [1, 8]},
        {"y": [1, 8]},
        w=ones(8, 8),
        same=ones(8, 8),
        other=ones(8, 8) * 2,
    )

    assert [call.kernel for call in program.calls] == ["dense_1"] * 3
    assert list(program.kernels) == ["dense_1"]
    assert len(program.constants) == 2
    assert program.calls[0].arguments[1] == program.calls[1].arguments[1] != program.calls[2].arguments[1]


def test_an_output_that_is_read_again_and_one_that_is_an_input_are_filled() -> None:
    program = compiled(
        [
            node("Relu", ["x"], "y"),
            node("Exp", ["y"], "z"),
            node("Identity", ["x"], "same"),
            node("Identity", ["y"], "twice"),
        ],
        {"x": [1, 8]},
        {"y": [1, 8], "z": [1, 8], "same": [1, 8], "twice": [1, 8]},
    )

    flow = [(call.op, call.arguments, call.output) for call in program.calls]
    assert flow == [
        ("relu", ("x",), "y"),
        ("exp", ("y",), "z"),
        ("copy", ("x",), "same"),
        ("copy", ("y",), "twice"),
    ]
    assert program.calls[2].kernel == program.calls[3].kernel == "copy_1"


def test_a_convolution_over_time_is_fused_too() -> None:
    program = compiled(
        [node("Conv", ["x", "w", "b"], "conv", pads=[1, 1]), node("Relu", ["conv"], "y")],
        {"x": [1, 4, 16]},
        {"y": [1, 8, 16]},
        w=ones(8, 4, 3),
        b=ones(8),
    )

    named = [(call.op, call.onnx_nodes, call.macs) for call in program.calls]
    assert named == [("conv1d", ("conv", "y"), 8 * 16 * 4 * 3)]


def test_what_a_rewrite_adds_is_of_the_same_onnx_node() -> None:
    program = compiled(
        [node("Pow", ["x", "three"], "cube"), node("GlobalMaxPool", ["cube"], "y")],
        {"x": [1, 4, 3, 3]},
        {"y": [1, 4, 1, 1]},
        three=np.array(3, np.float32),
    )

    assert {label for call in program.calls for label in call.onnx_nodes} == {"cube", "y"}
    assert all(call.onnx_nodes for call in program.calls)


def test_a_normalisation_by_constants_is_one_factor_and_one_shift() -> None:
    parts = {name: ones(3) for name in ("scale", "shift", "mean", "variance")}
    program = compiled(
        [node("BatchNormalization", ["x", *parts], "y")], {"x": [1, 3, 4, 4]}, {"y": [1, 3, 4, 4]}, **parts
    )

    (call,) = program.calls
    factor, shift = (program.constants[name] for name in call.arguments[1:])
    np.testing.assert_allclose(factor.ravel(), 1 / np.sqrt(1 + 1e-5), rtol=1e-7)
    np.testing.assert_allclose(shift.ravel(), 1 - 1 / np.sqrt(1 + 1e-5), rtol=1e-7)


@pytest.mark.parametrize(
    ("extents", "tile"),
    [
        ((16, 32, 32), (8, 1, 2)),
        ((1, 16), (1, 16)),
        ((64, 25, 5), (16, 1, 1)),
        ((3, 1, 1), (3, 1, 1)),
        ((8, 7, 7), (8, 1, 1)),
    ],
)
def test_the_register_tile_divides_the_output_and_loads_least(extents: tuple[int, ...], tile: tuple[int, ...]) -> None:
    assert layers.choose_tile(extents, 16) == tile


def test_weights_of_neighbouring_channels_lie_side_by_side() -> None:
    packed = layers.pack(np.arange(12).reshape(4, 3), 2)

    assert packed.tolist() == [[[0, 3], [1, 4], [2, 5]], [[6, 9], [7, 10], [8, 11]]]


def test_only_the_c_functions_that_are_called_are_defined_and_after_those_they_call() -> None:
    definitions = c_math.definitions("y[0] = tanh_float(x[0]);")

    assert [name for name in c_math.FUNCTIONS if f"float {name}(" in definitions] == [
        "abs_float",
        "exp_float",
        "tanh_float",
    ]
    assert definitions.index("float exp_float(") < definitions.index("float tanh_float(")
    assert c_math.definitions("y[0] = x[0];") == ""


@pytest.mark.parametrize(("weights", "together"), [(16, 8), (12, 4), (6, 2), (5, 1)])
def test_as_many_weights_are_read_together_as_divide_the_tile(weights: int, together: int) -> None:
    assert schedule.read_together(weights) == together


def test_weights_that_are_read_together_take_one_instruction_on_a_float_unit() -> None:
    assert '__asm__("vldmia %4, {s28-s31}"' in c_math.definitions("read_4(to, from)")
