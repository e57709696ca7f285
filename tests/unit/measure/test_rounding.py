"""Layers compared with ONNX Runtime, and the sentence that the comparison becomes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecompress.core.bundle import Inside, Layer, OnnxValue
from edgecompress.core.values import Evidence
from edgecompress.measure import _rounding
from edgecompress.measure._rounding import Difference

CAUSE = "ONNX Runtime rounds float32 results, the device integers as TFLite does: given ONNX Runtime's own inputs, "


def difference(name: str, alone: int, in_sequence: int, op: str = "conv2d") -> Difference:
    layer = Layer(
        index=0, name=name, op=op, kernel=op, onnx_nodes=(), macs=0, weight_bytes=0, code_bytes=0, output_shape=()
    )
    return Difference(layer=layer, alone=alone, in_sequence=in_sequence)


@pytest.mark.parametrize(("quantize", "steps"), [("round(v / step)", 0), ("round(v / step) + 3 * (v > 2.5)", 3)])
def test_a_layer_is_compared_with_the_value_that_it_makes(
    quantize: str, steps: int, rewritten: Any, evidence: Evidence
) -> None:
    found = _rounding.compare_layers(rewritten(quantize), evidence.model, evidence.evaluation.inputs)

    assert [(each.layer.name, each.alone, each.in_sequence) for each in found] == [("quantize", steps, steps)]


def test_a_bundle_without_onnx_values_has_nothing_to_compare(bundle: Any, evidence: Evidence) -> None:
    layers = tuple(layer.model_copy(update={"onnx_output": None}) for layer in bundle.manifest.layers)
    silent = type(bundle)(folder=bundle.folder, manifest=bundle.manifest.model_copy(update={"layers": layers}))

    assert _rounding.compare_layers(silent, evidence.model, evidence.evaluation.inputs) == ()
    assert _rounding.reason(()) == ("unknown: the bundle does not say which values of the ONNX graph its layers make")


def test_a_value_is_brought_to_the_order_of_the_arena() -> None:
    nchw = np.arange(2 * 2 * 1 * 3, dtype=np.int8).reshape(2, 1, 2, 1, 3)
    value = OnnxValue(tensor="t", name="v", shape=(1, 2, 1, 3), axes=(0, 2, 3, 1))

    assert _rounding._as_stored(nchw, value).tolist() == [[0, 3, 1, 4, 2, 5], [6, 9, 7, 10, 8, 11]]


def test_channels_that_the_program_leaves_out_are_not_compared() -> None:
    nchw = np.arange(2 * 3, dtype=np.int8).reshape(1, 1, 3, 1, 2)
    value = OnnxValue(tensor="t", name="v", shape=(1, 3, 1, 2), axes=(0, 2, 3, 1), kept="101")

    assert _rounding._as_stored(nchw, value).tolist() == [[0, 4, 1, 5]]


def test_the_border_around_an_image_is_not_compared() -> None:
    place = _rounding._place(slice(100, 130), Inside(first=7, step=6, rows=3, row_bytes=2))

    assert np.arange(200)[place].tolist() == [107, 108, 113, 114, 119, 120]


def test_a_uint8_value_lies_in_the_arena_less_128() -> None:
    value = OnnxValue(tensor="t", name="v", shape=(1, 3), axes=(0, 1))

    assert _rounding._as_stored(np.array([[0, 128, 255]], np.uint8), value).tolist() == [[-128, 0, 127]]


def test_the_reason_names_the_first_layer_the_worst_and_the_softmax() -> None:
    found = (
        difference("stem", 1, 1),
        difference("body", 1, 5),
        difference("head", 0, 2, op="fully_connected"),
        difference("scores", 0, 16, op="softmax"),
    )

    assert _rounding.reason(found) == (
        f"{CAUSE}each of 4 layers is within 1 LSB of it; in sequence 4 differ, first stem by 1 LSB, "
        "most body by 5 LSB; the softmax turns up to 2 LSB in head into 16 LSB"
    )


def test_a_layer_that_errs_by_itself_is_named() -> None:
    found = (difference("stem", 0, 0), difference("body", 3, 3), difference("head", 1, 2))

    assert _rounding.reason(found) == (
        "given ONNX Runtime's own inputs, body differs by 3 LSB from it, more than rounding explains; "
        "in sequence 2 differ, first body by 3 LSB"
    )


def test_a_softmax_that_adds_nothing_is_not_told() -> None:
    found = (difference("head", 1, 2), difference("scores", 0, 1, op="softmax"))

    assert "softmax" not in _rounding.reason(found)
