"""Learning rates over a training, as the factor of the largest one."""

from __future__ import annotations

import math

DROPS = (0.5, 0.75)
"""`steps`: where the rate falls to a tenth, twice (He et al. 2016, section 4.2, CIFAR-10)."""
RISE = 0.3
FIRST, LAST = 1 / 25, 1e-5
"""`one_cycle`: the share that rises, and the rate at both ends; the defaults of torch's OneCycleLR."""


def factor(schedule: str, done: int, total: int) -> float:
    """Return the factor for the step that follows `done` of `total` steps.

    `cosine`: half a cosine down to 0 (Loshchilov and Hutter 2017, eq. 5). `one_cycle`: half a cosine up, another down
    (Smith and Topin 2018). `steps`: a tenth from each of DROPS on. `constant`: 1.
    """
    progress = done / total
    if schedule == "steps":
        return float(0.1 ** sum(progress >= drop for drop in DROPS))
    if schedule == "cosine":
        return _between(1.0, 0.0, progress)
    if schedule == "one_cycle":
        if progress < RISE:
            return _between(FIRST, 1.0, progress / RISE)
        return _between(1.0, LAST, (progress - RISE) / (1 - RISE))
    return 1.0


def _between(first: float, last: float, progress: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2
