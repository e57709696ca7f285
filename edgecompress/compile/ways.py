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
    """List what the layers take at every rank, the first by the estimates; a rank that changes nothing ends the list.

    Raises ModelError for what cannot be compiled.
    """
    found: list[Taken] = []
    for rank in range(tuning.MOST_WAYS):
        with tuning.using(tuning.of(target, rank=rank)) as asked:
            program = to_program(model, target, optimize)
        taken = tuple({**asked.taken.get(call.name, {}), **asked.taken.get(call.kernel, {})} for call in program.calls)
        if found and taken == found[-1]:
            break
        found.append(taken)
    return tuple(found)


def together(taken: Taken) -> dict[str, str]:
    """The choices of all layers."""
    return {signature: label for layer in taken for signature, label in layer.items()}
