"""How much of each layer goes by its measured sensitivity: next always the weights that the output misses the least.

A layer's curve is the relative rise of the error that it causes alone when shares of its weights are gone, as straight
lines between the shares that were measured; where it bends down, the straight line over the bend. All layers lose along
their curves until a further weight would cost every one of them the same: then the errors' sum is the least.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

SHARES = (0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
"""The shares of a layer's weights whose loss is measured."""


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """A part of a layer's curve: how much error a weight costs on it, and which share of the layer it is."""

    cost: float
    layer: str
    share: float


def of_layers(errors: Mapping[str, Sequence[float]], sizes: Mapping[str, int], ratio: float) -> dict[str, float]:
    """Return the share of each layer to take out, `ratio` of all weights together.

    `errors` are those at SHARES. Of two layers of the same size, the one with so many times the other's errors never
    loses more.
    """
    shares = dict.fromkeys(errors, 0.0)
    left = ratio * sum(sizes.values())
    pieces = [piece for name, measured in errors.items() for piece in _pieces(name, measured, sizes[name])]
    for piece in sorted(pieces, key=lambda piece: piece.cost):
        weights = piece.share * sizes[piece.layer]
        part = min(1.0, left / weights)
        shares[piece.layer] = min(1.0, shares[piece.layer] + part * piece.share)
        left -= part * weights
        if left <= 0:
            break
    return shares


def _pieces(layer: str, errors: Sequence[float], weights: int) -> Iterator[_Piece]:
    """The straight parts of the lower hull of a curve; their costs rise."""
    hull: list[tuple[float, float]] = []
    for point in zip((0.0, *SHARES), (0.0, *errors), strict=True):
        while len(hull) > 1 and _slope(hull[-1], point) <= _slope(hull[-2], hull[-1]):
            hull.pop()
        hull.append(point)
    for first, second in itertools.pairwise(hull):
        yield _Piece(cost=_slope(first, second) / weights, layer=layer, share=second[0] - first[0])


def _slope(first: tuple[float, float], second: tuple[float, float]) -> float:
    return (second[1] - first[1]) / (second[0] - first[0])
