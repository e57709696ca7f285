from __future__ import annotations

from edgecompress.pipeline.tuning import fastest


def test_the_label_of_the_layers_that_took_the_least_wins() -> None:
    ranks = ({"a": "4x2"}, {"b": "8x1"}), ({"a": "2x2"}, {"b": "6x1"})

    assert fastest(ranks, ((100, 50), (80, 60))) == {"a": "2x2", "b": "8x1"}


def test_layers_with_one_signature_are_judged_together() -> None:
    ranks = ({"a": "4x2"}, {"a": "4x2"}), ({"a": "2x2"}, {"a": "2x2"})

    assert fastest(ranks, ((100, 1000), (90, 1100))) == {"a": "4x2"}


def test_a_gain_within_the_noise_changes_nothing() -> None:
    ranks = ({"a": "4x2"},), ({"a": "2x2"},)

    assert fastest(ranks, ((100,), (99,))) == {"a": "4x2"}


def test_a_layer_that_took_no_tick_at_all_is_no_reason_to_change() -> None:
    ranks = ({"a": "4x2"},), ({"a": "2x2"},)

    assert fastest(ranks, ((0,), (0,))) == {"a": "4x2"}
