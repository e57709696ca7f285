"""Plan the arena: give every tensor and workspace an offset, so that what lives at the same time never overlaps.

This is offline dynamic storage allocation, which is NP-hard; greedy best fit over a few orders, each then improved by
moving what sticks out to the front ("squeaky wheel" optimisation, Joslin and Clements 1999), reaches the bound on
every network tried. The bound (the largest sum of live bytes at any layer) is reported beside the plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgecompress.core.bundle import Arena, Placement

if TYPE_CHECKING:
    from edgecompress.compile.program import Program

ALIGNMENT = 16
CACHE_LINE = 64
"""On Linux: a vector of 64 bytes that lies across two lines is loaded as two (Cortex-A72, A76 and x86-64 have 64)."""

IMPROVEMENTS = 60
"""How often an order is improved before it is given up."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """Something that wants room in the arena from layer `first` to layer `last`, both included.

    It takes the place of the item `replaces`, which is no smaller and ends at the layer where this one begins.
    `alignment` is in bytes, the same for all items of a plan.
    """

    name: str
    bytes: int
    first: int
    last: int
    replaces: str | None = None
    alignment: int = ALIGNMENT

    @property
    def room(self) -> int:
        """The bytes that it takes in the arena: its own, rounded up to the alignment."""
        return -(-self.bytes // self.alignment) * self.alignment

    def lives_with(self, other: Item) -> bool:
        """True when there is a layer at which both are live."""
        return self.first <= other.last and other.first <= self.last


def workspace_name(layer: int, number: int) -> str:
    """The name in the arena of a layer's workspace."""
    return f"workspace {layer}.{number}"


def lifetimes(program: Program, workspaces: Mapping[str, Sequence[int]]) -> tuple[Item, ...]:
    """List what the arena must hold; `workspaces` gives the sizes in bytes by kernel.

    Program inputs live from the start: during the whole run, so that it can be repeated, or to their last reader when
    the program keeps no inputs. Outputs live from their layer to the end.
    """
    end = max(len(program.calls) - 1, 0)
    sizes = {spec.name: spec.byte_size for spec in (*program.inputs, *program.outputs)}
    for name, tensor in program.tensors.items():
        sizes[name] = math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
    first = {spec.name: 0 for spec in program.inputs}
    kept = program.inputs if program.keeps_inputs else ()
    last = {spec.name: end for spec in (*kept, *program.outputs)}
    for layer, call in enumerate(program.calls):
        first.setdefault(call.output, layer)
        for name in (*call.reads, call.output):
            if name in sizes:
                last[name] = max(last.get(name, 0), layer)
    spans = {name: (first[name], last.get(name, 0)) for name in first}
    replaced = {
        call.output: call.in_place
        for layer, call in enumerate(program.calls)
        if call.in_place is not None and spans[call.in_place][1] == layer == spans[call.output][0]
    }
    items = [
        Item(
            name=name,
            bytes=sizes[name],
            first=begin,
            last=end,
            replaces=replaced.get(name),
            alignment=program.alignment,
        )
        for name, (begin, end) in spans.items()
    ]
    items += [
        Item(name=workspace_name(layer, number), bytes=size, first=layer, last=layer, alignment=program.alignment)
        for layer, call in enumerate(program.calls)
        for number, size in enumerate(workspaces.get(call.kernel, ()))
    ]
    return tuple(items)


def plan(items: Sequence[Item]) -> Arena:
    """Place all items. The same items in the same order give the same plan."""
    places = _places(items)
    places_of = {name: place.name for name, place in places.items()}
    wholes = list({place.name: place for place in places.values()}.values())
    bound, peak_layer = live_bound(wholes)
    best: dict[str, int] = {}
    best_bytes = -1
    for order in _orders(wholes):
        offsets, size = _improve(order, bound)
        if best_bytes < 0 or size < best_bytes:
            best, best_bytes = offsets, size
        if size == bound:
            break
    placements = tuple(
        Placement(name=item.name, offset=best[places_of[item.name]], bytes=item.bytes, first=item.first, last=item.last)
        for item in items
    )
    return Arena(bytes=max(best_bytes, 0), bound=bound, peak_layer=peak_layer, placements=placements)


def _places(items: Sequence[Item]) -> dict[str, Item]:
    """The place of each item: its own, or one that several take in turn, from the first one's begin to the last's end.

    What replaces another stands behind it in `items`.
    """
    places: dict[str, Item] = {}
    for item in items:
        if item.replaces is None:
            places[item.name] = item
            continue
        place = replace(places[item.replaces], last=item.last)
        members = [name for name, other in places.items() if other.name == place.name]
        places |= dict.fromkeys([*members, item.name], place)
    return places


def live_bound(items: Sequence[Item]) -> tuple[int, int]:
    """Return the largest sum of live bytes (rounded to the alignment) and the first layer at which it occurs."""
    layers = sorted({item.first for item in items})
    sums = {layer: sum(item.room for item in items if item.first <= layer <= item.last) for layer in layers}
    peak_layer = max(layers, key=lambda layer: (sums[layer], -layer), default=0)
    return sums.get(peak_layer, 0), peak_layer


def _orders(items: Sequence[Item]) -> list[list[Item]]:
    """Give the orders in which items are placed: by size, by size and duration, by duration, by time."""
    keys: tuple[Callable[[Item], tuple[int, ...]], ...] = (
        lambda item: (-item.room, item.first),
        lambda item: (-item.room * (item.last - item.first + 1),),
        lambda item: (item.first - item.last, -item.room),
        lambda item: (item.first, -item.room),
        lambda item: (-item.last, -item.room),
    )
    return [sorted(items, key=key) for key in keys]


def _improve(order: list[Item], bound: int) -> tuple[dict[str, int], int]:
    """Place in this order, then move whatever reaches the top to the front, as long as the bound is not met."""
    offsets, size = _place(order)
    best, best_bytes = offsets, size
    for _ in range(IMPROVEMENTS):
        if best_bytes == bound:
            break
        top = [item for item in order if offsets[item.name] + item.room == size]
        order = [*top, *(item for item in order if item not in top)]
        offsets, size = _place(order)
        if size < best_bytes:
            best, best_bytes = offsets, size
    return best, best_bytes


def _place(order: Sequence[Item]) -> tuple[dict[str, int], int]:
    """Place each item into the smallest gap that takes it among those placed before and live with it."""
    offsets: dict[str, int] = {}
    placed: list[Item] = []
    size = 0
    for item in order:
        taken = sorted((offsets[other.name], other.room) for other in placed if other.lives_with(item))
        offsets[item.name] = _best_gap(taken, item.room)
        placed.append(item)
        size = max(size, offsets[item.name] + item.room)
    return offsets, size


def _best_gap(taken: Sequence[tuple[int, int]], room: int) -> int:
    """Return the offset of the smallest gap between the taken (offset, room) spans, or the end of the last one."""
    best: tuple[int, int] | None = None
    end = 0
    for offset, length in taken:
        gap = offset - end
        if gap >= room and (best is None or gap < best[0]):
            best = (gap, end)
        end = max(end, offset + length)
    return best[1] if best is not None else end
