"""Register tiles of pixels x output channels on x86-64: their choice by cost, and the sums of products.

A word of the image is repeated in a register and multiplied with a register of weights, one of each output channel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from edgecompress.compile.kernels import tuning
from edgecompress.compile.kernels.vector_core import loop, offset
from edgecompress.compile.kernels.x86_core import Core

_MOST_PIXELS = 16
_MOST_VECTORS = 8
_LATENCY = 5.0
"""Cycles until a sum can be added to again; two products begin in a cycle."""
_TILE_COST = 12.0
_END_COST = 6.0
"""Cycles that bring a register of sums to int8."""


@dataclass(frozen=True, kw_only=True)
class Depth:
    """What one result sums up: for each tap, `words` words side by side. `taps` are (count, elements apart)."""

    taps: tuple[tuple[int, int], ...]
    words: int

    @property
    def steps(self) -> int:
        """Words of one result."""
        return math.prod(count for count, _ in self.taps) * self.words


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A register tile: neighbouring pixels, and registers of output channels."""

    pixels: int
    vectors: int

    @property
    def sums(self) -> list[list[str]]:
        """The C variables, by pixel and vector."""
        return [[f"sum{p}_{v}" for v in range(self.vectors)] for p in range(self.pixels)]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Neighbouring parts of one size: `count` of `size` from `first`."""

    count: int
    size: int
    first: int


def cut_evenly(whole: int, most: int) -> list[Cut]:
    """Cut into as few parts as possible, which differ in size by at most one."""
    parts = -(-whole // most)
    size, larger = divmod(whole, parts)
    cuts = [Cut(count=larger, size=size + 1, first=0), Cut(count=parts - larger, size=size, first=larger * (size + 1))]
    return [cut for cut in cuts if cut.count]


def choose_tile(core: Core, pixels: int, channels: int, depth: Depth) -> Tile:
    """Choose the tile that takes the fewest cycles for a row of pixels and all channels."""
    vectors = -(-channels // core.lanes)
    tiles = sorted(
        _tiles(core, pixels, vectors),
        key=lambda tile: (_row_cost(core, tile, pixels, vectors, depth), -tile.vectors),
    )
    signature = f"x86 {core.method} {core.lanes}: {pixels} pixels, {channels} channels, {depth.steps} deep"
    return tuning.current().pick(signature, ((f"{tile.pixels}x{tile.vectors}", tile) for tile in tiles))


def _tiles(core: Core, pixels: int, vectors: int) -> Iterator[Tile]:
    spare = 1 if core.method == "fours" else 2
    for p in range(1, min(pixels, _MOST_PIXELS) + 1):
        for v in range(1, min(vectors, _MOST_VECTORS) + 1):
            if p * v + v + spare <= core.registers:
                yield Tile(pixels=p, vectors=v)


def _row_cost(core: Core, tile: Tile, pixels: int, vectors: int, depth: Depth) -> float:
    return sum(
        columns.count * blocks.count * _tile_cost(core, columns.size, blocks.size, depth)
        for columns in cut_evenly(pixels, tile.pixels)
        for blocks in cut_evenly(vectors, tile.vectors)
    )


def _tile_cost(core: Core, pixels: int, vectors: int, depth: Depth) -> float:
    """Cycles: two products or loads in one, but three of the shorter registers' instructions."""
    sums = pixels * vectors
    if core.method == "fours":
        step = max(sums / 2, (pixels + vectors) / 2, _LATENCY)
    else:
        step = max((2 * sums + vectors) / 3, sums / 2, (pixels + vectors) / 2, _LATENCY)
    taps = math.prod(count for count, _ in depth.taps)
    return depth.steps * (step + 0.3) + 3 * taps + _TILE_COST + _END_COST * sums


def sums_text(core: Core, tile: Tile, depth: Depth, pixel_step: int) -> list[str]:
    """Add what a tile sums up from `from` (the image) and `weights` to `sum{pixel}_{vector}`."""
    lanes, size = core.lanes, core.lanes * core.unit
    body = []
    for v in range(tile.vectors):
        body.append(f"const {core.words} w{v} = {core.load_weights(offset('b', v * size))};")
    for p in range(tile.pixels):
        body.append(f"const {core.words} x{p} = repeat_word{lanes}({offset('a', p * pixel_step)});")
        body += [core.dot(f"sum{p}_{v}", f"x{p}", f"w{v}") for v in range(tile.vectors)]
    body = loop("k", depth.words, [*body, f"a += {core.unit};", f"b += {tile.vectors * size};"])
    address = "from"
    for number, (count, step) in enumerate(depth.taps):
        if count > 1:
            address += f" + tap{number} * {step}u"
    body = [f"const {core.element} *a = {address};", *body]
    for number, (count, _) in reversed(list(enumerate(depth.taps))):
        body = loop(f"tap{number}", count, body) if count > 1 else body
    return [f"const {core.weight} *b = weights;", *body]


def biases(core: Core, tile: Tile, columns: int) -> list[str]:
    """Begin the sums of a tile with the biases in `table`, where a channel has so many words."""
    lines = []
    for v in range(tile.vectors):
        place = offset("table", v * columns * core.lanes)
        lines.append(f"{core.words} sum0_{v} = read_words{core.lanes}({place});")
    return lines + [f"{core.words} {name} = sum0_{v};" for row in tile.sums[1:] for v, name in enumerate(row)]
