"""Winograd's filters in exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from edgecompress.compile.winograd import FILTERS, TAPS, Filter


@pytest.mark.parametrize("used", FILTERS.values(), ids=lambda used: f"F({used.results},3)")
def test_the_matrices_are_a_filter_of_three_taps_exactly(used: Filter) -> None:
    outputs, weights, inputs = used.outputs, used.weights, used.inputs
    for result in range(used.results):
        for tap in range(TAPS):
            for place in range(used.size):
                factor = sum(
                    (outputs[result][point] * weights[point][tap] * inputs[point][place] for point in range(used.size)),
                    start=Fraction(0),
                )
                assert factor == (1 if place == result + tap else 0)


@pytest.mark.parametrize("used", FILTERS.values(), ids=lambda used: f"F({used.results},3)")
def test_factors_of_the_inputs_are_exact_in_float32(used: Filter) -> None:
    for row in used.inputs:
        for factor in row:
            assert Fraction(float(np.float32(float(factor)))) == factor


def test_weights_are_transformed_in_both_dimensions_and_rounded_once() -> None:
    used = FILTERS[4]
    weights = np.random.default_rng(1).standard_normal((2, 3, 3, 3)).astype(np.float32)

    transformed = used.transform_weights(weights)

    assert transformed.shape == (6, 6, 3, 2)
    matrix = [[Fraction(float(tap)) for tap in row] for row in weights[1, 2]]
    for above in range(used.size):
        for beside in range(used.size):
            exact = sum(
                used.weights[above][y] * used.weights[beside][x] * matrix[y][x]
                for y in range(TAPS)
                for x in range(TAPS)
            )
            assert transformed[above, beside, 2, 1] == np.float32(float(exact))
