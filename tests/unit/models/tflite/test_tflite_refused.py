"""models/tflite_file: what a file is told that is whole, and no network that can run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from small_tflite import CONV, INT8_HINT, OPTIONS, RELU, RESIZE, Refusal, X, conv, relu
from tflite_writer import Layer, Tensor, floats, integers, write

# Networks that are not one


def test_every_unknown_operator_is_listed_with_its_layers(refusal: Refusal) -> None:
    layers = [
        Layer(kind="LSTM", reads=("x",), makes=("a",)),
        Layer(kind="FlexErf", reads=("a",), makes=("b",)),
        Layer(kind="LSTM", reads=("b",), makes=("c",)),
        Layer(kind=999, reads=("c",), makes=("y",)),
    ]

    message, hint = refusal(write(dict.fromkeys("xabcy", X), layers))

    assert message == (
        " uses operators that cannot be read: LSTM ('a', 'c'); custom operator 'FlexErf' ('b'); operator 999 ('y')"
    )
    assert hint == (
        "known: ADD, AVERAGE_POOL_2D, CONCATENATION, CONV_2D, DEPTHWISE_CONV_2D, DEQUANTIZE, FULLY_CONNECTED, "
        "MAX_POOL_2D, MEAN, MUL, PAD, QUANTIZE, RELU, RELU6, RESHAPE, RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR, "
        "SOFTMAX; for others, export the network to ONNX (tf2onnx)"
    )


def wired(layers: Sequence[Layer], **edges: Any) -> bytes:
    return write(dict.fromkeys("xaby", X), layers, **edges)


def through(source: str, result: str) -> Layer:
    return Layer(kind="RELU", reads=(source,), makes=(result,))


WIRINGS = {
    "no layers": (wired([]), " holds no network"),
    "two subgraphs": (write(relu(), [RELU], subgraphs=2), " has 2 subgraphs; one can be read"),
    "no subgraph": (write(relu(), [RELU], subgraphs=0), " holds no network"),
    "no operator code": (wired([replace(RELU, code=7)]), ": operator 0 has the code 7; there are 1"),
    "no tensor": (wired([replace(RELU, reads=(44,))]), ": operator 0 (RELU): tensor 44 is named; there are 4"),
    "no output tensor": (wired([RELU], outputs=(-2,)), ": the network's outputs: tensor -2 is named; there are 4"),
    "read too early": (
        wired([through("a", "y"), through("x", "a")]),
        ": RELU 'y' reads 'a' before RELU 'a' makes it",
    ),
    "made of nothing": (wired([through("a", "y")]), ": RELU 'y' reads 'a', which nothing makes"),
    "made twice": (wired([RELU, RELU]), ": the tensor 'y' is made twice"),
    "input twice": (wired([RELU], inputs=("x", "x")), ": the tensor 'x' is made twice"),
    "output that is an input": (wired([RELU], outputs=("x",)), ": no layer makes the output 'x'"),
    "too many operands": (
        wired([replace(RELU, reads=("x", "x"))]),
        ": RELU 'y' has 2 inputs and 1 outputs; it takes 1 and 1",
    ),
    "operand left out": (wired([replace(RELU, reads=(-1,))]), ": RELU 'y' has no input 0"),
    "no options": (write(conv(), [replace(CONV, table="")]), ": CONV_2D 'y' has no options"),
}


@pytest.mark.parametrize("name", WIRINGS)
def test_a_network_that_does_not_hang_together_is_refused(refusal: Refusal, name: str) -> None:
    raw, message = WIRINGS[name]

    assert refusal(raw)[0] == message


def test_shapes_cannot_be_bound_anew(refusal: Refusal) -> None:
    raw = write(relu(), [RELU])

    assert refusal(raw, shapes={"x": (1, 9, 4, 2)}) == (
        ": input 'x' (1, 5, 4, 2) cannot be bound to (1, 9, 4, 2)",
        "a .tflite file has the shapes that it was converted with; convert it with others",
    )
    assert refusal(raw, shapes={"q": (1,)}) == (" has no input 'q' to bind a shape to", "inputs: x")


# Layers


def conv_with(options: dict[str, int], **changes: Tensor) -> bytes:
    return write(conv(**changes), [replace(CONV, options=OPTIONS | options)])


LAYERS = {
    "stride": (conv_with({"StrideH": 0}), " has the strides (0, 2); 1 to 4,096 are allowed"),
    "padding": (conv_with({"Padding": 5}), " has the unknown padding 5"),
    "activation": (conv_with({"FusedActivationFunction": 4}), " has the fused activation TANH"),
    "shape": (
        conv_with({}, y=Tensor(shape=(1, 2, 2, 3))),
        " makes the shape (1, 3, 2, 3); the file says (1, 2, 2, 3)",
    ),
    "window": (
        conv_with({"Padding": 1, "DilationHFactor": 3}),
        " has a window (3, 3) that is larger than its image (5, 4)",
    ),
    "uint8": (
        conv_with({}, x=replace(X, dtype="uint8"), y=replace(X, dtype="uint8")),
        " computes in uint8 ('x'), the old quantization",
    ),
    "int32": (
        conv_with({}, x=replace(X, dtype="int32", zero=0)),
        " computes in int32 ('x'); only float32 and int8 can run",
    ),
    "no scale": (conv_with({}, x=replace(X, scale=None)), " computes with 'x', which is int8 and has no scale"),
    "hybrid": (
        conv_with({}, x=floats(1, 5, 4, 2), y=floats(1, 3, 2, 3)),
        " computes float32 numbers with int8 weights",
    ),
    "mixed": (conv_with({}, y=floats(1, 3, 2, 3)), " mixes types: 'x' is int8, 'y' is float32"),
    "weight zero point": (conv_with({}, w=replace(conv()["w"], zero=[0, 1, 0])), " has weights with a zero point"),
    "weight axis": (
        conv_with({}, w=replace(conv()["w"], axis=1)),
        " has weights with scales along axis 1, not along 0, its outputs",
    ),
    "weights of nothing": (conv_with({}, w=replace(conv()["w"], data=None)), " reads 'w', which nothing makes"),
    "bias scale": (
        conv_with({}, b=replace(conv()["b"], scale=[0.05, 0.11, 0.15])),
        " has the bias scale 0.11; its input's times its weights' is 0.1",
    ),
    "bias type": (
        conv_with({}, b=replace(conv()["b"], dtype="int64")),
        " has a constant int64 bias (3); it takes a constant int32 (3)",
    ),
    "groups": (
        conv_with({}, x=replace(X, shape=(1, 5, 4, 3))),
        " has weights (3, 3, 3, 2) for an image of 3 channels",
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_convolution_that_cannot_be_is_refused(refusal: Refusal, name: str) -> None:
    raw, reason = LAYERS[name]

    message, hint = refusal(raw)

    assert message == f": CONV_2D 'y'{reason}"
    assert hint


def test_old_uint8_networks_are_told_how_to_convert(refusal: Refusal) -> None:
    assert refusal(LAYERS["uint8"][0])[1] == INT8_HINT


def other(kind: str, y: Tensor, table: str = "", x: Tensor = X, second: Tensor | None = None, **options: Any) -> bytes:
    tensors = {"x": x, "y": y} | ({"z": second} if second else {})
    layer = Layer(kind=kind, reads=("x", "z") if second else ("x",), makes=("y",), table=table, options=options)
    return write(tensors, [layer])


def shaped(*shape: int, **changes: Any) -> Tensor:
    return replace(X, shape=shape, **changes)


OTHERS = {
    "softmax beta": (
        other("SOFTMAX", shaped(1, 4), "SoftmaxOptions", x=shaped(1, 4), Beta=2.0),
        "SOFTMAX 'y' has beta 2; only 1 can be read",
    ),
    "softmax scale": (
        other("SOFTMAX", shaped(1, 4), "SoftmaxOptions", x=shaped(1, 4), Beta=1.0),
        "SOFTMAX 'y' gives scale 0.5 and zero point 3; TFLite has 1/256 and -128",
    ),
    "reshape": (other("RESHAPE", shaped(1, 41)), "RESHAPE 'y' turns the shape (1, 5, 4, 2) into (1, 41)"),
    "reshape to another": (
        other("RESHAPE", shaped(1, 40), second=integers([1, 8, 5])),
        "RESHAPE 'y' asks for the shape (1, 8, 5); the file says (1, 40)",
    ),
    "reshape scale": (
        other("RESHAPE", shaped(1, 40, scale=0.25)),
        "RESHAPE 'y' turns scale 0.5 and zero point 3 into scale 0.25 and zero point 3; TFLite keeps them",
    ),
    "mean axes": (
        other("MEAN", shaped(1, 2), "ReducerOptions", second=integers([1, 4])),
        "MEAN 'y' runs over the axes [1, 4] of 4",
    ),
    "pad": (
        other("PAD", X, second=integers([[0, 0], [-1, 0], [0, 0], [0, 0]])),
        "PAD 'y' has the paddings [0, 0, -1, 0, 0, 0, 0, 0] of shape (4, 2)",
    ),
    "add": (
        other("ADD", X, "AddOptions", second=shaped(1, 3, data=[1, 2, 3])),
        "ADD 'y' adds the shapes (1, 5, 4, 2) and (1, 3)",
    ),
    "multiply": (
        other("MUL", X, "MulOptions", second=shaped(1, 3, data=[1, 2, 3])),
        "MUL 'y' multiplies the shapes (1, 5, 4, 2) and (1, 3)",
    ),
    "resize by two rules": (
        other("RESIZE_BILINEAR", X, RESIZE, second=integers([5, 4]), AlignCorners=1, HalfPixelCenters=1),
        "RESIZE_BILINEAR 'y' aligns both corners and the centres of pixels",
    ),
    "resize to three sides": (
        other("RESIZE_BILINEAR", X, RESIZE, second=integers([5, 4, 2])),
        "RESIZE_BILINEAR 'y' has a size that is no constant of two int32",
    ),
    "resize to nothing": (
        other("RESIZE_BILINEAR", X, RESIZE, second=integers([5, 0])),
        "RESIZE_BILINEAR 'y' makes 5 x 0 pixels; 1 to 4,096 are allowed",
    ),
    "resize to another size than it says": (
        other("RESIZE_BILINEAR", X, RESIZE, second=integers([5, 5])),
        "RESIZE_BILINEAR 'y' makes the shape (1, 5, 5, 2); the file says (1, 5, 4, 2)",
    ),
    "concatenation": (
        other("CONCATENATION", X, "ConcatenationOptions", second=shaped(1, 2, data=[1, 2]), Axis=1),
        "CONCATENATION 'y' joins the shapes (1, 5, 4, 2), (1, 2) along axis 1",
    ),
    "fully connected": (
        other(
            "FULLY_CONNECTED", shaped(1, 3), "FullyConnectedOptions", second=shaped(3, 7, zero=0, data=np.ones((3, 7)))
        ),
        "FULLY_CONNECTED 'y' has weights (3, 7) for 40 elements",
    ),
    "pool of a row": (
        other("MAX_POOL_2D", shaped(1, 4), "Pool2DOptions", x=shaped(1, 4), StrideH=1, StrideW=1),
        "MAX_POOL_2D 'y' reads the shape (1, 4); an image has four axes",
    ),
    "batch": (
        other("RELU", shaped(2, 4), x=shaped(2, 4)),
        "'x' (2, 4): the first dimension must be the batch, and 1",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_layer_that_cannot_be_is_refused(refusal: Refusal, name: str) -> None:
    raw, message = OTHERS[name]

    assert refusal(raw)[0] == f": {message}"
