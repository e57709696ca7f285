"""How many components of a matrix are worth keeping: by their energy, or by variational Bayes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_TAU_FACTOR = 2.5129
"""The root of the equation for the threshold, to the four digits that Nakajima et al. 2013 give (Theorem 2)."""
_SEARCH_STEPS = 200


def by_energy(singular_values: Values, energy: float) -> int:
    """The least rank whose components hold the share `energy` of the sum of squares; at least 1."""
    squares = np.square(singular_values)
    total = squares.sum()
    if total == 0 or energy <= 0:
        return 1
    held = np.cumsum(squares) / total
    first = int(np.searchsorted(held, energy * (1 - 1e-12)))
    return min(len(held), first + 1)


def by_variational_bayes(matrix: Values) -> int:
    """The rank of empirical variational Bayesian matrix factorisation; at least 1.

    The analytic solution of Nakajima, Sugiyama, Babacan and Tomioka 2013, "Global Analytic Solution of Fully-observed
    Variational Bayesian Matrix Factorization": a component stays when its singular value rises above what noise alone
    would make. The noise's variance is that with the least free energy, searched for on a grid.
    """
    rows, columns = sorted(matrix.shape)
    values = np.linalg.svd(matrix, compute_uv=False).astype(np.float64)
    alpha = rows / columns
    tau = _TAU_FACTOR * np.sqrt(alpha)
    threshold = (1 + tau) * (1 + alpha / tau)
    low, high = _noise_bounds(values, rows, columns, alpha, threshold)
    if not 0 < low < high:
        return max(1, int(np.count_nonzero(values > values[0] * np.finfo(np.float32).eps)))
    grid = np.geomspace(low, high, _SEARCH_STEPS)
    noise = grid[int(np.argmin([_free_energy(values, each, columns, alpha, threshold) for each in grid]))]
    return max(1, int(np.count_nonzero(values > np.sqrt(columns * noise * threshold))))


def _noise_bounds(values: Values, rows: int, columns: int, alpha: float, threshold: float) -> tuple[float, float]:
    """Return between which variances of the noise the least free energy lies (corollary 1 of the paper)."""
    high = float(np.square(values).sum() / (rows * columns))
    most = min(int(np.ceil(rows / (1 + alpha))) - 1, rows - 1)
    tail = values[most:]
    low = max(
        float(values[min(most, len(values) - 1)] ** 2 / (columns * threshold)),
        float(np.square(tail).mean() / columns) if len(tail) else 0.0,
    )
    return low, high


def _free_energy(values: Values, noise: float, columns: int, alpha: float, threshold: float) -> float:
    """The free energy of a noise's variance, but for constants (equation 23 of the paper)."""
    x = np.square(values) / (columns * noise)
    small, large = x[x <= threshold], x[x > threshold]
    root = np.sqrt(np.square(large - (1 + alpha)) - 4 * alpha)
    t = 0.5 * (large - (1 + alpha) + root)
    return float(
        np.sum(small - np.log(np.maximum(small, np.finfo(np.float64).tiny)))
        + np.sum(large - t)
        + np.sum(np.log((t + 1) / large))
        + alpha * np.sum(np.log(t / alpha + 1))
    )
