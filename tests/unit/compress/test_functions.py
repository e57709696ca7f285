"""Which values of a float network need no quantization of their own."""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from edgecompress.compress._functions import inner_values


def graph(*nodes: NodeProto, output: str, **scalars: float) -> GraphProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", output)]
    values = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in scalars.items()]
    values.append(numpy_helper.from_array(np.ones((4, 4), np.float32), "w"))
    return helper.make_graph(list(nodes), "net", ends[:1], ends[1:], values)


def node(kind: str, *inputs: str, output: str) -> NodeProto:
    return helper.make_node(kind, list(inputs), [output])


def gelu(x: str) -> list[NodeProto]:
    return [
        node("Div", x, "root2", output="d"),
        node("Erf", "d", output="e"),
        node("Add", "e", "one", output="a"),
        node("Mul", x, "a", output="m"),
        node("Mul", "m", "half", output="g"),
    ]


CONSTANTS = {"root2": 2**0.5, "one": 1.0, "half": 0.5}


def test_the_steps_of_a_function_of_one_tensor_are_left_real() -> None:
    network = graph(node("MatMul", "x", "w", output="s"), *gelu("s"), output="g", **CONSTANTS)

    assert inner_values(network) == {"d", "e", "a", "m"}


def test_a_step_that_somebody_else_reads_is_quantized() -> None:
    network = graph(*gelu("x"), node("MatMul", "a", "w", output="s"), node("Add", "g", "s", output="y"), output="y")
    network.initializer.extend(numpy_helper.from_array(np.float32(value), name) for name, value in CONSTANTS.items())

    assert inner_values(network) == {"d", "e", "m"}


def test_a_function_of_two_tensors_is_quantized_where_they_meet() -> None:
    network = graph(
        node("MatMul", "x", "w", output="s"),
        node("Sigmoid", "s", output="a"),
        node("Mul", "a", "x", output="m"),
        node("Neg", "m", output="y"),
        output="y",
    )

    assert inner_values(network) == frozenset()


def test_a_sum_that_is_only_scaled_is_left_real() -> None:
    network = graph(
        node("MatMul", "x", "w", output="s"),
        node("Div", "s", "c", output="d"),
        node("Softmax", "d", output="y"),
        output="y",
        c=8.0,
    )

    assert inner_values(network) == {"s"}


def test_a_sum_that_is_scaled_and_turned_round_or_scaled_in_a_function_is_quantized() -> None:
    turned = graph(
        node("MatMul", "x", "w", output="s"),
        node("Mul", "s", "c", output="d"),
        node("Softmax", "d", output="y"),
        output="y",
        c=-8.0,
    )
    function = graph(
        node("MatMul", "x", "w", output="s"),
        node("Mul", "s", "c", output="d"),
        node("Sigmoid", "d", output="y"),
        output="y",
        c=8.0,
    )

    assert inner_values(turned) == frozenset()
    assert inner_values(function) == {"d"}


def test_an_output_is_quantized() -> None:
    assert inner_values(graph(*gelu("x"), output="a", **CONSTANTS)) == {"d", "e", "m"}
