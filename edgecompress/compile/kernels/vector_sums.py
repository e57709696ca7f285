"""Sums of products in vector registers: a tile of pixels x output channels, kept in registers over the whole depth.

A loaded vector of weights serves every pixel of the tile, a loaded input every channel. Both operands lie in memory in
the order in which they are read. The order of a sum is that of its depth whatever the tile, so that every tile gives
the same bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgecompress.compile.kernels.vector_core import Finish, VectorCore, indented, loop, offset

LANES = 4
"""Numbers of an input vector that a core with `by_lane` multiplies one by one."""

_MOST_PIXELS = 12
_MOST_VECTORS = 8
_MOST_SUMS = 16
"""Of 32 registers. With more sums gcc 12 spills some in some kernels, though everything would find room."""

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
    """A register tile: neighbouring pixels, and vectors of output channels."""

    pixels: int
    vectors: int


def choose_tile(core: VectorCore, pixels: int, channels: int, depth: Depth) -> Tile:
    """Choose the tile that takes the fewest instructions for a row of pixels and all channels."""
    tiles = [
        Tile(pixels=p, vectors=v)
        for p in range(1, min(pixels, _MOST_PIXELS) + 1)
        for v in range(1, min(-(-channels // core.width), _MOST_VECTORS) + 1)
        if p * v <= _MOST_SUMS and _registers(core, p, v) <= core.registers - _SPARE_REGISTERS[core.registers]
    ]
    return min(tiles, key=lambda tile: (row_cost(core, tile, pixels, channels, depth), -tile.pixels))


def _registers(core: VectorCore, pixels: int, vectors: int) -> int:
    """Sums, and what must be at hand beside them."""
    return pixels * vectors + (pixels + min(vectors, 2) if core.by_lane else vectors + 1)


def row_cost(core: VectorCore, tile: Tile, pixels: int, channels: int, depth: Depth) -> float:
    """Predict the instructions for a row of pixels and all channels."""
    vectors = -(-channels // core.width)
    blocks, tail = divmod(vectors, tile.vectors)
    rows, rest = divmod(pixels, tile.pixels)
    return sum(
        times * count * _tile_cost(core, p, v, depth)
        for times, p in ((rows, tile.pixels), (1, rest))
        for count, v in ((blocks, tile.vectors), (1, tail))
        if times and count and p and v
    )


def _tile_cost(core: VectorCore, pixels: int, vectors: int, depth: Depth) -> float:
    weights = vectors if vectors == 1 else vectors * (0.5 if core.by_lane and vectors % 2 == 0 else 0.75)
    single = pixels * vectors + pixels + weights
    segments = math.prod(count for count, _ in depth.taps)
    if not core.by_lane:
        return segments * depth.length * (single + _LOOP_COST / 4) + _TILE_COST + 3 * pixels * vectors
    steps, rest = divmod(depth.length, LANES)
    step = LANES * (pixels * vectors + weights) + pixels + _LOOP_COST
    return segments * (steps * step + rest * single + _LOOP_COST) + _TILE_COST + 3 * pixels * vectors


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Floats from a pixel's inputs to the next one's, from one step's weights to the next, and between results."""

    pixel: int
    weights: int
    result: int


def tile_text(
    core: VectorCore, tile: Tile, depth: Depth, steps: Steps, finish: Finish, *, last: int, has_bias: bool
) -> list[str]:
    """Compute one tile from `from` (inputs), `weights` and `bias` to `to`, with `other` to add.

    Of the last vector only `last` numbers are results, or all where that is 0.
    """
    lines = _start(core, tile, has_bias=has_bias)
    body = _segment(core, tile, depth.length, steps.pixel, steps.weights)
    address = "from"
    for number, (count, step) in enumerate(depth.taps):
        if count > 1:
            address += f" + tap{number} * {step}u"
    body = [f"const float *a = {address};", *body]
    for number, (count, _) in reversed(list(enumerate(depth.taps))):
        body = loop(f"tap{number}", count, body) if count > 1 else body
    lines += ["const float *b = weights;", *body]
    return lines + _end(core, tile, steps.result, finish, last)


def _sums(tile: Tile) -> list[tuple[int, int]]:
    return [(p, v) for p in range(tile.pixels) for v in range(tile.vectors)]


def _start(core: VectorCore, tile: Tile, *, has_bias: bool) -> list[str]:
    lines = []
    for p, v in _sums(tile):
        first = core.call("load", offset("bias", v * core.width)) if has_bias else f"({core.vec}){{0}}"
        lines.append(f"{core.vec} sum{p}_{v} = {first if p == 0 else f'sum0_{v}'};")
    return lines


def _segment(core: VectorCore, tile: Tile, length: int, pixel_step: int, weights_step: int) -> list[str]:
    """Sum up `length` numbers side by side."""
    if not core.by_lane:
        times = 4 if tile.pixels * tile.vectors <= 8 and length % 4 == 0 else 2 if length % 2 == 0 else 1
        body = [line for k in range(times) for line in _single(core, tile, pixel_step, weights_step, k)]
        body += [f"a += {times};", f"b += {times * weights_step};"]
        return loop("k", length // times, body)
    steps, rest = divmod(length, LANES)
    products = LANES * tile.pixels * tile.vectors
    times = 2 if steps % 2 == 0 and 2 * products <= _UNROLLED_PRODUCTS else 1
    body = [line for n in range(times) for line in _by_lane(core, tile, pixel_step, weights_step, n)]
    body += [f"a += {times * LANES};", f"b += {times * LANES * weights_step};"]
    lines = loop("k", steps // times, body)
    for k in range(rest):
        lines += _single(core, tile, pixel_step, weights_step, k)
    return [*lines, f"b += {rest * weights_step};"] if rest else lines


def _by_lane(core: VectorCore, tile: Tile, pixel_step: int, weights_step: int, number: int) -> list[str]:
    """Four steps: each pixel's inputs are one vector, and its numbers are factors one after the other."""
    lines = [
        f"const {core.vec} x{p} = {core.call('load', offset('a', p * pixel_step + number * LANES))};"
        for p in range(tile.pixels)
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
            for p in range(tile.pixels)
        ]
    return ["{", *indented(lines), "}"]


def _single(core: VectorCore, tile: Tile, pixel_step: int, weights_step: int, k: int) -> list[str]:
    """One step: each pixel's input is one number."""
    lines = [
        f"const {core.vec} w{v} = {core.call('load', offset('b', k * weights_step + v * core.width))};"
        for v in range(tile.vectors)
    ]
    for p in range(tile.pixels):
        lines.append(f"const {core.vec} x{p} = {core.call('splat', f'a[{p * pixel_step + k}]')};")
        lines += [core.accumulate(f"sum{p}_{v}", f"w{v}", f"x{p}") for v in range(tile.vectors)]
    return ["{", *indented(lines), "}"]


def _end(core: VectorCore, tile: Tile, channels: int, finish: Finish, last: int) -> list[str]:
    lines = []
    for p, v in _sums(tile):
        place = p * channels + v * core.width
        some = last if v == tile.vectors - 1 else 0
        other = offset("other", place)
        value = core.call("load_some", other, f"{some}u") if some else core.call("load", other)
        lines += finish.statements(core, f"sum{p}_{v}", value)
        target = offset("to", place)
        stored = f"{core.call('store_some', target, f'sum{p}_{v}', f'{some}u')};"
        lines.append(stored if some else f"{core.call('store', target, f'sum{p}_{v}')};")
    return lines
