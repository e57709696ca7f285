"""The range of real values that an int8 activation covers, found from a histogram of what calibration saw.

Four rules, each `(Histogram, …) -> (low, high)`. Every range holds 0, so that zero padding and ReLU's floor are exact
(Jacob et al. 2018, section 2.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 2048
LEVELS = 256
"""int8."""
SYMMETRIC_LEVELS = 255
"""-127..127: the quantizer leaves -128 out of symmetric ranges."""
KL_LEVELS = 128
"""One sign of int8: what a threshold on magnitudes leaves for the values below it."""
KL_STEP = 4
KL_VALUES_PER_BIN = 500
MSE_STEPS = 40
MSE_SMALLEST = 0.2
"""The search tries 40 fractions of the full range on each side, from a fifth up."""

Counts = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts of values in equal bins from `low` to `high`, which are the smallest and largest value seen."""

    low: float
    high: float
    counts: Counts

    @property
    def centres(self) -> NDArray[np.float64]:
        """The middle of every bin."""
        width = (self.high - self.low) / len(self.counts)
        middles: NDArray[np.float64] = self.low + width * (np.arange(len(self.counts), dtype=np.float64) + 0.5)
        return middles


def minmax(seen: Histogram) -> tuple[float, float]:
    """Cover everything that was seen."""
    return min(seen.low, 0.0), max(seen.high, 0.0)


def percentile(seen: Histogram, percent: float) -> tuple[float, float]:
    """Leave out the outermost values: `(100 - percent) / 2` per cent at each end (Wu et al. 2020, "calibration")."""
    tail = seen.counts.sum() * (1 - percent / 100) / 2
    below = np.cumsum(seen.counts)
    above = np.cumsum(seen.counts[::-1])
    edges = np.linspace(seen.low, seen.high, len(seen.counts) + 1)
    first = int(np.searchsorted(below, tail, side="right"))
    last = len(seen.counts) - int(np.searchsorted(above, tail, side="right"))
    return min(float(edges[first]), 0.0), max(float(edges[max(last, first + 1)]), 0.0)


def entropy(seen: Histogram) -> tuple[float, float]:
    """Clip magnitudes where the int8 histogram diverges least from the real one (Migacz 2017, "8-bit Inference").

    Every threshold from 128 bins up is tried: the values beyond it are counted into its last bin, the rest is merged
    into 128 levels and spread out again, and the Kullback-Leibler divergence of the two is taken. The noise of a
    histogram of n values adds about bins / 2n to a divergence, so few values get few bins, and very few no clipping:
    with 2048 bins throughout, late layers of small networks were clipped to a third of their range.
    """
    low, high = minmax(seen)
    reach = max(-low, high)
    if reach == 0:
        return low, high
    # A ReLU's zeros would drown every other bin; zero is exact under any threshold.
    magnitudes = np.abs(seen.centres)
    counts = np.where(magnitudes < (seen.high - seen.low) / BINS, 0.0, seen.counts)
    bins = int(np.clip(counts.sum() / KL_VALUES_PER_BIN, KL_LEVELS, BINS))
    merged, _ = np.histogram(magnitudes, bins=bins, range=(0.0, reach), weights=counts)
    best = min(range(bins, KL_LEVELS - 1, -KL_STEP), key=lambda kept: _divergence(merged, kept))
    threshold = reach * best / bins
    return max(low, -threshold), min(high, threshold)


def mse(seen: Histogram, *, symmetric: bool, levels: int | None = None) -> tuple[float, float]:
    """Minimise the mean squared error of quantized values (Nagel et al. 2021, "A White Paper …", section 3.1).

    The error is summed over the histogram's bins for every pair of a clipped low and a clipped high end on a grid;
    ties go to the wider range. `levels` are those of int8 unless given.
    """
    low, high = minmax(seen)
    if low == high:
        return low, high
    occupied = seen.counts > 0
    values, weights = seen.centres[occupied], seen.counts[occupied]
    fractions = np.linspace(1.0, MSE_SMALLEST, MSE_STEPS).tolist()
    if symmetric:
        reach = max(-low, high)
        pairs = [(-reach * part, reach * part) for part in fractions]
    else:
        lows = [low * part for part in fractions] if low < 0 else [0.0]
        highs = [high * part for part in fractions] if high > 0 else [0.0]
        pairs = [(clipped_low, clipped_high) for clipped_low in lows for clipped_high in highs]
    levels = levels or (SYMMETRIC_LEVELS if symmetric else LEVELS)
    errors = [_squared_error(values, weights, pair, levels) for pair in pairs]
    return pairs[int(np.argmin(errors))]


def _divergence(counts: Counts, bins: int) -> float:
    """Return KL(P || Q) of the first `bins` bins: P with the tail added to its last bin, Q in 128 levels."""
    kept = counts[:bins].copy()
    reference = kept.copy()
    reference[-1] += counts[bins:].sum()
    level = np.arange(bins) * KL_LEVELS // bins
    sums = np.bincount(level, weights=kept, minlength=KL_LEVELS)
    occupied = np.bincount(level, weights=kept > 0, minlength=KL_LEVELS)
    means = np.divide(sums, occupied, out=np.zeros(KL_LEVELS), where=occupied > 0)
    spread = np.where(kept > 0, means[level], 0.0)
    used = reference > 0
    if not used.any() or spread.sum() == 0:
        return float("inf")
    p = reference[used] / reference.sum()
    q = np.maximum(spread[used] / spread.sum(), 1e-12)
    return float(np.sum(p * np.log(p / q)))


def _squared_error(values: NDArray[np.float64], weights: Counts, ends: tuple[float, float], levels: int) -> float:
    low, high = ends
    scale = (high - low) / (levels - 1)
    zero_point = np.round(-low / scale)
    quantized = np.clip(np.round(values / scale) + zero_point, 0, levels - 1)
    return float(np.sum(weights * ((quantized - zero_point) * scale - values) ** 2))
