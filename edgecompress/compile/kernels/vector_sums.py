"""Sums of products in vector registers: a tile of pixels x output channels, kept in registers over the whole depth.

A loaded vector of weights serves every pixel of the tile, a loaded input every channel. Both operands lie in memory in
the order in which they are read. The order of a sum is that of its depth whatever the tile, so that every tile gives
the same bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from edgecompress.compile.kernels import tuning
from edgecompress.compile.kernels.vector_core import Finish, VectorCore, indented, loop, offset

LANES = 4
"""Numbers of an input vector that a core with `by_lane` multiplies one by one."""

_MOST_PIXELS = 12
_MOST_VECTORS = 8
_MOST_SUMS = 16
"""Of 32 registers by lane. With more sums gcc 12 spills some in some kernels, though everything would find room."""

_MOST_WIDE_PIXELS = 14
_MOST_WIDE_SUMS = 28
_MOST_ROWS = 4
"""Of 32 registers where a factor is splat from memory: nothing but a step's weights is at hand beside the sums. With
more pixels a step loads as often as it multiplies."""

_WIDE_LATENCY = 8
"""Multiply-adds under way at once: two a cycle, each of four cycles."""

_STREAMED_VECTOR = 1.4
"""What a vector of weights costs that comes from the level 2 cache, beside two multiply-adds a cycle (AVX-512)."""

_SPARE_REGISTERS = {16: 1, 32: 3}
_LOOP_COST = 4
_TILE_COST = 12
_UNROLLED_PRODUCTS = 200
"""Steps are unrolled twice while they make no more instructions than this."""


@dataclass(frozen=True, kw_only=True)
class Depth:
    """What is summed up: for each tap, `length` numbers that lie side by side. `taps` are (count, floats apart)."""

    taps: tuple[tuple[int, int], ...]
    length: int

    @property
    def products(self) -> int:
        """Multiply-accumulates of one result."""
        return math.prod(count for count, _ in self.taps) * self.length


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A register tile: neighbouring pixels of one or more rows, and vectors of output channels."""

    pixels: int
    vectors: int
    rows: int = 1

    @property
    def sums(self) -> int:
        """Registers that hold sums."""
        return self.rows * self.pixels * self.vectors


def choose_tile(core: VectorCore, pixels: int, channels: int, depth: Depth, rows: int = 1) -> Tile:
    """Choose the tile that takes the fewest instructions for all channels of rows of pixels.

    A tile of several rows has whole ones.
    """
    vectors = min(-(-channels // core.width), _MOST_VECTORS)
    tiles = [
        Tile(rows=r, pixels=p, vectors=v)
        for p in range(1, min(pixels, _MOST_WIDE_PIXELS if core.is_wide else _MOST_PIXELS) + 1)
        for r in range(1, (min(rows, _MOST_ROWS) if core.is_wide and p == pixels else 1) + 1)
        for v in range(1, vectors + 1)
        if _fits(core, Tile(rows=r, pixels=p, vectors=v))
    ]

    def cost(tile: Tile) -> float:
        bands, rest = divmod(rows, tile.rows)
        whole = row_cost(core, tile, pixels, channels, depth)
        last = row_cost(core, replace(tile, rows=rest), pixels, channels, depth) if rest else 0.0
        return bands * whole + last

    tiles.sort(key=lambda tile: (cost(tile), -tile.pixels))
    signature = f"{core.vec}: {rows} rows, {pixels} pixels, {channels} channels, {depth.products} deep"
    labelled = ((f"{tile.rows}x{tile.pixels}x{tile.vectors}", tile) for tile in tiles)
    return tuning.current().pick(signature, labelled)


def _fits(core: VectorCore, tile: Tile) -> bool:
    """True when the sums, and what must be at hand beside them, find room in the registers."""
    if core.is_wide:
        pixels = tile.rows * tile.pixels
        return (
            pixels <= _MOST_WIDE_PIXELS and tile.sums <= _MOST_WIDE_SUMS and tile.sums + tile.vectors < core.registers
        )
    beside = tile.pixels + min(tile.vectors, 2) if core.by_lane else tile.vectors + 1
    return tile.sums <= _MOST_SUMS and tile.sums + beside <= core.registers - _SPARE_REGISTERS[core.registers]


def row_cost(core: VectorCore, tile: Tile, pixels: int, channels: int, depth: Depth) -> float:
    """The instructions for a row of pixels and all channels, or for as many rows as the tile has."""
    vectors = -(-channels // core.width)
    blocks, tail = divmod(vectors, tile.vectors)
    rows, rest = divmod(pixels, tile.pixels)
    return sum(
        times * count * _tile_cost(core, tile.rows * p, v, depth)
        for times, p in ((rows, tile.pixels), (1, rest))
        for count, v in ((blocks, tile.vectors), (1, tail))
        if times and count and p and v
    )


def _tile_cost(core: VectorCore, pixels: int, vectors: int, depth: Depth) -> float:
    weights = vectors if vectors == 1 else vectors * (0.5 if core.by_lane and vectors % 2 == 0 else 0.75)
    single = pixels * vectors + pixels + weights
    segments = math.prod(count for count, _ in depth.taps)
    if core.is_wide:
        streamed = depth.products * vectors * core.width * 4 > core.l1_bytes // 2
        step = max(pixels * vectors, pixels + vectors, _WIDE_LATENCY) + (
            _STREAMED_VECTOR * vectors if streamed else 0.5
        )
        return depth.products * step + _LOOP_COST * segments + _TILE_COST + 3 * pixels * vectors
    if not core.by_lane:
        return segments * depth.length * (single + _LOOP_COST / 4) + _TILE_COST + 3 * pixels * vectors
    steps, rest = divmod(depth.length, LANES)
    step = LANES * (pixels * vectors + weights) + pixels + _LOOP_COST
    return segments * (steps * step + rest * single + _LOOP_COST) + _TILE_COST + 3 * pixels * vectors


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Floats from a pixel's inputs to the next one's, from one step's weights to the next, and between results.

    `row` and `result_row` are from a row of a tile to the next one's. In each turn of the innermost loop `ahead` floats
    of the weights that come next are brought nearer, from the pointer `ahead` on.
    """

    pixel: int
    weights: int
    result: int
    row: int = 0
    result_row: int = 0
    ahead: int = 0

    def inputs_at(self, tile: Tile) -> list[int]:
        """Where the inputs of each pixel of a tile lie."""
        return [row * self.row + pixel * self.pixel for row in range(tile.rows) for pixel in range(tile.pixels)]

    def results_at(self, tile: Tile) -> list[int]:
        """Where the results of each pixel of a tile lie."""
        rows, pixels = range(tile.rows), range(tile.pixels)
        return [row * self.result_row + pixel * self.result for row in rows for pixel in pixels]


def tile_text(
    core: VectorCore, tile: Tile, depth: Depth, steps: Steps, finish: Finish, *, last: int, has_bias: bool
) -> list[str]:
    """Compute one tile from `from` (inputs), `weights` and `bias` to `to`, with `other` to add.

    Of the last vector only `last` numbers are results, or all where that is 0.
    """
    lines = _start(core, tile, has_bias=has_bias)
    body = _segment(core, tile, depth.length, steps)
    address = "from"
    for number, (count, step) in enumerate(depth.taps):
        if count > 1:
            address += f" + tap{number} * {step}u"
    body = [f"const float *a = {address};", *body]
    for number, (count, _) in reversed(list(enumerate(depth.taps))):
        body = loop(f"tap{number}", count, body) if count > 1 else body
    lines += ["const float *b = weights;", *body]
    return lines + _end(core, tile, steps.results_at(tile), finish, last)


def _sums(tile: Tile) -> list[tuple[int, int]]:
    return [(p, v) for p in range(tile.rows * tile.pixels) for v in range(tile.vectors)]


def _start(core: VectorCore, tile: Tile, *, has_bias: bool) -> list[str]:
    lines = []
    for p, v in _sums(tile):
        first = core.call("load", offset("bias", v * core.width)) if has_bias else f"({core.vec}){{0}}"
        lines.append(f"{core.vec} sum{p}_{v} = {first if p == 0 else f'sum0_{v}'};")
    return lines


def _segment(core: VectorCore, tile: Tile, length: int, steps: Steps) -> list[str]:
    """Sum up `length` numbers side by side."""
    inputs, weights_step = steps.inputs_at(tile), steps.weights
    if not core.by_lane:
        times = unrolled(tile, length)
        body = [line for k in range(times) for line in _single(core, tile, inputs, weights_step, k)]
        body += [f"a += {times};", f"b += {times * weights_step};"]
        body += ["__builtin_prefetch(ahead, 0, 2);", f"ahead += {steps.ahead};"] if steps.ahead else []
        return loop("k", length // times, body)
    rounds, rest = divmod(length, LANES)
    products = LANES * tile.sums
    times = 2 if rounds % 2 == 0 and 2 * products <= _UNROLLED_PRODUCTS else 1
    body = [line for n in range(times) for line in _by_lane(core, tile, inputs, weights_step, n)]
    body += [f"a += {times * LANES};", f"b += {times * LANES * weights_step};"]
    lines = loop("k", rounds // times, body)
    for k in range(rest):
        lines += _single(core, tile, inputs, weights_step, k)
    return [*lines, f"b += {rest * weights_step};"] if rest else lines


def unrolled(tile: Tile, length: int) -> int:
    """Steps of one turn of the innermost loop, where they are not by lane."""
    return 4 if tile.sums <= 8 and length % 4 == 0 else 2 if length % 2 == 0 else 1


def _by_lane(core: VectorCore, tile: Tile, inputs: list[int], weights_step: int, number: int) -> list[str]:
    """Four steps: each pixel's inputs are one vector, and its numbers are factors one after the other."""
    lines = [
        f"const {core.vec} x{p} = {core.call('load', offset('a', place + number * LANES))};"
        for p, place in enumerate(inputs)
    ]
    for lane in range(LANES):
        k = number * LANES + lane
        for v in range(tile.vectors):
            place = offset("b", k * weights_step + v * core.width)
            lines.append(f"const {core.vec} w{lane}_{v} = {core.call('load', place)};")
        function = "fused_lane"
        lines += [
            f"sum{p}_{v} = {core.call(function, f'sum{p}_{v}', f'w{lane}_{v}', f'x{p}', str(lane))};"
            for v in range(tile.vectors)
            for p in range(len(inputs))
        ]
    return ["{", *indented(lines), "}"]


def _single(core: VectorCore, tile: Tile, inputs: list[int], weights_step: int, k: int) -> list[str]:
    """One step: each pixel's input is one number."""
    lines = [
        f"const {core.vec} w{v} = {core.call('load', offset('b', k * weights_step + v * core.width))};"
        for v in range(tile.vectors)
    ]
    for p, place in enumerate(inputs):
        lines.append(f"const {core.vec} x{p} = {core.call('splat', f'a[{place + k}]')};")
        lines += [core.accumulate(f"sum{p}_{v}", f"w{v}", f"x{p}") for v in range(tile.vectors)]
    return ["{", *indented(lines), "}"]


def _end(core: VectorCore, tile: Tile, results: list[int], finish: Finish, last: int) -> list[str]:
    lines = []
    for p, v in _sums(tile):
        place = results[p] + v * core.width
        some = last if v == tile.vectors - 1 else 0
        other = offset("other", place)
        value = core.call("load_some", other, f"{some}u") if some else core.call("load", other)
        lines += finish.statements(core, f"sum{p}_{v}", value)
        target = offset("to", place)
        stored = f"{core.call('store_some', target, f'sum{p}_{v}', f'{some}u')};"
        lines.append(stored if some else f"{core.call('store', target, f'sum{p}_{v}')};")
    return lines
