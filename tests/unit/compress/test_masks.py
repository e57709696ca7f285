"""Masks: how much they take out, what they keep, and what the steps that use them refuse."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompress.compress import _masks, power_of_two, prune_n_m, prune_weights
from edgecompress.core.errors import ConfigError
from edgecompress.core.values import Context, Model, Option

RANDOM = np.random.default_rng(5)
SCORES = {"small": RANDOM.random((4, 6, 3, 3)), "large": RANDOM.random((10, 20)) * 10}
NOTHING = Model(name="net", graph=None, inputs=(), outputs=())  # type: ignore[arg-type]
CONTEXT = Context(where="recipe, step 1")


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.93])
def test_a_local_ratio_is_that_of_every_layer(ratio: float) -> None:
    masks = _masks.lowest_out(SCORES, ratio, "local")

    for name, mask in masks.items():
        assert np.count_nonzero(~mask) == round(ratio * mask.size)
        assert SCORES[name][~mask].max() <= SCORES[name][mask].min()


def test_a_global_ratio_is_that_of_all_layers_together() -> None:
    masks = _masks.lowest_out(SCORES, 0.5, "global")

    out = sum(np.count_nonzero(~mask) for mask in masks.values())
    assert out == round(0.5 * sum(mask.size for mask in masks.values()))
    assert np.count_nonzero(masks["large"]) > np.count_nonzero(masks["small"])


def test_a_layer_that_would_lose_all_keeps_its_highest_score() -> None:
    masks = _masks.lowest_out(
        {"low": np.full((2, 3), 0.1) + np.arange(3), "high": np.full((9, 9), 50.0)}, 0.5, "global"
    )

    assert masks["low"].sum(axis=0).tolist() == [0, 0, 2]


def test_kernels_go_as_a_whole_by_their_norm() -> None:
    scores = _masks.grouped(RANDOM.normal(size=(4, 6, 3, 3)), "kernel", "l2")

    mask = _masks.lowest_out({"a": scores}, 0.5, "local")["a"].reshape(24, 9)

    assert set(mask.sum(axis=1).tolist()) == {0, 9}


@pytest.mark.parametrize(("kept", "of"), [(2, 4), (1, 4), (1, 2), (4, 8)])
@pytest.mark.parametrize("inputs", [16, 21])
def test_n_of_m_holds_in_every_group_along_the_inputs(kept: int, of: int, inputs: int) -> None:
    scores = RANDOM.random((5, inputs, 3, 3))

    mask = _masks.n_of_m(scores, kept, of)

    for first in range(0, inputs, of):
        group, there = scores[:, first : first + of], mask[:, first : first + of]
        assert (there.sum(axis=1) == min(kept, group.shape[1])).all()
        assert (np.where(there, group, 2).min(axis=1) >= np.where(there, -1, group).max(axis=1)).all()


def test_the_cubic_pace_begins_fast_and_ends_at_the_ratio() -> None:
    points = np.linspace(0, 1, 11)

    cubic = [prune_weights.ratio_at(point, 0.8, "cubic") for point in points]
    linear = [prune_weights.ratio_at(point, 0.8, "linear") for point in points]

    assert cubic[0] == linear[0] == 0
    assert cubic[-1] == linear[-1] == 0.8
    assert all(one > other for one, other in zip(cubic[1:-1], linear[1:-1], strict=True))
    assert np.allclose(np.diff(linear), 0.08)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 1.0}, "recipe, step 1: 'ratio': Input should be less than 1 (got 1.0)"),
        ({}, "recipe, step 1: the key 'ratio' is missing"),
        ({"ratio": 0.5, "pace": "cubic"}, "recipe, step 1: pace = 'cubic' prunes while it trains, and epochs is 0"),
        (
            {"ratio": 0.5, "pace": "linear", "epochs": 2, "criterion": "taylor"},
            "recipe, step 1: pace = 'linear' goes by the weights alone, not by criterion = 'taylor'",
        ),
        (
            {"ratio": 0.5, "pace": "linear", "epochs": 2, "rewind": True},
            "recipe, step 1: rewind begins again after each round, and pace = 'linear' trains once",
        ),
        (
            {"ratio": 0.5, "rewind": "first.onnx"},
            "recipe, step 1: rewind begins again and trains, and epochs is 0",
        ),
        (
            {"ratio": 0.5, "criterion": "sensitivity", "scope": "local"},
            'recipe, step 1: criterion = "sensitivity" gives each layer a share of its own, and scope is "local"',
        ),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Option], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        prune_weights.apply(NOTHING, options, CONTEXT)

    assert refused.value.message == message


def test_portions_that_do_not_rise_to_one_are_refused() -> None:
    with pytest.raises(ConfigError) as refused:
        power_of_two.apply(NOTHING, {"portions": (0.5, 0.9)}, CONTEXT)

    assert refused.value.message == "recipe, step 1: 'portions': portions rise from above 0 to 1 (got (0.5, 0.9))"


def test_as_many_kept_as_there_are_is_refused() -> None:
    with pytest.raises(ConfigError) as refused:
        prune_n_m.apply(NOTHING, {"kept": 4, "of": 4}, CONTEXT)

    assert refused.value.message == "recipe, step 1: kept = 4 of 4 weights prunes nothing"
    assert refused.value.hint == "set kept below of, such as 2 of 4"
