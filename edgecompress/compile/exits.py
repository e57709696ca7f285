"""Early exits: a network that goes on only where it is not sure yet, as plain ONNX says it and as a device runs it.

In ONNX an exit is `Where(condition, taken, other)` with a condition of one element (Teerapittayanon et al. 2016,
"BranchyNet"; its confidence is compress/early_exit.py's affair). ONNX Runtime computes both operands. Here the layers
that only `other` needs come last, behind a call that copies `taken` to the result where the condition holds: the
generated model_run_layer then leaves out what stands between it and the call that copies `other` (emit_c.py). The plan
of the arena sees a result that lives from the first of the two calls on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Operands:
    """The values of an exit: `condition` is one byte."""

    condition: str
    taken: str
    other: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something that is computed: the values that it reads, the one that it makes, and the exit that it is, if any."""

    reads: tuple[str, ...]
    makes: str
    exit: Operands | None = None


Part = Literal["whole", "exit", "join"]
"""A step is run whole, or it is an exit: then its two halves stand apart."""


def exclusive(steps: Sequence[Step], index: int, kept: Collection[str]) -> frozenset[int]:
    """Find the steps that nothing needs but the `other` of the exit `index`; `kept` values leave the network."""
    found = steps[index].exit
    if found is None or found.other in (found.condition, found.taken):
        return frozenset()
    readers: dict[str, set[int]] = {}
    for number, step in enumerate(steps):
        for name in step.reads:
            readers.setdefault(name, set()).add(number)
    only: set[int] = set()
    for number in reversed(range(index)):
        name = steps[number].makes
        by = readers.get(name, set())
        if name in kept or not by or (index in by and name != found.other):
            continue
        if by <= only | {index}:
            only.add(number)
    return frozenset(only)


def order(steps: Sequence[Step], kept: Collection[str]) -> list[tuple[int, Part]]:
    """Order steps, given in an order that works, so that what an exit can save lies between its two halves."""
    return _order(steps, frozenset(kept), list(range(len(steps))))


def _order(steps: Sequence[Step], kept: frozenset[str], numbers: list[int]) -> list[tuple[int, Part]]:
    last = next((number for number in reversed(numbers) if steps[number].exit is not None), None)
    if last is None or (found := steps[last].exit) is None:
        return [(number, "whole") for number in numbers]
    saved = exclusive(steps, last, kept) & set(numbers)
    rest = [number for number in numbers if number not in saved and number != last]
    wanted = {found.condition, found.taken, *(name for number in saved for name in steps[number].reads)}
    if not saved:
        wanted.add(found.other)
    before = _makers(steps, rest, wanted)
    return [
        *_order(steps, kept, [number for number in rest if number in before]),
        (last, "exit"),
        *_order(steps, kept, [number for number in numbers if number in saved]),
        (last, "join"),
        *_order(steps, kept, [number for number in rest if number not in before]),
    ]


def _makers(steps: Sequence[Step], numbers: Sequence[int], wanted: set[str]) -> set[int]:
    """Find what makes the wanted values, and whatever that needs."""
    needed = set(wanted)
    makers: set[int] = set()
    for number in reversed(numbers):
        if steps[number].makes in needed:
            makers.add(number)
            needed.update(steps[number].reads)
    return makers
