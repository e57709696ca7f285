"""compress/_ranges: the four rules on histograms whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompress.compress import _ranges
from edgecompress.compress._ranges import BINS, Histogram


def histogram(values: np.ndarray) -> Histogram:
    low, high = float(values.min()), float(values.max())
    counts, _ = np.histogram(values, bins=BINS, range=(low, high))
    return Histogram(low=low, high=high, counts=counts.astype(np.float64))


def bell(count: int = 200_000) -> np.ndarray:
    return np.random.default_rng(0).normal(size=count)


def with_an_outlier(values: np.ndarray) -> np.ndarray:
    return np.append(values, 40.0)


def quantization_error(values: np.ndarray, ends: tuple[float, float]) -> float:
    low, high = ends
    scale = (high - low) / 255
    zero_point = np.round(-low / scale)
    quantized = np.clip(np.round(values / scale) + zero_point, 0, 255)
    return float(np.mean(((quantized - zero_point) * scale - values) ** 2))


def test_minmax_covers_everything_and_zero() -> None:
    assert _ranges.minmax(histogram(np.array([2.0, 3.0, 5.0]))) == (0.0, 5.0)
    assert _ranges.minmax(histogram(np.array([-4.0, -1.0]))) == (-4.0, 0.0)


def test_percentile_leaves_half_of_the_rest_out_at_each_end() -> None:
    low, high = _ranges.percentile(histogram(np.linspace(-100, 100, 100_001)), 90.0)

    assert (low, high) == pytest.approx((-90, 90), abs=200 / BINS)


def test_the_hundredth_percentile_is_minmax() -> None:
    seen = histogram(bell())

    assert _ranges.percentile(seen, 100.0) == _ranges.minmax(seen)


def test_entropy_cuts_an_outlier_that_minmax_keeps() -> None:
    seen = histogram(with_an_outlier(bell()))

    low, high = _ranges.entropy(seen)

    assert _ranges.minmax(seen)[1] == 40.0
    assert 4.0 < high < 20.0
    assert low == pytest.approx(seen.low)


def test_entropy_does_not_cut_on_the_noise_of_few_values() -> None:
    seen = histogram(bell(2000))

    assert _ranges.entropy(seen) == _ranges.minmax(seen)


@pytest.mark.parametrize("symmetric", [False, True])
def test_mse_cuts_an_outlier_and_errs_less_than_minmax(symmetric: bool) -> None:
    values = with_an_outlier(bell())
    seen = histogram(values)

    best = _ranges.mse(seen, symmetric=symmetric)

    whole = (-40.0, 40.0) if symmetric else _ranges.minmax(seen)
    assert best[1] < 40.0
    assert quantization_error(values, best) < quantization_error(values, whole)


def test_mse_keeps_the_whole_range_of_evenly_spread_values() -> None:
    seen = histogram(np.linspace(-1, 1, 100_001))

    assert _ranges.mse(seen, symmetric=False) == (-1.0, 1.0)


def test_a_tensor_that_is_always_zero_has_an_empty_range() -> None:
    seen = Histogram(low=0.0, high=0.0, counts=np.full(BINS, 3.0))

    assert _ranges.minmax(seen) == (0.0, 0.0)
    assert _ranges.percentile(seen, 99.9) == (0.0, 0.0)
    assert _ranges.entropy(seen) == (0.0, 0.0)
    assert _ranges.mse(seen, symmetric=False) == (0.0, 0.0)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40))
def test_every_rule_stays_inside_minmax_and_holds_zero(values: list[float]) -> None:
    seen = histogram(np.array(values))
    low, high = _ranges.minmax(seen)

    for found in (
        _ranges.percentile(seen, 99.0),
        _ranges.entropy(seen),
        _ranges.mse(seen, symmetric=False),
    ):
        assert low <= found[0] <= 0.0 <= found[1] <= high
