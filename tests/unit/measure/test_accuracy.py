from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgecompress.core.values import Array, Evidence, Samples
from edgecompress.measure import accuracy


def test_every_stage_is_scored_by_the_same_rule(board: Any, bundle: Any, evidence: Evidence) -> None:
    found = accuracy.read(board, bundle, evidence)

    assert [(m.stage, m.value, m.samples, m.how) for m in found.metrics] == [
        ("float host", 0.75, (1, 1, 1, 0), "measured"),
        ("int8 host", 1.0, (1, 1, 1, 1), "measured"),
        ("device", 1.0, (1, 1, 1, 1), "emulated"),
    ]


def test_the_device_is_scored_by_its_own_answers(board: Any, bundle: Any, evidence: Evidence) -> None:
    board.network = always_the_third

    found = accuracy.read(board, bundle, evidence)

    assert [m.value for m in found.metrics] == [0.75, 1.0, 0.25]


def test_the_conditions_tell_the_samples_the_rule_and_the_data(board: Any, bundle: Any, evidence: Evidence) -> None:
    found = accuracy.read(board, bundle, evidence)

    assert found.metrics[0].conditions == {
        "samples": "4",
        "rule": "first largest element of the output y",
        "data": "invented samples",
        "right": "3",
    }


def test_a_network_given_in_int8_is_not_called_float(board: Any, bundle: Any, evidence: Evidence) -> None:
    found = accuracy.read(board, bundle, replace(evidence, baseline=evidence.model))

    assert [m.stage for m in found.metrics] == ["int8 host (ONNX Runtime)", "int8 host", "device"]


def test_a_float_network_compiled_as_it_is_is_not_called_int8(board: Any, bundle: Any, evidence: Evidence) -> None:
    found = accuracy.read(board, bundle, replace(evidence, model=evidence.baseline))

    assert [m.stage for m in found.metrics] == ["float host", "float host (compiled)", "device"]


@pytest.mark.parametrize(
    ("samples", "why"),
    [
        (None, "no samples to score: only a recipe's [data] brings them"),
        (Samples(inputs={"x": np.zeros((2, 3), np.float32)}), "the recipe's data has no labels"),
        (
            Samples(inputs={"x": np.zeros((0, 3), np.float32)}, labels=np.zeros(0, np.int64)),
            "no sample is left to score: all of them calibrate",
        ),
    ],
)
def test_without_labelled_samples_every_stage_is_missing_with_the_reason(
    board: Any, bundle: Any, evidence: Evidence, samples: Samples | None, why: str
) -> None:
    found = accuracy.read(board, bundle, replace(evidence, evaluation=samples))

    assert [(m.value, m.missing) for m in found.metrics] == [(None, why)] * 3
    assert board.runs == 0


def test_one_output_element_is_no_class_score(board: Any, bundle: Any, evidence: Evidence) -> None:
    narrow = bundle.manifest.outputs[0].model_copy(update={"shape": (1, 1)})
    one_score = replace(bundle, manifest=bundle.manifest.model_copy(update={"outputs": (narrow,)}))

    found = accuracy.read(board, one_score, evidence)

    assert {m.missing for m in found.metrics} == {"the output y has one element; top-1 needs a score for each class"}


def always_the_third(values: Array) -> Array:
    return np.array([0, 0, 1], np.float32)
