"""k-means of numbers on a line (Lloyd 1982; Han et al. 2016, "Deep Compression", section 3)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Initialisation = Literal["linear", "density", "kmeans++"]
MOST_ROUNDS = 300


def cluster(
    values: Numbers,
    weights: Numbers,
    count: int,
    initialisation: Initialisation = "linear",
    *,
    keep_zero: bool = False,
    tied_ends: bool = False,
    seed: int = 0,
) -> Numbers:
    """Find at most `count` sorted centres with a small weighted sum of squared distances.

    Values that are no more than `count` are centres themselves. With `keep_zero` one centre is 0, with `tied_ends` the
    least is the largest with another sign; one of two centres cannot be 0.
    Initialisation as Han et al. 2016 (3.2): `linear` puts the centres at equal distances between the extremes,
    `density` at equal steps of the cumulative distribution, `kmeans++` where Arthur and Vassilvitskii (2007) draw them.
    """
    points, places = np.unique(values, return_inverse=True)
    mass: Numbers = np.bincount(places.reshape(-1), weights=weights).astype(np.float64)
    if len(points) <= count:
        return points
    keep_zero = keep_zero and count > 2
    centres = _first(points, mass, count - keep_zero, initialisation, np.random.default_rng(seed))
    for _ in range(MOST_ROUNDS):
        moved = _move(points, mass, centres, keep_zero=keep_zero)
        moved = _tied(points, mass, moved) if tied_ends else moved
        if np.array_equal(moved, centres):
            break
        centres = moved
    return np.union1d(centres, [0.0]) if keep_zero else np.unique(centres)


def nearest(values: Numbers, centres: Numbers) -> NDArray[np.intp]:
    """The index of the nearest of sorted centres for each value."""
    found: NDArray[np.intp] = np.searchsorted((centres[1:] + centres[:-1]) / 2, values)
    return found


def _first(
    points: Numbers, mass: Numbers, count: int, initialisation: Initialisation, random: np.random.Generator
) -> Numbers:
    if initialisation == "linear":
        return np.linspace(points[0], points[-1], count)
    if initialisation == "density":
        cumulative = np.cumsum(mass) / mass.sum()
        spread: Numbers = points[np.searchsorted(cumulative, (np.arange(count) + 0.5) / count)]
        return spread
    return _drawn(points, mass, count, random)


def _drawn(points: Numbers, mass: Numbers, count: int, random: np.random.Generator) -> Numbers:
    """Draw centres one by one, each with the probability of its squared distance from those that there are."""
    distance = np.ones(len(points))
    centres: list[float] = []
    for _ in range(count):
        chance = mass * distance
        centres.append(float(random.choice(points, p=chance / chance.sum())))
        from_last = np.square(points - centres[-1])
        distance = from_last if len(centres) == 1 else np.minimum(distance, from_last)
    return np.sort(np.array(centres))


def _move(points: Numbers, mass: Numbers, centres: Numbers, *, keep_zero: bool) -> Numbers:
    """Move every centre to the mean of what is nearest to it; one that nothing is nearest to stays."""
    everyone = np.append(centres, 0.0) if keep_zero else centres
    order = np.argsort(everyone, kind="stable")
    owner = order[nearest(points, everyone[order])]
    total = np.bincount(owner, weights=mass, minlength=len(everyone))
    sums = np.bincount(owner, weights=mass * points, minlength=len(everyone))
    moved = np.divide(sums, total, out=everyone.copy(), where=total > 0)
    return np.sort(moved[: len(centres)])


def _tied(points: Numbers, mass: Numbers, centres: Numbers) -> Numbers:
    """Give both ends the magnitude that suits what is nearest to either; the other centres stay between them."""
    if len(centres) < 2:
        return centres
    low = points < (centres[0] + centres[1]) / 2
    high = points >= (centres[-1] + centres[-2]) / 2
    at_ends = mass[low].sum() + mass[high].sum()
    if not at_ends:
        return centres
    end = abs(mass[high] @ points[high] - mass[low] @ points[low]) / at_ends
    return np.concatenate([[-end], np.clip(centres[1:-1], -end, end), [end]])
