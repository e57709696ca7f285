"""The sizes of a reshaped tensor, told by those of the tensor before it: batches and channel counts may change.

A graph that was made for one sample reshapes to constants, (1, 64, 5, 5) to (1, 1600). Trained in batches, and with
fewer channels after pruning, it must go to (n, c * 25) instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Shape = tuple[int, ...]
Group = tuple[list[int], list[int]]
"""Neighbouring axes of the old and of the new shape that hold equally much."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """One size of the new shape: the old sizes at `axes` multiplied, divided by `divisor`; without axes, a constant."""

    axes: tuple[int, ...] = ()
    divisor: int = 1
    constant: int = 1

    def of(self, before: Sequence[int]) -> int:
        """Give the size for a tensor of the shape `before`."""
        return math.prod(before[axis] for axis in self.axes) // self.divisor if self.axes else self.constant


def sizes(before: Shape, after: Shape) -> tuple[Size, ...]:
    """Tell the shape `after` by the axes of `before`; both are those of one sample, axis 0 holds the batch.

    Where one group of axes becomes several, one of them takes what the constants leave: the first for the batch, else
    the last that is not 1.
    """
    found: dict[int, Size] = {}
    for old, new in _groups(before, after):
        rest = new[0] if 0 in new else max((axis for axis in new if after[axis] > 1), default=new[-1])
        constants = math.prod(after[axis] for axis in new if axis != rest)
        for axis in new:
            found[axis] = Size(constant=after[axis])
        found[rest] = Size(axes=tuple(old), divisor=constants)
    return tuple(found[axis] for axis in range(len(after)))


def _groups(before: Shape, after: Shape) -> list[Group]:
    """Pair the axes, from the last on: the fewest neighbours on both sides that hold equally much."""
    groups: list[Group] = []
    old, new = len(before), len(after)
    while old and new:
        old, new = old - 1, new - 1
        left, right = before[old], after[new]
        ends = old + 1, new + 1
        while left != right:
            if left < right:
                old -= 1
                left *= before[old]
            else:
                new -= 1
                right *= after[new]
        groups.append((list(range(old, ends[0])), list(range(new, ends[1]))))
    if groups:
        groups[-1][0][:0] = range(old)
        groups[-1][1][:0] = range(new)
    return groups
