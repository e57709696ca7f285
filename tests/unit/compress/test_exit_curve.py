"""Thresholds of early exits: who leaves where, what it costs, and which one is chosen."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompress.compress import _exit_curve
from edgecompress.core.errors import ConfigError

LABELS = np.array([0, 1, 0, 1])


def judged() -> _exit_curve.Judged:
    """Exit 1 is sure of sample 0 (right) and of sample 3 (wrong); the end tells all right."""
    end = np.array([[1.0, 0], [0, 1], [1, 0], [0, 1]])
    sureness = np.array([[4.0, 0], [0, 0.5], [0, 0.5], [2, 0]])
    return _exit_curve.judge([end[:, np.newaxis], sureness[:, np.newaxis]], LABELS, (100, 1000))


def test_every_sample_leaves_at_the_first_exit_with_threshold_0_and_none_above_1() -> None:
    found = judged()

    assert found.shares(0.0) == (1.0, 0.0)
    assert found.at(0.0) == (0.5, 100.0)
    assert found.shares(1.01) == (0.0, 1.0)
    assert found.at(1.01) == (1.0, 1000.0)


def test_a_sample_leaves_where_its_largest_probability_reaches_the_threshold() -> None:
    found = judged()

    assert found.leaves_at(0.9).tolist() == [0, 1, 1, 1]
    assert found.leaves_at(0.7).tolist() == [0, 1, 1, 0]
    tie = float(np.float32(found.confidence[0, 3]))
    assert found.leaves_at(tie)[3] == 0


def test_the_lowest_threshold_is_chosen_from_which_on_enough_is_right() -> None:
    chosen = _exit_curve.choose(judged(), 1.0, "recipe")

    sure_and_wrong = judged().confidence[0, 3]
    assert sure_and_wrong < chosen < sure_and_wrong + 1 / 256
    assert _exit_curve.choose(judged(), 0.75, "recipe") < chosen


def test_thresholds_lie_where_rounding_a_probability_to_int8_changes_nothing() -> None:
    real = np.random.default_rng(0).random(2000)
    rounded = np.rint(real * 256) / 256

    for threshold in _exit_curve.THRESHOLDS[::17]:
        assert ((real >= threshold) == (rounded >= threshold)).all()


def test_an_accuracy_that_no_threshold_keeps_is_refused() -> None:
    wrong = _exit_curve.judge([np.array([[[0.0, 9.0]]]), np.array([[[0.0, 9.0]]])], np.array([0]), (1, 2))

    with pytest.raises(ConfigError) as caught:
        _exit_curve.choose(wrong, 0.5, "recipe.toml: steps[0]")

    assert caught.value.message == (
        "recipe.toml: steps[0]: no threshold keeps 50.00% of 1 held-out samples right; 0.9941 keeps 0.00%"
    )
    assert caught.value.hint == "raise max_loss, train longer, or let the exits stand further back"


def test_the_findings_say_what_the_chosen_threshold_costs() -> None:
    curve, shares = _exit_curve.findings(judged(), 0.9, "4 samples")

    assert curve.series[1].x == (775.0, 1000.0)
    assert curve.series[1].y == (100.0, 100.0)
    assert shares.series[0].x == ("exit 1", "end")
    assert shares.series[0].y == (25.0, 75.0)
