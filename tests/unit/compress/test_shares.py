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
    errors["more"] = [error * (1 + draw.random()) for error in errors["layer 0"]]
    sizes = {name: int(draw.integers(64, 9000)) for name in errors}

    shares = _shares.of_layers(errors, sizes, ratio)

    assert sum(shares[name] * size for name, size in sizes.items()) == pytest.approx(ratio * sum(sizes.values()))
    assert all(0 <= share <= 1 for share in shares.values())
    assert shares["more"] <= shares["layer 0"]
    assert 0 < shares["more"] < 1 or shares["more"] == shares["layer 0"]


def test_layers_lose_until_the_output_changes_alike() -> None:
    errors = {"calm": [share**2 for share in _shares.SHARES], "touchy": [(3 * share) ** 2 for share in _shares.SHARES]}

    shares = _shares.of_layers(errors, {"calm": 100, "touchy": 100}, 0.4)

    assert shares == pytest.approx({"calm": 0.6, "touchy": 0.2})


def test_a_layer_that_nothing_depends_on_goes_first() -> None:
    errors = {"idle": [0.0] * len(_shares.SHARES), "used": [0.1, 0.2, 0.3, 0.4, 0.5]}

    assert _shares.of_layers(errors, {"idle": 50, "used": 50}, 0.4) == pytest.approx({"idle": 0.8, "used": 0.0})
    assert _shares.of_layers(errors, {"idle": 50, "used": 50}, 0.6)["idle"] == 1
