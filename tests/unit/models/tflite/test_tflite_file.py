"""models/tflite_file: what comes out of a good file, and what a damaged one is told."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tflite
from small_tflite import CONV, DAMAGED, RELU, Load, Refusal, X, conv, relu
from tflite_writer import Layer, Tensor, floats, integers, write

from edgecompress import models
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Model, TensorSpec


def node(model: Model, kind: str) -> onnx.NodeProto:
    (found,) = (each for each in model.graph.graph.node if each.op_type == kind)
    return found


def attributes(found: onnx.NodeProto) -> dict[str, Any]:
    return {each.name: onnx.helper.get_attribute_value(each) for each in found.attribute}


# Good files


def test_inputs_and_outputs_are_those_of_the_file(load: Load) -> None:
    model = load(write(conv(), [CONV]))

    assert model.name == "net"
    assert (model.is_quantized, model.arithmetic) == (True, "tflite")
    assert model.inputs == (TensorSpec(name="x", shape=(1, 5, 4, 2), dtype="int8", scale=0.5, zero_point=3),)
    scale = float(np.float32(0.7))
    assert model.outputs == (TensorSpec(name="y", shape=(1, 3, 2, 3), dtype="int8", scale=scale, zero_point=-5),)


def test_a_layer_has_the_name_of_the_tensor_it_makes(load: Load) -> None:
    assert node(load(write(conv(), [CONV])), "Conv").name == "y"


def test_same_padding_puts_the_odd_zero_behind(load: Load) -> None:
    found = attributes(node(load(write(conv(), [CONV])), "Conv"))

    assert (found["pads"], found["strides"], found["group"]) == ([1, 0, 1, 1], [2, 2], 1)


def test_scales_are_the_stored_float32(load: Load) -> None:
    model = load(write(conv(), [CONV]))

    constants = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.graph.initializer}
    nodes = model.graph.graph.node
    found = {each.input[0]: constants[each.input[1]].tolist() for each in nodes if each.op_type == "DequantizeLinear"}
    assert found["w"] == np.float32([0.1, 0.2, 0.3]).tolist()
    assert found["b"] == np.float32([0.05, 0.1, 0.15]).tolist()


def test_layers_of_images_stay_channels_first_between_each_other(load: Load) -> None:
    second = Layer(kind="RELU", reads=("y",), makes=("z",))
    model = load(write(conv(z=Tensor(shape=(1, 3, 2, 3))), [CONV, second], outputs=("z",)))

    kinds = [each.op_type for each in model.graph.graph.node if each.op_type in ("Transpose", "Conv", "Relu")]
    assert kinds == ["Transpose", "Conv", "Relu", "Transpose"]


def test_a_float_network_becomes_a_float_graph(load: Load) -> None:
    tensors = {
        "x": floats(1, 4),
        "w": floats(3, 4, data=np.ones((3, 4))),
        "b": floats(3, data=np.ones(3)),
        "y": floats(1, 3),
    }
    layer = Layer(
        kind="FULLY_CONNECTED",
        reads=("x", "w", "b"),
        makes=("y",),
        table="FullyConnectedOptions",
        options={"FusedActivationFunction": tflite.ActivationFunctionType.RELU},
    )

    model = load(write(tensors, [layer]))

    assert not model.is_quantized
    assert [each.op_type for each in model.graph.graph.node] == ["Gemm", "Relu"]


def test_zeros_around_an_image_become_the_convolutions(load: Load) -> None:
    small = {"p": X, "x": replace(X, shape=(1, 3, 3, 2)), "widths": integers([[0, 0], [2, 0], [0, 1], [0, 0]])}
    layers = [Layer(kind="PAD", reads=("x", "widths"), makes=("p",)), replace(CONV, reads=("p", "w", "b"))]

    model = load(write(conv(**small), layers))

    assert attributes(node(model, "Conv"))["pads"] == [3, 0, 1, 2]
    assert not any(each.op_type == "Pad" for each in model.graph.graph.node)


def test_two_tensors_of_one_name_and_one_without_get_names_of_their_own(load: Load) -> None:
    raw = write({"x": X, "": X, "y": X}, [replace(RELU, makes=("",)), replace(RELU, reads=("",))])

    assert [each.name for each in load(raw).graph.graph.node if each.op_type == "Relu"] == ["tensor_1", "y"]


def test_an_open_batch_is_1_and_shapes_may_repeat_it(load: Load) -> None:
    raw = write(relu(signature=(-1, 5, 4, 2)), [RELU])

    assert load(raw, shapes={"x": (1, 5, 4, 2)}).inputs[0].shape == (1, 5, 4, 2)


def test_a_uint8_input_may_be_quantized_again_to_int8(load: Load) -> None:
    layer = Layer(kind="QUANTIZE", reads=("x",), makes=("y",))

    model = load(write(relu(dtype="uint8", zero=131), [layer]))

    assert model.inputs[0].dtype == "uint8"


# Damage


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.tflite does not exist"):
        models.load(tmp_path / "gone.tflite")


def test_a_file_over_2_gib_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    with path.open("wb") as sparse:
        sparse.truncate(2**31)

    with pytest.raises(ModelError) as caught:
        models.load(path)

    assert caught.value.message == f"{path} has 2,147,483,648 bytes; a model may have 2,147,483,647"


@pytest.mark.parametrize("raw", [b"", b"TFL3", b"\x18\0\0\0TFL2" + bytes(99)])
def test_bytes_of_another_kind_are_refused(refusal: Refusal, raw: bytes) -> None:
    assert refusal(raw) == (f" is not a .tflite file, or is cut short ({len(raw):,} bytes)", DAMAGED)


def test_a_header_alone_is_refused(refusal: Refusal) -> None:
    assert refusal(bytes.fromhex("18 00 00 00 54 46 4C 33")) == (" is damaged, or cut short (8 bytes)", DAMAGED)


def test_mutated_files_load_or_are_refused_in_bounded_time(load: Load) -> None:
    whole = write(conv(), [CONV])
    draw = np.random.default_rng(1)
    slowest = 0.0
    for _ in range(250):
        raw = np.frombuffer(whole, np.uint8).copy()
        places = draw.integers(0, raw.size, draw.integers(1, 4))
        raw[places] = draw.choice([0, 1, 127, 128, 255, *draw.integers(0, 256, 3)], places.size)
        cut = int(draw.integers(0, raw.size)) if draw.random() < 0.2 else raw.size
        began = time.process_time()
        try:
            load(raw[:cut].tobytes())
        except ModelError as error:
            assert error.hint  # noqa: PT017
        slowest = max(slowest, time.process_time() - began)
    assert slowest < 0.5


@pytest.mark.parametrize("index", [9999, 65535])
def test_a_buffer_out_of_range_is_refused(refusal: Refusal, index: int) -> None:
    raw = write(relu(buffer=index), [RELU])

    assert refusal(raw) == (f": 'x' has its data in buffer {index:,}; there are 1", DAMAGED)


def test_a_count_that_the_file_cannot_hold_is_refused(refusal: Refusal) -> None:
    raw = bytearray(write(relu(), [RELU]))
    table = tflite.Model.GetRootAs(raw).Subgraphs(0)._tab
    place = table.Vector(table.Offset(4)) - 4
    raw[place : place + 4] = (2**31).to_bytes(4, "little")

    assert refusal(bytes(raw)) == (f": it claims 2,147,483,648 tensors; {len(raw) // 4:,} are possible", DAMAGED)


def test_one_constant_for_a_crowd_of_tensors_is_refused(refusal: Refusal) -> None:
    shared = {f"c{place}": replace(X, shape=(1, 9000), buffer=1) for place in range(40)}
    raw = write(relu() | {"c": replace(X, shape=(1, 9000), data=np.zeros(9000))} | shared, [RELU])

    assert refusal(raw) == (": its tensors share their data more than 16 times over", DAMAGED)


def test_names_and_ranks_have_limits(refusal: Refusal) -> None:
    assert refusal(write({"x": X, "y" * 20_000: X}, [replace(RELU, makes=("y" * 20_000,))], outputs=(1,))) == (
        ": the name of tensor 1 has 20,000 bytes; 16,384 are allowed",
        DAMAGED,
    )
    assert refusal(write(relu(shape=(1,) * 9), [RELU])) == (": 'x' has 9 dimensions; 8 are allowed", DAMAGED)


def test_a_long_chain_is_followed_without_recursion(load: Load) -> None:
    names = ["x", *(f"r{place}" for place in range(1100)), "y"]
    layers = [Layer(kind="RESHAPE", reads=(a,), makes=(b,)) for a, b in itertools.pairwise(names)]

    assert load(write(dict.fromkeys(names, X), layers)).inputs[0].scale is None


def test_what_cannot_be_printed_of_a_name_is_not_kept(load: Load) -> None:
    raw = write({"x": X, "a\n*/\0b": X}, [replace(RELU, makes=("a\n*/\0b",))], outputs=(1,))

    assert load(raw).outputs[0].name == "a?*/?b"


SHAPES = {
    (1, 5, -4, 2): " has the shape (1, 5, -4, 2)",
    (1, 5, 0, 2): " has the shape (1, 5, 0, 2)",
    (1, 2**31 - 1, 9, 9): " (1, 2147483647, 9, 9) has 173,946,175,407 elements; 268,435,456 are allowed",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_absurd_dimensions_are_refused(refusal: Refusal, shape: tuple[int, ...]) -> None:
    assert refusal(write(relu(shape=shape), [RELU]))[0] == f": the tensor 'x'{SHAPES[shape]}"


QUANTIZATIONS = {
    "nan": ({"scale": float("nan")}, " has the scale nan; it must be finite and above zero"),
    "zero": ({"scale": 0.0}, " has the scale 0; it must be finite and above zero"),
    "negative": ({"scale": -1.0}, " has the scale -1; it must be finite and above zero"),
    "zero point": ({"zero": 128}, " has the zero point 128; int8 takes -128 to 127"),
    "axis": ({"scale": [1, 1], "zero": [0, 0], "axis": 4}, " is quantized along axis 4; it has 4"),
    "count": ({"scale": [1, 1, 1], "zero": [0] * 3, "axis": 3}, " has 3 scales for 2 channels"),
    "details": ({"has_details": True}, " has a custom quantization"),
    "sparse": ({"is_sparse": True}, " is sparse"),
    "variable": ({"is_variable": True}, " is a variable, which keeps its value between runs"),
    "float16": ({"dtype": "float16"}, " is float16"),
    "int16": ({"dtype": "int16"}, " is int16"),
    "unknown type": ({"dtype": "unheard of"}, " is type 99"),
    "open rows": ({"signature": (-1, -1, 4, 2)}, " (1, 5, 4, 2) has open dimensions: axis 1"),
}


@pytest.mark.parametrize("name", QUANTIZATIONS)
def test_a_tensor_that_cannot_be_is_refused(refusal: Refusal, name: str) -> None:
    changes, reason = QUANTIZATIONS[name]

    message, hint = refusal(write(relu(**changes), [RELU]))

    assert message == f": the tensor 'x'{reason}"
    assert hint


def test_weights_that_do_not_fill_their_shape_are_refused(refusal: Refusal) -> None:
    raw = write(conv(w=replace(conv()["w"], data=np.arange(53))), [CONV])

    assert refusal(raw) == (": the tensor 'w' has 53 bytes of data; its shape (3, 3, 3, 2) takes 54", DAMAGED)


def test_float_weights_with_nan_are_refused(refusal: Refusal) -> None:
    tensors = {"x": floats(1, 2), "w": floats(1, 2, data=[[1, np.nan]]), "y": floats(1, 1)}
    layer = Layer(kind="FULLY_CONNECTED", reads=("x", "w"), makes=("y",), table="FullyConnectedOptions")

    message, hint = refusal(write(tensors, [layer]))

    assert (message, hint) == (": the constant 'w' holds NaN", "the training diverged; train again")
