"""models/onnx_file: sound ONNX that no device can run, refused in clear words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, numpy_helper

from edgecompress.core.values import Model

Load = Callable[..., Model]
Network = Callable[..., ModelProto]
Refusal = Callable[..., tuple[str, str]]

RELU = "g (float[N,3] x) => (float[N,3] y) { y = Relu(x) }"
ADD_WEIGHTS = "g (float[N,3] x) => (float[N,3] y) { y = Add(x, w) }"
QUANTIZE = "g (float[N,3] x) => (int8[N,3] y) <float s = {0.5}, int8 z = {0}> { y = QuantizeLinear(x, s, z) }"


IMAGE = "g (float[N,3,H,W] x) => (float[N,3,H,W] y) { y = Relu(x) }"


@pytest.mark.parametrize(
    ("text", "shapes", "message", "hint"),
    [
        (
            IMAGE,
            {},
            ": input 'x' (N, 3, H, W) has open dimensions: H, W",
            'bind them in the recipe: [shapes] "x" = [1, 3, …, …]',
        ),
        (
            IMAGE,
            {"x": (1, 4, 8, 8)},
            ": input 'x' (N, 3, H, W) cannot be bound to (1, 4, 8, 8)",
            "change only its open dimensions",
        ),
        (IMAGE, {"z": (1, 3)}, " has no input 'z' to bind a shape to", "inputs: x"),
        (
            "g (float[4,3] x) => (float[4,3] y) { y = Relu(x) }",
            {},
            ": input 'x' (4, 3): the first dimension must be the batch, and 1",
            "export the network with batch 1 or with an open batch",
        ),
        (
            "g (float[N,3] x, float[4,3] z) => (float[M,3] y) { y = Add(x, z) }",
            {},
            ": input 'x' (N, 3) has open dimensions: N",
            'bind them in the recipe: [shapes] "x" = [1, 3]',
        ),
        (
            "g (float[N,3] x) => (int64[2,K] y) { y = NonZero(x) }",
            {},
            ": NonZero 'NonZero_0' makes 'y' with the shape (2, unk__0)",
            "a device needs shapes that do not depend on the data",
        ),
        (
            "g (float[N,3] x) => (float[3] y) <int64[1] a = {0}> { y = Squeeze(x, a) }",
            {},
            ": 'y' (3): the first dimension must be the batch, and 1",
            "export the network so that every input and output is (batch, …)",
        ),
        (
            "g (float[N,100000,10000] x) => (float[N,100000,10000] y) { y = Relu(x) }",
            {},
            ": the tensor 'y' (1, 100000, 10000) has 1,000,000,000 elements; 268,435,456 are allowed",
            "the file may be damaged; no device takes a tensor of that size",
        ),
    ],
    ids=["open", "contradicted", "unknown", "batch 4", "one batch fixed", "data dependent", "no batch", "huge"],
)
def test_shapes_that_cannot_be_bound_are_refused(
    refusal: Refusal, text: str, shapes: dict[str, tuple[int, ...]], message: str, hint: str
) -> None:
    assert refusal(text, shapes=shapes) == (message, hint)


def test_shapes_that_do_not_fit_together_are_refused(refusal: Refusal, network: Network) -> None:
    proto = network("g (float[N,3] x) => (float[N,4] y) { y = MatMul(x, w) }", w=np.ones((2, 4), np.float32))

    message, _ = refusal(proto)

    assert message.startswith(" is not a valid ONNX model: ")
    assert "Incompatible dimensions for matrix multiplication" in message


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "double"])
def test_other_float_types_are_refused_by_tensor(refusal: Refusal, kind: str) -> None:
    message, hint = refusal(f"g ({kind}[N,3] x) => ({kind}[N,3] y) {{ y = Relu(x) }}")

    assert message == f": the tensor 'x' is {kind}"
    assert hint == "export the network in float32; this tool quantizes it to int8 itself"


@pytest.mark.parametrize("kind", ["FLOAT8E4M3FN", "INT4", "UINT4", "COMPLEX64", "STRING"])
def test_weights_of_other_types_are_refused_by_tensor(refusal: Refusal, network: Network, kind: str) -> None:
    proto = network(ADD_WEIGHTS)
    proto.graph.initializer.add(name="w", dims=[3], data_type=TensorProto.DataType.Value(kind), raw_data=b"123")

    message, hint = refusal(proto)

    assert message == f": the tensor 'w' is {kind.lower()}"
    assert hint == "float32 networks and 8-bit QDQ networks can be read"


def test_a_cast_to_another_float_type_is_refused(refusal: Refusal) -> None:
    text = "g (float[N,3] x) => (float[N,3] y) { a = Cast <to = 10> (x) y = Cast <to = 1> (a) }"

    assert refusal(text)[0] == ": the tensor 'a' is float16"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "g (float[N,3] x) => (float[N,3] y) { a = com.microsoft.Gelu(x) y = acme.Magic(a) }",
            " uses operators outside the ONNX standard: acme.Magic, com.microsoft.Gelu",
            "export without vendor operators; from onnxruntime, save the model before it is optimized",
        ),
        (
            (
                "g (float[N,3] x, bool c) => (float[N,3] y) { y = If(c) <then_branch = t () => (float[N,3] a)"
                " { a = Relu(x) }, else_branch = e () => (float[N,3] b) { b = Neg(x) }> }"
            ),
            ": If 'y' is control flow",
            "unroll it or take the one branch before exporting; a device runs a fixed list of layers",
        ),
        (
            "g (float[N,3] x) => (float[N,3] y) { a = Add(x, b) b = Relu(a) y = Relu(b) }",
            ": Add 'a' reads 'b' before Relu 'b' makes it",
            "the graph has a cycle or is not sorted",
        ),
        (
            "g (float[N,3] x) => (float[N,3] y) { y = Add(x, b) }",
            ": Add 'y' reads 'b', which nothing makes",
            "export the network again",
        ),
        (
            "g (float[N,3] x) => (seq(float[N,3]) y) { y = SequenceConstruct(x) }",
            ": 'y' is not a tensor",
            "sequences, maps and optionals cannot run",
        ),
        (
            "g (float[N,3] x) => (float[N,3] y) { y = Foo(x) }",
            (
                " is not a valid ONNX model: No Op registered for Foo with domain_version of 17 "
                "==> Context: Bad node spec for node. Name: OpType: Foo"
            ),
            "export the network again",
        ),
        (
            "g (float[N,3] x) => (float[1,3] y) <float[1,3] w = {1, 2, 3}> { y = Relu(w) }",
            " has no input; its output is constant",
            "export the network with its input",
        ),
        (
            "g (float[N,3] x) => (float[N,3] y, float[N,3] y) { y = Relu(x) }",
            ": 'y' is the name of two inputs or outputs",
            "export it with one name each",
        ),
    ],
    ids=["domain", "control flow", "cycle", "unmade", "sequence", "unknown operator", "constant", "same name"],
)
def test_graphs_that_no_device_can_run_are_refused(refusal: Refusal, text: str, message: str, hint: str) -> None:
    assert refusal(text) == (message, hint)


def test_a_constant_that_is_not_a_number_is_refused(refusal: Refusal, network: Network) -> None:
    proto = network(ADD_WEIGHTS, w=np.array([1, np.nan, 2], np.float32))

    assert refusal(proto) == (": the constant 'w' holds NaN", "the training diverged; train again")


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_senseless_scale_is_refused_by_node(refusal: Refusal, network: Network, scale: float) -> None:
    proto = network(QUANTIZE)
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array(scale, np.float32), "s"))

    message, hint = refusal(proto)

    assert message == (f": QuantizeLinear 'QuantizeLinear_0': the scale is {scale:g}; it must be finite and above zero")
    assert hint == "quantize again"


def test_a_zero_point_outside_of_its_type_is_refused_by_node(refusal: Refusal, network: Network) -> None:
    proto = network(QUANTIZE)
    proto.graph.initializer[1].CopyFrom(TensorProto(name="z", data_type=TensorProto.INT8, int32_data=[300]))

    message, _ = refusal(proto)

    assert message == ": QuantizeLinear 'QuantizeLinear_0': the zero point is 300; it must lie in -128..127"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            (
                "g (float[N,3] x) => (float[N,3] y) <int32[3] b = {1, 2, 3}, float s = {1.0}, int32 z = {4}>"
                " { d = DequantizeLinear(b, s, z) y = Add(x, d) }"
            ),
            "DequantizeLinear 'DequantizeLinear_0': the zero point is 4; it must lie in 0..0",
        ),
        (
            (
                "g (float[N,3] x) => (int8[N,3] y) <float[2] s = {1.0, 2.0}, int8[2] z = {0, 0}>"
                " { y = QuantizeLinear <axis = 1> (x, s, z) }"
            ),
            "QuantizeLinear 'QuantizeLinear_0': 2 scales do not fit axis 1 of the shape (1, 3)",
        ),
        (
            (
                "g (float[N,3] x) => (int8[N,3] y) <float[3] s = {1.0, 2.0, 3.0}, int8[2] z = {0, 0}>"
                " { y = QuantizeLinear <axis = 1> (x, s, z) }"
            ),
            "QuantizeLinear 'QuantizeLinear_0': 3 scales but 2 zero points",
        ),
        (
            "g (float[N,3] x, float[1] s) => (int8[N,3] y) <int8 z = {0}> { y = QuantizeLinear(x, s, z) }",
            "QuantizeLinear 'QuantizeLinear_0': 's' is computed",
        ),
    ],
    ids=["int32 zero point", "axis", "zero points", "computed scale"],
)
def test_quantization_that_does_not_fit_is_refused_by_node(refusal: Refusal, text: str, message: str) -> None:
    assert refusal(text)[0] == f": {message}"
