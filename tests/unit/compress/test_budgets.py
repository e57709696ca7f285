"""Bits of layers under budgets: met, spent where it costs least, and refused when nothing is left to save."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompress.compress import _budgets, _width_counts
from edgecompress.compress._budgets import BudgetMissedError, Choice
from edgecompress.core.counting import InstructionCounts, LayerInstructions
from edgecompress.core.values import Model, no_progress

NETWORK = Model(name="net", graph=None, inputs=(), outputs=())  # type: ignore[arg-type]


def drawn(seed: int) -> dict[str, dict[int, Choice]]:
    """Layers of random sizes and errors; 2 bits save instructions in some, 4 bits cost a few."""
    draw = np.random.default_rng(seed)
    found = {}
    for number in range(8):
        weights, work, error = draw.integers(50, 5000), draw.integers(1000, 9000), draw.random() * 1e-3
        takes = {8: (weights, work), 4: (weights / 2, work * 1.2), 2: (weights / 4, work * draw.choice([0.6, 1.1]))}
        found[f"layer {number}"] = {
            bits: Choice(
                error=0.0 if bits == 8 else error * (40 if bits == 2 else 1),
                takes={"size": float(size), "instructions": float(count)},
            )
            for bits, (size, count) in takes.items()
        }
    return found


def whole(choices: dict[str, dict[int, Choice]], budget: str) -> float:
    return _budgets.taken(choices, dict.fromkeys(choices, 8), budget)


@pytest.mark.parametrize("seed", range(10))
def test_every_budget_is_met(seed: int) -> None:
    choices = drawn(seed)
    limits = {"instructions": 0.97 * whole(choices, "instructions"), "size": 0.7 * whole(choices, "size")}

    bits = _budgets.choose(choices, limits)

    assert all(_budgets.taken(choices, bits, name) <= limit for name, limit in limits.items())
    assert set(bits.values()) > {8}


def test_the_layer_that_is_missed_the_least_goes_first_and_fixed_ones_stay() -> None:
    choices = {
        name: {8: Choice(error=0, takes={"size": 100}), 4: Choice(error=error, takes={"size": 50})}
        for name, error in (("calm", 0.1), ("touchy", 0.9))
    }

    assert _budgets.choose(choices, {"size": 160}) == {"calm": 4, "touchy": 8}
    assert _budgets.choose(choices, {"size": 160}, ["calm"]) == {"calm": 8, "touchy": 4}
    with pytest.raises(BudgetMissedError, match="size cannot be met: 100 is the least"):
        _budgets.choose(choices, {"size": 90})


def counts(*figures: float) -> InstructionCounts:
    """A convolution, a call of two layers, and a table."""
    nodes = (("a", "Relu_1"), ("b", "c"), ("Softmax_1",))
    layers = tuple(
        LayerInstructions(nodes=each, instructions=taken) for each, taken in zip(nodes, figures, strict=True)
    )
    return InstructionCounts(target="board", tick=10, layers=layers)


def test_a_call_of_several_layers_counts_in_parts_and_what_a_tick_hides_is_no_saving() -> None:
    by_bits = {8: counts(1000, 800, 50), 4: counts(985, 1000, 50)}
    waiting = iter(by_bits.values())

    found = _width_counts.count(dict.fromkeys(by_bits, NETWORK), "abc", lambda _: next(waiting), no_progress)

    assert found.by_layer == {"a": {8: 1000, 4: 1000}, "b": {8: 400, 4: 500}, "c": {8: 400, 4: 500}}
    assert (found.total, found.elsewhere) == (1850, 50)
    assert found.saving() == ()
    refused = found.missed(1800, 0.9, (4,), where="r.toml: step 1")
    assert str(refused) == (
        "r.toml: step 1: instructions = 0.9 cannot be met on board: 1 is the least with bits = [4], for no layer takes "
        "fewer instructions with fewer bits"
    )
    assert refused.hint == (
        "weights of 2 bits are mostly zeros, which some kernels skip; fewer bits save flash: set size instead"
    )


def test_a_width_that_saves_instructions_is_said_to() -> None:
    by_bits = {8: counts(1000, 800, 50), 2: counts(700, 900, 50)}
    waiting = iter(by_bits.values())

    found = _width_counts.count(dict.fromkeys(by_bits, NETWORK), "abc", lambda _: next(waiting), no_progress)

    assert found.saving() == (2,)
    assert found.missed(1500, 0.5, (2,), where="w").hint == "allow fewer bits, or name fewer layers in `keep`"
    drawn = _width_counts.finding(found, {"a": 2, "b": 8, "c": 8}, 1550)
    assert drawn.note == "Counted on board: 1,550 with these widths, 1,850 with 8 bits everywhere."
    assert [series.y for series in drawn.series] == [(700, 450, 450), (1000, 400, 400)]
