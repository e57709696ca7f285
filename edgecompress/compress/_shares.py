"""How much of each layer goes by its measured sensitivity: every layer loses until the output suffers alike.

A layer's curve is the relative rise of the error that it causes alone when shares of its weights are gone. Its root,
the size of the output's change, is close to a straight line between the shares that were measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

SHARES = (0.25, 0.5, 0.75, 0.9, 1.0)
"""The shares of a layer's weights whose loss is measured."""
SEARCH_STEPS = 60


def of_layers(errors: Mapping[str, Sequence[float]], sizes: Mapping[str, int], ratio: float) -> dict[str, float]:
    """Return the share of each layer to take out, `ratio` of all weights together.

    `errors` are those at SHARES. A layer with a higher curve loses less, or as much.
    """
    curves = {name: np.maximum.accumulate(np.sqrt([0.0, *measured])) for name, measured in errors.items()}
    low, high = -1.0, max(float(curve[-1]) for curve in curves.values())
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        if _taken(_at(curves, middle), sizes) < ratio:
            low = middle
        else:
            high = middle
    fewer, more = _at(curves, low), _at(curves, high)
    return _between(fewer, more, sizes, ratio)


def _at(curves: Mapping[str, NDArray[np.float64]], change: float) -> dict[str, float]:
    """The share that each layer may lose until the output changes so much."""
    return {name: _largest_share(curve, change) for name, curve in curves.items()}


def _largest_share(curve: NDArray[np.float64], change: float) -> float:
    """Follow the straight lines between the shares that were measured; below 0 nothing may go."""
    if change < 0:
        return 0.0
    shares = (0.0, *SHARES)
    last = int(np.searchsorted(curve, change, side="right")) - 1
    if last == len(shares) - 1:
        return shares[-1]
    part = (change - curve[last]) / (curve[last + 1] - curve[last])
    return float(shares[last] + part * (shares[last + 1] - shares[last]))


def _taken(shares: Mapping[str, float], sizes: Mapping[str, int]) -> float:
    return sum(share * sizes[name] for name, share in shares.items()) / sum(sizes.values())


def _between(
    fewer: Mapping[str, float], more: Mapping[str, float], sizes: Mapping[str, int], ratio: float
) -> dict[str, float]:
    """Mix two nearly equal choices: where a curve is flat they differ, and only a mix takes exactly the ratio."""
    least, most = _taken(fewer, sizes), _taken(more, sizes)
    part = 0.0 if most <= least else min(1.0, max(0.0, (ratio - least) / (most - least)))
    return {name: (1 - part) * share + part * more[name] for name, share in fewer.items()}
