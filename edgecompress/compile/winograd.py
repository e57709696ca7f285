"""Winograd's minimal filtering F(m, 3) in exact fractions: m neighbouring results of a filter of three taps.

`outputs @ ((weights @ g) * (inputs @ d))` are the m results of the taps g over the m + 2 numbers d, with one product
each for the m + 2 points at which polynomials are evaluated (Lavin and Gray 2015, "Fast Algorithms for Convolutional
Neural Networks"; Winograd 1980). Both dimensions of an image are done one after the other.

The points decide how much is lost to rounding: 0, infinity and pairs +p and -p that lie neither close together nor far
apart (Barabasz, Anderson, Soodhalter and Gregg 2020, "Error Analysis and Improving the Accuracy of Winograd
Convolution"). Those below had the smallest mean error of all sets of small dyadic fractions for F(6, 3), and the
smallest largest error among those for F(4, 3). The entries of `inputs` are exact in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from edgecompress.core.values import Array

TAPS = 3

Row = tuple[Fraction, ...]


@dataclass(frozen=True, kw_only=True)
class Filter:
    """F(m, 3): `results` m, and the positive one of each pair of points.

    The order of the points is 0, then +p and -p for each of `pairs`, then infinity. `scales` multiply the sums of a
    pair's points, and divide their weights: a row of `outputs` that has a 1 takes a multiplication less.
    """

    results: int
    pairs: tuple[Fraction, ...]
    scales: tuple[Fraction, ...]

    @property
    def size(self) -> int:
        """Numbers that are read, and products: m + 2."""
        return self.results + TAPS - 1

    @property
    def points(self) -> Row:
        """The finite points."""
        return (Fraction(0), *(sign * pair for pair in self.pairs for sign in (1, -1)))

    @property
    def inputs(self) -> tuple[Row, ...]:
        """The matrix of the inputs (size, size): products of x - p over the other points, and over all of them.

        The highest power of each row has the factor 1.
        """
        points = self.points
        rows = [_product(points[:k] + points[k + 1 :]) for k in range(len(points))]
        return tuple(_filled(row, self.size) for row in (*rows, _product(points)))

    @property
    def weights(self) -> tuple[Row, ...]:
        """The matrix of the weights (size, 3): powers of each point, over what `inputs` left out."""
        points = self.points
        rows = []
        for k, point in enumerate(points):
            left_out = self._scales[k]
            for other in points[:k] + points[k + 1 :]:
                left_out *= point - other
            rows.append(tuple(point**power / left_out for power in range(TAPS)))
        return (*rows, (Fraction(0), Fraction(0), Fraction(1)))

    @property
    def outputs(self) -> tuple[Row, ...]:
        """The matrix of the results (results, size): powers of the points, scaled."""
        scaled = list(zip(self._scales, self.points, strict=True))
        return tuple(
            (*(scale * point**power for scale, point in scaled), Fraction(int(power == self.results - 1)))
            for power in range(self.results)
        )

    @property
    def _scales(self) -> Row:
        return (Fraction(1), *(scale for scale in self.scales for _ in range(2)))

    def transform_weights(self, weights: Array) -> Array:
        """Bring weights (outputs, inputs, 3, 3) to the points: (size, size, inputs, outputs), in float32.

        Summed in float64 in one order, not by a matrix product, whose order depends on the machine's BLAS.
        """
        taps = np.ascontiguousarray(weights.transpose(2, 3, 1, 0), dtype=np.float64)
        transformed = np.empty((self.size, self.size, *taps.shape[2:]), dtype=np.float32)
        for above, row in enumerate(self.weights):
            rows = _combined(row, taps)
            for beside, column in enumerate(self.weights):
                transformed[above, beside] = _combined(column, rows)
        return transformed


def _product(points: Sequence[Fraction]) -> Row:
    """The coefficients of the product of x - p, from the lowest power up."""
    row: list[Fraction] = [Fraction(1)]
    for point in points:
        moved = [Fraction(0), *row]
        row = [a - point * b for a, b in zip(moved, [*row, Fraction(0)], strict=True)]
    return tuple(row)


def _filled(row: Row, size: int) -> Row:
    return row + (Fraction(0),) * (size - len(row))


def _fractions(*words: str) -> tuple[Fraction, ...]:
    return tuple(map(Fraction, words))


FILTERS = {
    2: Filter(results=2, pairs=_fractions("1"), scales=_fractions("1")),
    4: Filter(results=4, pairs=_fractions("3/4", "3/2"), scales=_fractions("4/3", "4/9")),
    6: Filter(results=6, pairs=_fractions("1", "1/2", "2"), scales=_fractions("1", "1", "1")),
}
"""m -> F(m, 3)."""


def _combined(factors: Row, parts: Array) -> Array:
    """Sum the parts that have a factor, times it, from the first to the last."""
    terms = [float(factor) * part for factor, part in zip(factors, parts, strict=True) if factor]
    total: Array = terms[0]
    for term in terms[1:]:
        total += term
    return total
