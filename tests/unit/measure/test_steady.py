from __future__ import annotations

import random

import pytest

from edgecompress.measure import _steady


def noisy(count: int, level: float, *, seed: int = 3) -> list[float]:
    chance = random.Random(seed)
    return [level * (1 + abs(chance.gauss(0, 0.02))) for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("cold", [10, 45, 100])
def test_a_slow_beginning_is_found(cold: int, seed: int) -> None:
    assert _steady.warm_up(noisy(cold, 150.0, seed=seed) + noisy(300, 100.0, seed=seed + 1)) == cold


def test_a_fast_beginning_is_found_as_well() -> None:
    assert _steady.warm_up(noisy(60, 80.0) + noisy(300, 100.0, seed=4)) == 60


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_warm_up(seed: int) -> None:
    assert _steady.warm_up(noisy(400, 100.0, seed=seed)) == 0


def test_one_interrupted_sample_is_no_warm_up() -> None:
    samples = noisy(300, 100.0)
    samples[2] = 5_000.0

    assert _steady.warm_up(samples) == 0


def test_interruptions_here_and_there_are_no_warm_up() -> None:
    samples = noisy(1_000, 100.0)
    for start in range(20, 300, 40):
        samples[start : start + 5] = [900.0] * 5

    assert _steady.warm_up(samples) == 0


def test_a_warm_up_may_have_usual_batches_in_it() -> None:
    samples = noisy(500, 100.0)
    for start in (0, 5, 10, 20, 25):
        samples[start : start + 5] = [300.0] * 5

    assert _steady.warm_up(samples) == 30


def test_at_most_half_of_the_samples_are_a_warm_up() -> None:
    assert _steady.warm_up([1000.0 - i for i in range(400)]) <= 200


@pytest.mark.parametrize("samples", [[], [3.0], [9.0, 1.0, 1.0], [7.0] * 100, [0.0] * 100])
def test_few_or_equal_samples_have_no_warm_up(samples: list[float]) -> None:
    assert _steady.warm_up(samples) == 0


def test_drift_is_from_the_first_to_the_last_quarter() -> None:
    assert _steady.drift([100.0] * 10 + [0.0] * 20 + [112.0] * 10) == pytest.approx(0.12)
    assert _steady.drift([5.0]) == 0.0
    assert _steady.drift([0.0, 1.0, 1.0, 2.0]) == 0.0


def test_every_percentile_is_a_sample_of_the_series() -> None:
    found = _steady.percentiles([float(i) for i in range(1, 201)])

    assert found == {"min": 1, "median": 100.5, "p90": 180, "p95": 190, "p99": 198, "max": 200}


def test_one_sample_is_all_of_its_percentiles() -> None:
    assert set(_steady.percentiles([4.0]).values()) == {4.0}
