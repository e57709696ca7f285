"""The fixed-point arithmetic against definitions written from gemmlowp's text, and against real numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompress.compile import quantized
from edgecompress.compile.quantized import Multiplier
from edgecompress.core.values import Array

INT32 = st.integers(-(2**31), 2**31 - 1)
SIGNIFICAND = st.integers(2**30, 2**31 - 1)


def high_multiplication(a: int, b: int) -> int:
    """SaturatingRoundingDoublingHighMul: a sign-dependent nudge, then a division that truncates."""
    if a == b == -(2**31):
        return 2**31 - 1
    product = a * b
    nudge = 2**30 if product >= 0 else 1 - 2**30
    return int(Fraction(product + nudge, 2**31))


def division(x: int, exponent: int) -> int:
    """RoundingDivideByPOT: the remainder against a threshold that depends on the sign."""
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if (x & mask) > threshold else 0)


@given(INT32, INT32)
def test_multiply_high_is_gemmlowps(a: int, b: int) -> None:
    assert int(quantized.multiply_high(a, b)) == high_multiplication(a, b)


@pytest.mark.parametrize(("a", "b"), [(-(2**31), -(2**31)), (1, 2**30), (-1, 2**30), (3, 2**30), (-3, 2**30)])
def test_multiply_high_rounds_ties_and_saturates_like_gemmlowp(a: int, b: int) -> None:
    assert int(quantized.multiply_high(a, b)) == high_multiplication(a, b)


@given(INT32, st.integers(0, 31))
def test_divide_by_power_is_gemmlowps(x: int, exponent: int) -> None:
    assert int(quantized.divide_by_power(x, exponent)) == division(x, exponent)


@pytest.mark.parametrize(("x", "wanted"), [(1, 1), (-1, -1), (3, 2), (-3, -2), (5, 3), (-5, -3), (2, 1), (-2, -1)])
def test_divide_by_power_rounds_halves_away_from_zero(x: int, wanted: int) -> None:
    assert int(quantized.divide_by_power(x, 1)) == wanted


@given(st.integers(-(2**20), 2**20), SIGNIFICAND, st.integers(-31, 8))
def test_scaling_is_at_most_one_off_the_real_product(x: int, value: int, shift: int) -> None:
    exact = Fraction(x * value, 2**31) * Fraction(2) ** shift

    scaled = int(quantized.scale(np.int64(x), Multiplier(value=value, shift=shift)))

    assert abs(scaled - exact) <= 1


@given(st.floats(2.0**-30, 2.0**20))
def test_a_multiplier_holds_31_bits_of_its_factor(factor: float) -> None:
    found = quantized.multiplier(factor)

    assert 2**30 <= found.value < 2**31
    assert math.isclose(found.value / 2**31 * 2.0**found.shift, factor, rel_tol=2.0**-31)


@pytest.mark.parametrize(
    ("factor", "wanted"),
    [
        (0.0, Multiplier(value=0, shift=0)),
        (0.5, Multiplier(value=2**30, shift=0)),
        (1.0, Multiplier(value=2**30, shift=1)),
        (math.nextafter(1.0, 0.0), Multiplier(value=2**30, shift=1)),
        (2.0**-32, Multiplier(value=2**30, shift=-31)),
        (2.0**-33, Multiplier(value=0, shift=0)),
    ],
)
def test_the_corner_cases_of_a_multiplier_are_those_of_tflite(factor: float, wanted: Multiplier) -> None:
    assert quantized.multiplier(factor) == wanted


@pytest.mark.parametrize("factor", [-1.0, math.nan, math.inf, 2.0**31])
def test_a_factor_that_no_accumulator_can_take_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="an accumulator cannot be scaled by"):
        quantized.multiplier(factor)


def test_folding_the_zero_point_into_the_bias_keeps_every_sum() -> None:
    random = np.random.default_rng(3)
    weights = random.integers(-128, 128, (5, 3, 2, 4)).astype(np.int8)
    bias = random.integers(-5000, 5000, 5)
    x = random.integers(-128, 128, 24)

    folded, magnitudes = quantized.folded_bias(bias, weights, 17)

    flat = weights.reshape(5, -1).astype(np.int64)
    assert np.array_equal(flat @ x + folded, flat @ (x - 17) + bias)
    assert (np.abs(flat @ x + folded) <= magnitudes).all()


@pytest.mark.parametrize("scale", [0.001, 0.02, 0.1605, 0.5, 3.0, 100.0])
def test_the_table_of_exponentials_is_close_to_exp(scale: float) -> None:
    table = quantized.softmax_exponentials(scale)

    exact = np.exp(-np.arange(len(table)) * float(np.float32(scale)))
    assert table[0] == 2**31 - 1
    assert np.abs(table / 2**31 - exact).max() < 1e-6


def test_the_table_of_exponentials_ends_where_the_argument_leaves_its_range() -> None:
    assert [len(quantized.softmax_exponentials(scale)) for scale in (0.1, 0.2, 20.0)] == [249, 125, 1]


@given(st.floats(0.001, 10), st.floats(0.001, 10), st.integers(-128, 127), st.integers(-128, 127))
def test_a_rescale_table_holds_the_nearest_numbers(scale: float, new: float, zero: int, new_zero: int) -> None:
    table = quantized.onnx_rescale_table((scale, zero), (new, new_zero), (-128, 127))

    exact = np.clip((np.arange(-128, 128) - zero) * scale / new + new_zero, -128, 127)
    assert np.abs(table - exact).max() <= 0.5 + 1e-3


def test_a_rescale_table_rounds_ties_to_even() -> None:
    table = quantized.onnx_rescale_table((0.5, 0), (1.0, 0), (-128, 127))

    assert table[128 + np.array([1, 3, 5, -1, -3])].tolist() == [0, 2, 2, 0, -2]


def test_a_rescale_table_of_tflite_rounds_the_ties_of_a_half_up() -> None:
    table = quantized.tflite_rescale_table((0.5, 0), (1.0, 0), (-128, 127))

    assert table[128 + np.array([1, 3, 5, -1, -3])].tolist() == [1, 2, 3, 0, -1]


@pytest.mark.parametrize("rescale_table", quantized.RESCALE_TABLES.values())
def test_a_rescale_table_at_the_same_scale_only_clamps(rescale_table: Callable[..., Array]) -> None:
    table = rescale_table((0.3, 5), (0.3, 5), (-7, 90))

    assert np.array_equal(table, np.clip(np.arange(-128, 128), -7, 90))


@given(st.floats(0.01, 10), st.floats(0.01, 10), st.integers(1, 10_000))
def test_a_mean_multiplier_divides_by_the_count(scale: float, new: float, count: int) -> None:
    by = quantized.mean_multiplier(scale, new, count)

    assert by.value * 2.0 ** (by.shift - 31) == pytest.approx(scale / new / count, rel=1e-8)
