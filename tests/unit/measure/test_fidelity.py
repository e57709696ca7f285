"""Two test vectors and four evaluation samples of three float32 outputs that are rounded to steps of 0.5."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from edgecompress.core.values import Array, Evidence, Measurement, Measurements, Model, TensorSpec
from edgecompress.measure import _graph, accuracy, fidelity

STEP = 0.5


def named(found: Measurements, metric: str) -> Measurement:
    return next(m for m in found.metrics if m.metric == metric)


def rounded(values: Array) -> Array:
    return (np.rint(values / STEP) * STEP).astype(np.float32)


def two_steps_more_where_negative(values: Array) -> Array:
    return np.where(values < 0, rounded(values) + np.float32(2 * STEP), rounded(values))


def test_a_faithful_device_has_no_mismatch_and_agrees(board: Any, bundle: Any, evidence: Evidence) -> None:
    found = fidelity.read(board, bundle, evidence)

    assert [(m.metric, m.value, m.unit) for m in found.metrics] == [
        ("device_mismatched_bytes", 0, "bytes"),
        ("onnxruntime_max_lsb", 0, "LSB"),
        ("onnxruntime_top1_agreement", 1, "fraction"),
    ]
    assert {m.how for m in found.metrics} == {"emulated"}
    assert named(found, "onnxruntime_max_lsb").conditions == {
        "samples": "2 test vectors and 4 evaluation samples",
        "step of y": "0.5",
    }


def test_every_differing_byte_is_counted_in_its_sample(board: Any, bundle: Any, evidence: Evidence) -> None:
    board.network = two_steps_more_where_negative

    mismatch = named(fidelity.read(board, bundle, evidence), "device_mismatched_bytes")

    assert np.float32(-3.0).tobytes() == b"\x00\x00\x40\xc0"
    assert np.float32(-2.0).tobytes() == b"\x00\x00\x00\xc0"
    assert (mismatch.value, mismatch.samples) == (1, (0, 1, 0, 0, 0, 0))


def test_the_distance_from_onnxruntime_counts_output_steps(board: Any, bundle: Any, evidence: Evidence) -> None:
    board.network = two_steps_more_where_negative

    distance = named(fidelity.read(board, bundle, evidence), "onnxruntime_max_lsb")

    assert (distance.value, distance.samples) == (2, (0, 2, 0, 0, 0, 0))


def test_more_than_one_step_is_explained_by_the_layer_that_makes_it(
    board: Any, rewritten: Any, evidence: Evidence
) -> None:
    board.network = two_steps_more_where_negative

    distance = named(fidelity.read(board, rewritten("round(v / step) + 2 * (v < 0)"), evidence), "onnxruntime_max_lsb")

    assert distance.value == 2
    assert distance.conditions["reason"] == (
        "given ONNX Runtime's own inputs, quantize differs by 2 LSB from it, more than rounding explains; "
        "in sequence 1 differs, first quantize by 2 LSB"
    )
    assert distance.conditions["layers compared on"] == "the 6 samples with the largest difference"


def test_a_device_that_errs_is_the_reason_itself(board: Any, bundle: Any, evidence: Evidence) -> None:
    board.network = two_steps_more_where_negative

    distance = named(fidelity.read(board, bundle, evidence), "onnxruntime_max_lsb")

    assert distance.conditions["reason"] == (
        "the device does not reproduce the host program; see device_mismatched_bytes"
    )


def test_a_float_network_has_a_relative_error_and_no_lsb(board: Any, bundle: Any, evidence: Evidence) -> None:
    found = fidelity.read(board, bundle, replace(evidence, model=evidence.baseline))

    lsb = named(found, "onnxruntime_max_lsb")
    assert lsb.value is None
    assert lsb.missing == "the output y is not quantized; see onnxruntime_max_relative_error"
    error = named(found, "onnxruntime_max_relative_error")
    assert error.value == pytest.approx(0.2)
    assert len(error.samples) == 6


def test_agreement_is_the_fraction_of_samples_with_the_same_class(board: Any, bundle: Any, evidence: Evidence) -> None:
    found = fidelity.read(board, bundle, replace(evidence, model=evidence.baseline))

    agreement = named(found, "onnxruntime_top1_agreement")
    assert (agreement.value, agreement.samples) == (pytest.approx(5 / 6), (1, 1, 1, 1, 1, 0))


def test_without_data_the_test_vectors_are_compared(board: Any, bundle: Any, evidence: Evidence) -> None:
    found = fidelity.read(board, bundle, replace(evidence, evaluation=None))

    assert {m.conditions["samples"] for m in found.metrics} == {"2 test vectors"}


def test_accuracy_and_fidelity_ask_the_device_for_a_sample_once(board: Any, bundle: Any, evidence: Evidence) -> None:
    accuracy.read(board, bundle, evidence)
    fidelity.read(board, bundle, evidence)

    assert board.runs == 4 + 2


def test_another_device_is_asked_anew(board: Any, process: Any, bundle: Any, evidence: Evidence) -> None:
    fidelity.read(board, bundle, evidence)
    process.network = two_steps_more_where_negative

    mismatch = named(fidelity.read(process, bundle, evidence), "device_mismatched_bytes")

    assert mismatch.value == 1


@pytest.mark.parametrize(
    ("dtype", "scale", "step"),
    [("int8", [0.25], 1.0), ("float32", [0.25], 0.25), ("float32", [0.25, 0.5, 1.0], None)],
)
def test_the_step_of_an_output_is_one_or_its_one_scale(dtype: Any, scale: list[float], step: float | None) -> None:
    assert _graph.output_steps(dequantized(dtype, scale)) == {"y": step}


def dequantized(dtype: Any, scale: list[float]) -> Model:
    """A network whose float output is made by a DequantizeLinear, per channel when there are several scales."""
    node = helper.make_node("DequantizeLinear", ["q", "scale"], ["y"], axis=1)
    tensors = [helper.make_tensor_value_info(name, kind, [1, 3]) for name, kind in (("q", 3), ("y", 1))]
    shape = [] if len(scale) == 1 else [len(scale)]
    scales = [helper.make_tensor("scale", TensorProto.FLOAT, shape, scale)]
    graph = helper.make_model(helper.make_graph([node], "g", tensors[:1], tensors[1:], scales))
    return Model(name="g", graph=graph, inputs=(), outputs=(TensorSpec(name="y", shape=(1, 3), dtype=dtype),))


def test_a_softmax_tells_how_far_one_step_of_its_input_reaches() -> None:
    model = quantized_softmax(logit_step=0.16, output_step=1 / 256)

    reach = _graph.softmax_reach(model, "y", 1 / 256)

    assert reach == "one step of its input (0.16) moves it by up to 10.2 LSB, two opposite ones by twice that"
    assert largest_move_of_two_classes(0.16) * 256 == pytest.approx(10.2, abs=0.05)


def test_an_output_without_a_softmax_has_no_reach() -> None:
    assert _graph.softmax_reach(dequantized("float32", [0.25]), "y", 0.25) is None


def largest_move_of_two_classes(step: float) -> float:
    logits = np.linspace(-3, 3, 2001)
    return float(np.max(1 / (1 + np.exp(-logits - step)) - 1 / (1 + np.exp(-logits))))


def quantized_softmax(logit_step: float, output_step: float) -> Model:
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "logit_step"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["p"]),
        helper.make_node("QuantizeLinear", ["p", "output_step", "zero"], ["r"]),
        helper.make_node("DequantizeLinear", ["r", "output_step", "zero"], ["y"]),
    ]
    tensors = [helper.make_tensor_value_info(name, kind, [1, 3]) for name, kind in (("q", 3), ("y", 1))]
    constants = [
        helper.make_tensor("logit_step", TensorProto.FLOAT, [], [logit_step]),
        helper.make_tensor("output_step", TensorProto.FLOAT, [], [output_step]),
        helper.make_tensor("zero", TensorProto.INT8, [], [-128]),
    ]
    graph = helper.make_model(helper.make_graph(nodes, "g", tensors[:1], tensors[1:], constants))
    return Model(name="g", graph=graph, inputs=(), outputs=(TensorSpec(name="y", shape=(1, 3), dtype="float32"),))
