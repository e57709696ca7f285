"""What a threshold means: how many samples leave at each exit, how many are told right, and at which mean cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.core.errors import ConfigError
from edgecompress.core.values import Array, Finding, Series

STEPS = 256
"""An int8 probability is a number of 256ths. Thresholds lie half a step below them: there a rounded probability reaches
the threshold exactly when the real one does."""
THRESHOLDS = tuple((step - 0.5) / STEPS for step in range(1, STEPS))


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Samples at all exits, the network's own end last: the class that each tells, how sure it is, and what is right.

    Arrays are (exits + 1, samples); `costs` are the multiply-accumulates spent by the time each exit has decided.
    """

    told: NDArray[np.int64]
    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    costs: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many samples there are."""
        return len(self.told[-1])

    def leaves_at(self, threshold: float) -> NDArray[np.int64]:
        """The number of the exit at which each sample leaves; in single precision, as the graph compares."""
        sure = self.confidence[:-1].astype(np.float32) >= np.float32(threshold)
        return np.where(sure.any(axis=0), sure.argmax(axis=0), len(sure))

    def at(self, threshold: float) -> tuple[float, float]:
        """The share that is told right, and the mean cost."""
        left = self.leaves_at(threshold)
        return float(self.right[left, np.arange(self.count)].mean()), float(np.array(self.costs)[left].mean())

    def shares(self, threshold: float) -> tuple[float, ...]:
        """The share of the samples that leaves at each exit and, last, at the end."""
        return tuple((np.bincount(self.leaves_at(threshold), minlength=len(self.told)) / self.count).tolist())


def judge(outputs: Sequence[Array], right: NDArray[np.int64], costs: Sequence[int]) -> Judged:
    """Judge the network's own output, first of `outputs` (samples, 1, classes), and its exits' logits."""
    whole, *exits = (output.reshape(len(output), -1).astype(np.float64) for output in outputs)
    ordered = [*exits, whole]
    told = np.stack([each.argmax(axis=1) for each in ordered])
    powers = [np.exp(each - each.max(axis=1, keepdims=True)) for each in ordered]
    confidence = np.stack([each.max(axis=1) / each.sum(axis=1) for each in powers])
    return Judged(told=told, confidence=confidence, right=told == right, costs=tuple(costs))


def choose(judged: Judged, wanted: float, where: str) -> float:
    """Return the lowest threshold from which on no threshold tells less than the share `wanted` right.

    Raises ConfigError, beginning with `where`, when the highest one tells too little.
    """
    chosen = None
    for threshold in reversed(THRESHOLDS):
        found, _ = judged.at(threshold)
        if found < wanted:
            break
        chosen = threshold
    if chosen is None:
        raise ConfigError(
            f"{where}: no threshold keeps {wanted:.2%} of {judged.count} held-out samples right; "
            f"{THRESHOLDS[-1]:.4f} keeps {judged.at(THRESHOLDS[-1])[0]:.2%}",
            hint="raise max_loss, train longer, or let the exits stand further back",
        )
    return chosen


def findings(judged: Judged, threshold: float, what: str) -> tuple[Finding, Finding]:
    """Draw the curve of all thresholds, and where the samples leave at the chosen one; `what` are the samples."""
    points = dict.fromkeys((cost, 100 * right) for right, cost in map(judged.at, THRESHOLDS))
    curve = sorted(points)
    right, cost = judged.at(threshold)
    end = 100 * float(judged.right[-1].mean())
    costs, names = (cost, judged.costs[-1]), [*(f"exit {i}" for i in range(1, len(judged.told))), "end"]
    shares = judged.shares(threshold)
    return (
        Finding(
            title="Accuracy against mean cost of early exits",
            kind="lines",
            x_label="multiply-accumulates, mean",
            y_label="right, %",
            series=(
                Series(name="thresholds", x=tuple(x for x, _ in curve), y=tuple(y for _, y in curve)),
                Series(name=f"{threshold:.4g}, and no exit", x=costs, y=(100 * right, end)),
            ),
            note=f"On {what}: at the threshold {threshold:.4g} {right:.2%} are right at {cost:,.0f} "
            f"multiply-accumulates, without leaving {end / 100:.2%} at {judged.costs[-1]:,}.",
        ),
        Finding(
            title="Where samples leave",
            kind="bars",
            x_label="exit",
            y_label="samples, %",
            series=(Series(name=what, x=tuple(names), y=tuple(100 * share for share in shares)),),
            note=f"At the threshold {threshold:.4g}. Multiply-accumulates spent by then: "
            f"{', '.join(f'{name} {spent:,}' for name, spent in zip(names, judged.costs, strict=True))}.",
        ),
    )
