"""The ways in which a network's layers can be computed on a target: what a tuner measures, the best of each taken."""

from __future__ import annotations

from collections.abc import Mapping

from edgecompress.compile.graph import to_program
from edgecompress.compile.kernels import tuning
from edgecompress.core.target import Target
from edgecompress.core.values import Model, Optimize

Taken = tuple[Mapping[str, str], ...]
"""For every layer the signatures of its choices, and the label of the way that each took."""


def find(model: Model, target: Target, optimize: Optimize = "balanced") -> tuple[Taken, ...]:
    """List what the layers take, first by the estimates, then with other tiles, then with other algorithms.

    Raises ModelError for what cannot be compiled.
    """
    by_estimate = _taken(model, target, optimize, 0, 0)
    found = [by_estimate]
    for rank in range(1, tuning.MOST_WAYS):
        found.append(_taken(model, target, optimize, rank, 0))
    for algorithm in range(1, tuning.MOST_ALGORITHMS):
        found.append(_taken(model, target, optimize, 0, algorithm))
    return tuple(taken for number, taken in enumerate(found) if taken not in found[:number])


def _taken(model: Model, target: Target, optimize: Optimize, rank: int, algorithm: int) -> Taken:
    with tuning.using(tuning.of(target, rank=rank, algorithm=algorithm)) as asked:
        program = to_program(model, target, optimize)
    return tuple(asked.taken.get(call.kernel, {}) for call in program.calls)


def together(taken: Taken) -> dict[str, str]:
    """The choices of all layers."""
    return {signature: label for layer in taken for signature, label in layer.items()}
