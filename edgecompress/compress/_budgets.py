"""The bits of every layer under budgets: from 8 bits everywhere down, each time where what is saved costs least.

The greedy choice of a knapsack. A budget is named, and every choice says what it takes of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

MOST_BITS = 8


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A layer at so many bits: how much of the output's energy the error is, and what it takes of each budget."""

    error: float
    takes: Mapping[str, float]


Choices = Mapping[str, Mapping[int, Choice]]
"""By layer and bits; every layer has 8."""


class BudgetMissedError(Exception):
    """A budget that no choice meets: its name, and the least that can be reached beside the others."""

    def __init__(self, budget: str, least: float) -> None:
        super().__init__(f"{budget} cannot be met: {least:g} is the least")
        self.budget = budget
        self.least = least


def choose(choices: Choices, limits: Mapping[str, float], fixed: Collection[str] = ()) -> dict[str, int]:
    """Return the bits of each layer such that no budget is passed; layers that are `fixed` keep 8 bits.

    One budget after the other is met, and none that is met is passed again. Raises BudgetMissedError.
    """
    bits = dict.fromkeys(choices, MOST_BITS)
    met: dict[str, float] = {}
    # What costs nothing of the first budgets is worth more than what is saved: instructions come before bytes.
    for budget, limit in limits.items():
        while taken(choices, bits, budget) > limit:
            step = _cheapest(choices, bits, budget, met, fixed)
            if step is None:
                raise BudgetMissedError(budget, taken(choices, bits, budget))
            layer, width = step
            bits[layer] = width
        met[budget] = limit
    return bits


def taken(choices: Choices, bits: Mapping[str, int], budget: str) -> float:
    """What all layers take of a budget."""
    return sum(choices[layer][width].takes[budget] for layer, width in bits.items())


def _cheapest(
    choices: Choices, bits: Mapping[str, int], budget: str, met: Mapping[str, float], fixed: Collection[str]
) -> tuple[str, int] | None:
    """The layer and width with the least rise of the error for what it saves, of those that pass no other budget."""
    found = []
    for layer, of_layer in choices.items():
        now = of_layer[bits[layer]]
        for width, other in of_layer.items():
            saved = now.takes[budget] - other.takes[budget]
            if layer in fixed or saved <= 0 or not _leaves(choices, {**bits, layer: width}, met):
                continue
            found.append(((other.error - now.error) / saved, layer, width))
    return min(found)[1:] if found else None


def _leaves(choices: Choices, bits: Mapping[str, int], met: Mapping[str, float]) -> bool:
    return all(taken(choices, bits, budget) <= limit for budget, limit in met.items())
