"""k-means on a line, and what the codebook step makes of it: values that survive int8, zeros that stay."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecompress.compress import _clusters, codebook, power_of_two
from edgecompress.compress._clusters import Initialisation
from edgecompress.compress._layer_weights import LayerWeights

RANDOM = np.random.default_rng(3)
VALUES = RANDOM.normal(size=500)
EQUAL = np.ones(500)


def layer(values: NDArray[np.generic], scale: NDArray[np.float64] | None = None) -> LayerWeights:
    return LayerWeights(layer="a", op="Conv", tensor="w", values=values, scale=scale, order=tuple(range(values.ndim)))


def to_int8(weights: NDArray[np.generic]) -> NDArray[np.float64]:
    """Quantize each output to int8 by its largest weight, as static_int8 does."""
    rows = weights.reshape(len(weights), -1)
    scale = np.abs(rows).max(axis=1, keepdims=True).astype(np.float32) / np.float32(127)
    return np.rint(rows / np.where(scale > 0, scale, 1))


@pytest.mark.parametrize("initialisation", get_args(Initialisation))
def test_every_centre_is_the_mean_of_what_is_nearest_to_it(initialisation: Initialisation) -> None:
    centres = _clusters.cluster(VALUES, EQUAL, 7, initialisation)

    places = _clusters.nearest(VALUES, centres)
    assert np.allclose(centres, [VALUES[places == place].mean() for place in range(7)])


def test_values_that_are_few_are_centres_themselves() -> None:
    values = np.array([3.0, -1.0, 3.0, 2.0])

    assert _clusters.cluster(values, np.ones(4), 3).tolist() == [-1.0, 2.0, 3.0]


def test_tied_ends_differ_by_their_sign_alone_and_zero_is_kept() -> None:
    centres = _clusters.cluster(VALUES, EQUAL, 9, keep_zero=True, tied_ends=True)

    assert centres[0] == -centres[-1]
    assert 0.0 in centres
    assert len(centres) <= 9


@pytest.mark.parametrize("entries", [3, 8, 16, 32])
def test_the_levels_of_a_layer_are_found_again_by_a_quantization_of_each_output(entries: int) -> None:
    weights = (RANDOM.normal(size=(24, 8, 3, 3)) * RANDOM.uniform(0.01, 3, (24, 1, 1, 1))).astype(np.float32)

    shared = codebook.shared_weights([layer(weights)], codebook.Options(entries=entries))["w"]

    assert len(np.unique(to_int8(shared))) <= entries
    assert np.abs(to_int8(shared)).max(axis=1).tolist() == [127] * 24


def test_pruned_weights_stay_zero() -> None:
    weights = RANDOM.normal(size=(8, 40)).astype(np.float32)
    weights[:, ::3] = 0

    shared = codebook.shared_weights([layer(weights)], codebook.Options(entries=8))["w"]

    assert not shared[:, ::3].any()


def test_a_codebook_of_256_entries_loses_nothing_on_weights_of_eight_bits() -> None:
    integers = RANDOM.integers(-128, 128, (6, 60)).astype(np.int8)
    integers[:, 0] = 127
    options = codebook.Options(entries=256)
    reals = (integers.clip(-127) * np.float32(0.013)).astype(np.float32)

    shared = codebook.shared_weights([layer(reals)], options)
    whole = codebook.shared_weights([layer(integers, np.ones(6))], options)["w"]

    assert np.array_equal(whole, integers)
    assert np.allclose(shared["w"], reals, rtol=1e-6, atol=0)


def test_integers_share_values_as_they_are() -> None:
    integers = RANDOM.integers(-128, 128, (6, 60)).astype(np.int8)

    shared = codebook.shared_weights([layer(integers, RANDOM.uniform(0.1, 1, 6))], codebook.Options(entries=16))["w"]

    assert len(np.unique(shared)) <= 16
    assert np.array_equal(shared, np.rint(shared))


def test_powers_of_two_are_a_reach_over_whole_powers() -> None:
    weights = RANDOM.normal(size=(10, 50)).astype(np.float32)

    made = power_of_two.powers([layer(weights)], power_of_two.Options(bits=4))["w"].astype(np.float64)

    reach = np.abs(made).max(axis=1, keepdims=True)
    exponents = np.log2(reach * (128 / 127) / np.where(made, np.abs(made), reach * (128 / 127)))
    below = np.abs(made) < reach * 0.999
    assert np.allclose(exponents[below], np.rint(exponents[below]), atol=1e-5)
    assert exponents.max() <= 6.001
    assert len(np.unique(to_int8(made))) <= 15
    again = power_of_two.powers([layer(made.astype(np.float32))], power_of_two.Options(bits=4))["w"]
    assert np.allclose(again, made, rtol=1e-6)
