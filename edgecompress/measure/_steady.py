"""What a series of timed samples comes to: where its steady state begins, whether it drifts, its percentiles."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import accumulate

BATCH = 5
LEAST_BATCHES = 10
"""Fewer say nothing of a warm-up."""
NOTICEABLE = 0.01
UNUSUAL = 2.5
"""A batch nearer to the median of the rest than 1 %, or than 2.5 times the width of its middle 80 %, is chance."""
PERCENTILES = (90, 95, 99)


def warm_up(samples: Sequence[float]) -> int:
    """How many of the first samples, at most half of them, come before the steady state.

    MSER-5 (White 1997, "An effective truncation heuristic for bias reduction in simulation output"): leave out the
    beginning that makes the standard error of the rest's mean smallest, in batches of five. A batch counts by its
    median, so that one interrupted sample does not look like a warm-up.
    """
    batches = [statistics.median(samples[i : i + BATCH]) for i in range(0, len(samples) - BATCH + 1, BATCH)]
    if len(batches) < LEAST_BATCHES:
        return 0
    centre = statistics.median(batches)
    backwards = [batch - centre for batch in reversed(batches)]
    sums, squares = list(accumulate(backwards)), list(accumulate(x * x for x in backwards))
    kept = range(len(batches), len(batches) // 2 - 1, -1)
    best = min(kept, key=lambda n: (squares[n - 1] - sums[n - 1] ** 2 / n) / n**2)
    first = len(batches) - best
    return BATCH * _unusual(batches[:first], batches[first:])


def drift(samples: Sequence[float]) -> float:
    """By what share the median of the last quarter lies above that of the first."""
    quarter = max(1, len(samples) // 4)
    first = statistics.median(samples[:quarter])
    return statistics.median(samples[-quarter:]) / first - 1 if first else 0.0


def percentiles(samples: Sequence[float]) -> dict[str, float]:
    """The smallest, the median, percentiles by nearest rank (each one is a sample), and the largest."""
    ordered = sorted(samples)
    ranks = {f"p{p}": ordered[math.ceil(p / 100 * len(ordered)) - 1] for p in PERCENTILES}
    return {"min": ordered[0], "median": statistics.median(ordered), **ranks, "max": ordered[-1]}


def _unusual(beginning: Sequence[float], rest: Sequence[float]) -> int:
    """How many of the beginning's batches to leave out: the most of which half or more are no chance.

    Interruptions here and there are not a beginning: they belong to the series.
    """
    usual = statistics.median(rest)
    spread = statistics.quantiles(rest, n=10, method="inclusive")
    reach = max(NOTICEABLE * abs(usual), UNUSUAL * (spread[-1] - spread[0]))
    strange = [abs(batch - usual) > reach for batch in beginning]
    so_far = accumulate(strange)
    ends = (i for i, (last, count) in enumerate(zip(strange, so_far, strict=True), start=1) if last and 2 * count >= i)
    return max(ends, default=0)
