"""Additions as linear functions: every pair of int8 numbers gives the byte of the two roundings."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompress.compile.kernels import addition
from edgecompress.compile.kernels.x86_addition import Linear, Sum, linear

SCALES = ((0.1, 0.1, 0.17), (0.0558137, 0.0374192, 0.0652079), (0.05, 0.05, 0.1), (0.0845193, 0.0480934, 0.0803662))
"""Of the operands and of the sum; in the third every other sum lies half way between two bytes."""
NO_FUNCTION = (0.3, 0.02, 0.2)
"""Ties between 1.5 a and 0.1 b, which no factors of so many bits keep."""


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("zeros", [(0, 0, 0), (-128, 17, -3)])
def test_a_linear_function_gives_every_byte_of_an_addition(
    scales: tuple[float, float, float], zeros: tuple[int, int, int]
) -> None:
    second, total = addition.multipliers(*scales)
    asked = Sum(zeros=zeros, second=second, total=total)

    found = linear(asked)

    assert found is not None
    assert np.array_equal(_results(found), np.clip(asked.exact(), -128, 127))


def test_where_no_linear_function_is_right_none_is_found() -> None:
    second, total = addition.multipliers(*NO_FUNCTION)

    assert linear(Sum(zeros=(0, 0, 0), second=second, total=total)) is None


def _results(found: Linear) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    numbers = np.arange(-128, 128, dtype=np.int64)
    sums = numbers[:, np.newaxis] * found.first + numbers * found.second + found.constant
    assert np.abs(sums).max() < 2**31
    return np.asarray(np.clip(sums >> found.shift, -128, 127), np.int64)
