"""Sums of int8 products in NEON registers: a tile of pixels x output channels, kept in registers over the whole depth.

A core with SMMLA multiplies eight numbers of two pixels with the weights of two channels by one instruction
(neon_pairs_tile), one with SDOT four numbers of the depth with the weights of four channels. Other ones multiply along
the depth, eight or sixteen numbers of one channel at a time: products of int8 are added up in 16 bits as far as these
weights allow, then in 32 bits, and the lanes of four channels come together at the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from edgecompress.compile.kernels import neon_pairs_tile, tuning
from edgecompress.compile.kernels.vector_core import indented, loop, offset

Method = Literal["matrix", "dot", "pairs"]

CHANNELS = 4
"""Output channels of a vector of sums."""
LOADED = 16
"""Numbers of the depth that a register holds."""
UNIT: dict[Method, int] = {"matrix": 8, "dot": 4, "pairs": 8}
"""What lies side by side is a multiple of so many numbers."""

_MOST_PIXELS = 8
_MOST_VECTORS = 4
_LOOP_COST = 4
_TILE_COST = 16
_END_COST = 7
"""Instructions that bring four sums to int8."""


@dataclass(frozen=True, kw_only=True)
class Core:
    """How a core multiplies, and its vector registers."""

    method: Method
    registers: int

    @property
    def unit(self) -> int:
        """What lies side by side is a multiple of so many numbers."""
        return UNIT[self.method]


@dataclass(frozen=True, kw_only=True)
class Depth:
    """What is summed up: for each tap, `length` numbers side by side. `taps` are (count, bytes apart).

    `together` registers of 16 products are added up in 16 bits before they are in 32.
    """

    taps: tuple[tuple[int, int], ...]
    length: int
    together: int = 1

    @property
    def products(self) -> int:
        """Multiply-accumulates of one result."""
        return math.prod(count for count, _ in self.taps) * self.length

    @property
    def text(self) -> str:
        """What names it among others."""
        taps = "".join(f"{count} of {step} x " for count, step in self.taps)
        return f"{taps}{self.length}{f', {self.together} together' if self.together > 1 else ''}"


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A register tile: neighbouring pixels, and vectors of four output channels."""

    pixels: int
    vectors: int


def choose_tile(core: Core, pixels: int, channels: int, depth: Depth) -> Tile:
    """Choose the tile that takes the fewest instructions for a row of pixels and all channels."""
    most = -(-channels // CHANNELS)
    tiles = [
        Tile(pixels=p, vectors=v)
        for p in range(1, min(pixels, _MOST_PIXELS) + 1)
        for v in range(1, min(most, _MOST_VECTORS) + 1)
        if _registers(core, p, v, depth.together) <= core.registers
    ]
    tiles.sort(key=lambda tile: (_row_cost(core, tile, pixels, most, depth), -tile.pixels))
    signature = f"neon {core.method} {core.registers}: {pixels} pixels, {channels} channels, {depth.text}"
    return tuning.current().pick(signature, ((f"{tile.pixels}x{tile.vectors}", tile) for tile in tiles))


def _registers(core: Core, pixels: int, vectors: int, together: int) -> int:
    """Sums, and what must be at hand beside them."""
    if core.method == "matrix":
        return neon_pairs_tile.registers(pixels, vectors)
    if core.method == "dot":
        return pixels * vectors + pixels + min(vectors, 2) + 2
    return pixels * vectors * CHANNELS + (pixels + 1) * together + 2


def _row_cost(core: Core, tile: Tile, pixels: int, vectors: int, depth: Depth) -> float:
    blocks, tail = divmod(vectors, tile.vectors)
    rows, rest = divmod(pixels, tile.pixels)
    return sum(
        times * count * _tile_cost(core, p, v, depth)
        for times, p in ((rows, tile.pixels), (1, rest))
        for count, v in ((blocks, tile.vectors), (1, tail))
        if times and count and p and v
    )


def _tile_cost(core: Core, pixels: int, vectors: int, depth: Depth) -> float:
    segments = math.prod(count for count, _ in depth.taps)
    loaded, rest = divmod(depth.length, LOADED)
    end = _TILE_COST + _END_COST * pixels * vectors
    if core.method == "matrix":
        segment = neon_pairs_tile.segment_cost(pixels, vectors, depth.length)
        return segments * (segment + _LOOP_COST) + end + neon_pairs_tile.end_cost(pixels, vectors)
    if core.method == "dot":
        single = pixels * vectors + pixels / 2 + vectors / 2
        whole = CHANNELS * pixels * vectors + pixels + 2 * vectors + _LOOP_COST
        return segments * (loaded * whole + rest // 4 * single + _LOOP_COST) + end
    sums = CHANNELS * pixels * vectors
    steps = sums * (2 + 1 / depth.together) + pixels + 2 * vectors + _LOOP_COST / depth.together
    last = (2 * sums + pixels + 4 * vectors) * (rest > 0)
    return segments * (loaded * steps + last + _LOOP_COST) + end + 2 * sums


def sums_text(core: Core, tile: Tile, depth: Depth, pixel_step: int) -> list[str]:
    """Sum up a tile from `from` (inputs), `weights` and `table` to the vectors `sum{pixel}_{vector}`, bias included."""
    body = _SEGMENTS[core.method](tile, depth, pixel_step)
    address = "from"
    for number, (count, step) in enumerate(depth.taps):
        if count > 1:
            address += f" + tap{number} * {step}u"
    body = [f"const int8_t *a = {address};", *body]
    for number, (count, _) in reversed(list(enumerate(depth.taps))):
        body = loop(f"tap{number}", count, body) if count > 1 else body
    lines = ["const int8_t *b = weights;", *body]
    if core.method == "matrix":
        return [*neon_pairs_tile.zeros(tile), *lines, *_loaded_biases(tile), *neon_pairs_tile.totals(tile)]
    if core.method == "dot":
        return [*_biases(tile), *lines]
    parts = [f"words4 part{p}_{c} = {{0}};" for p in range(tile.pixels) for c in range(tile.vectors * CHANNELS)]
    return [*parts, *lines, *_totals(tile)]


def sums(tile: Tile) -> list[tuple[int, int]]:
    """The vectors of a tile: (pixel, vector)."""
    return [(p, v) for p in range(tile.pixels) for v in range(tile.vectors)]


def _biases(tile: Tile) -> list[str]:
    lines = [f"words4 sum0_{v} = load_words4({offset('table', 3 * CHANNELS * v)});" for v in range(tile.vectors)]
    return lines + [f"words4 sum{p}_{v} = sum0_{v};" for p, v in sums(tile) if p]


def _dot_segment(tile: Tile, depth: Depth, pixel_step: int) -> list[str]:
    """SDOT: weights as (four numbers of the depth, vector, channel, number)."""
    loaded, rest = divmod(depth.length, LOADED)
    step = tile.vectors * LOADED
    whole = [
        *_dots(tile, pixel_step, "load_bytes16", 0, 4, 0),
        f"a += {LOADED};",
        f"b += {4 * step};",
    ]
    lines = loop("k", loaded, whole)
    at = 0
    for numbers, function in ((8, "twice_bytes8"), (4, "repeat_bytes4")):
        if rest & numbers:
            lines += ["{", *indented(_dots(tile, pixel_step, function, at, numbers // 4, at // 4 * step)), "}"]
            at += numbers
    return [*lines, f"b += {at // 4 * step};"] if at else lines


def _dots(tile: Tile, pixel_step: int, function: str, at: int, lanes: int, weights_at: int) -> list[str]:
    lines = [f"const bytes16 x{p} = {function}({offset('a', p * pixel_step + at)});" for p in range(tile.pixels)]
    for lane in range(lanes):
        for v in range(tile.vectors):
            place = offset("b", weights_at + (lane * tile.vectors + v) * LOADED)
            lines.append(f"const bytes16 w{lane}_{v} = load_bytes16({place});")
            lines += [f"sum{p}_{v} = dot_lane(sum{p}_{v}, w{lane}_{v}, x{p}, {lane});" for p in range(tile.pixels)]
    return lines


def _pair_segment(tile: Tile, depth: Depth, pixel_step: int) -> list[str]:
    """Along the depth: weights as (register or registers of the depth, channel, number)."""
    loaded, rest = divmod(depth.length, LOADED)
    steps, single = divmod(loaded, depth.together)
    size = depth.together * LOADED
    channels = tile.vectors * CHANNELS
    lines = loop("k", steps, [*_pairs(tile, pixel_step, depth.together), f"a += {size};", f"b += {channels * size};"])
    if single:
        size = single * LOADED
        lines += ["{", *indented(_pairs(tile, pixel_step, single)), "}"]
        lines += [f"a += {size};"] if rest else []
        lines += [f"b += {channels * size};"]
    if rest:
        body = [f"const bytes8 x{p} = load_bytes8({offset('a', p * pixel_step)});" for p in range(tile.pixels)]
        for c in range(channels):
            body.append(f"const bytes8 w{c} = load_bytes8({offset('b', c * rest)});")
            body += [f"part{p}_{c} = add_pairs(part{p}_{c}, products_of_8(w{c}, x{p}));" for p in range(tile.pixels)]
        lines += ["{", *indented(body), "}", f"b += {channels * rest};"]
    return lines


def _pairs(tile: Tile, pixel_step: int, together: int) -> list[str]:
    lines = [
        f"const bytes16 x{p}_{n} = load_bytes16({offset('a', p * pixel_step + n * LOADED)});"
        for p in range(tile.pixels)
        for n in range(together)
    ]
    for c in range(tile.vectors * CHANNELS):
        for n in range(together):
            place = offset("b", (c * together + n) * LOADED)
            lines.append(f"const bytes16 w{c}_{n} = load_bytes16({place});")
        for p in range(tile.pixels):
            halves = f"products_of_16(w{c}_0, x{p}_0)"
            for n in range(1, together):
                halves = f"add_products_of_16({halves}, w{c}_{n}, x{p}_{n})"
            lines.append(f"part{p}_{c} = add_pairs(part{p}_{c}, {halves});")
    return lines


def _loaded_biases(tile: Tile) -> list[str]:
    return [f"const words4 bias{v} = load_words4({offset('table', 3 * CHANNELS * v)});" for v in range(tile.vectors)]


def _totals(tile: Tile) -> list[str]:
    lines = _loaded_biases(tile)
    for p, v in sums(tile):
        parts = ", ".join(f"part{p}_{CHANNELS * v + c}" for c in range(CHANNELS))
        lines.append(f"words4 sum{p}_{v} = total_of_each({parts}) + bias{v};")
    return lines


_SEGMENTS = {"matrix": neon_pairs_tile.segment, "dot": _dot_segment, "pairs": _pair_segment}
