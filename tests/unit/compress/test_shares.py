"""Shares by sensitivity: they add up to the ratio, and a layer that the output misses more keeps more."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompress.compress import _shares


def curve(draw: np.random.Generator) -> list[float]:
    return sorted(draw.random(len(_shares.SHARES)) * 10.0 ** draw.integers(-6, 1))


@pytest.mark.parametrize("ratio", [0.05, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("seed", range(8))
def test_a_more_sensitive_layer_keeps_more_and_all_together_lose_the_ratio(seed: int, ratio: float) -> None:
    draw = np.random.default_rng(seed)
    errors = {f"layer {number}": curve(draw) for number in range(6)}
    errors["more"] = [1.5 * error for error in errors["layer 0"]]
    sizes = {name: int(draw.integers(64, 9000)) for name in errors}
    sizes["more"] = sizes["layer 0"]

    shares = _shares.of_layers(errors, sizes, ratio)

    assert sum(shares[name] * size for name, size in sizes.items()) == pytest.approx(ratio * sum(sizes.values()))
    assert all(0 <= share <= 1 for share in shares.values())
    assert shares["more"] <= shares["layer 0"]


@pytest.mark.parametrize("seed", range(8))
def test_no_exchange_of_weights_between_two_layers_lowers_the_sum_of_errors(seed: int) -> None:
    draw = np.random.default_rng(seed)
    knots = np.array([0.0, *_shares.SHARES])
    errors = {name: (draw.random() * knots[1:] ** draw.uniform(1, 4)).tolist() for name in "abc"}
    sizes = {"a": 100, "b": 400, "c": 250}

    def total(shares: dict[str, float]) -> float:
        return sum(float(np.interp(share, knots, [0.0, *errors[name]])) for name, share in shares.items())

    best = _shares.of_layers(errors, sizes, 0.6)
    for giver in sizes:
        for taker in set(sizes) - {giver}:
            moved = {**best, giver: best[giver] - 5 / sizes[giver], taker: best[taker] + 5 / sizes[taker]}
            if moved[giver] >= 0 and moved[taker] <= 1:
                assert total(moved) >= total(best) - 1e-12


def test_a_layer_that_nothing_depends_on_goes_first() -> None:
    errors = {"idle": [0.0] * len(_shares.SHARES), "used": list(_shares.SHARES)}

    assert _shares.of_layers(errors, {"idle": 50, "used": 50}, 0.4) == pytest.approx({"idle": 0.8, "used": 0.0})
    assert _shares.of_layers(errors, {"idle": 50, "used": 50}, 0.6) == pytest.approx({"idle": 1.0, "used": 0.2})
