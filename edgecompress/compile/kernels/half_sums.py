"""Sums of products of halves: a tile of pixels x output channels, as in vector_sums.py, with eight lanes a register.

A sum of halves loses a bit with every doubling, so only a span of products is summed as halves; then their sum is
widened and added to a float. Where a span ends depends on the layer alone: every tile gives the same bytes. Eight sums
take one register of halves and two of floats, and all of them stay in registers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgecompress.compile.kernels import tuning
from edgecompress.compile.kernels.vector_core import Finish, Halves, VectorCore, indented, loop, offset
from edgecompress.compile.kernels.vector_sums import Depth, Steps, Tile

LANES = 8
_FOUR = 4
_MOST_PIXELS = 8
_MOST_VECTORS = 4
_SPARE_REGISTERS = 1
_LOOP_COST = 4
_TILE_COST = 12
_WIDENING = 4
"""Instructions that widen a register of halves and add both parts."""


@dataclass(frozen=True, kw_only=True)
class End:
    """What becomes of a tile's sums: of the last vector only `last` numbers are results, or all where that is 0."""

    finish: Finish
    last: int = 0
    has_bias: bool = True
    halves: Halves


def choose_tile(core: VectorCore, pixels: int, channels: int, depth: Depth, span: int) -> Tile:
    """Choose the tile that takes the fewest instructions for a row of pixels and all channels."""
    vectors = min(-(-channels // core.width), _MOST_VECTORS)
    tiles = [
        Tile(pixels=p, vectors=v)
        for p in range(1, min(pixels, _MOST_PIXELS) + 1)
        for v in range(1, vectors + 1)
        if 3 * p * v + p + min(v, 2) <= core.registers - _SPARE_REGISTERS
    ]
    tiles.sort(key=lambda tile: (row_cost(core, tile, pixels, channels, depth, span), -tile.pixels))
    signature = f"{core.vec}: {pixels} pixels, {channels} channels, {depth.products} deep"
    return tuning.current().pick(signature, ((f"{tile.pixels}x{tile.vectors}", tile) for tile in tiles))


def row_cost(core: VectorCore, tile: Tile, pixels: int, channels: int, depth: Depth, span: int) -> float:
    """The instructions for a row of pixels and all channels."""
    vectors = -(-channels // core.width)
    blocks, tail = divmod(vectors, tile.vectors)
    times, rest = divmod(pixels, tile.pixels)
    return sum(
        many * count * _tile_cost(p, v, depth, span)
        for many, p in ((times, tile.pixels), (1, rest))
        for count, v in ((blocks, tile.vectors), (1, tail))
        if many and count and p and v
    )


def _tile_cost(pixels: int, vectors: int, depth: Depth, span: int) -> float:
    sums, segments = pixels * vectors, math.prod(count for count, _ in depth.taps)
    weights = 0.5 * vectors if vectors % 2 == 0 else 0.75 * vectors
    spans = -(-depth.length // span)
    eights, rest = divmod(depth.length, LANES)
    by_lane = depth.length * (sums + weights) + eights * pixels + (rest % _FOUR + rest // _FOUR) * pixels
    a_segment = by_lane + spans * (_WIDENING * sums + _LOOP_COST)
    return segments * a_segment + _TILE_COST + 6 * sums


def tile_text(core: VectorCore, tile: Tile, depth: Depth, steps: Steps, end: End) -> list[str]:
    """Compute one tile from `from` (inputs), `weights` and `bias` to `to`, with `other` to add."""
    floats = _floats(core)
    lines = []
    for p, v in _sums(tile):
        for part, first in (("low", 0), ("high", floats.width)):
            bias = (
                floats.call("load", offset("bias", v * core.width + first)) if end.has_bias else f"({floats.vec}){{0}}"
            )
            lines.append(f"{floats.vec} {part}{p}_{v} = {bias if p == 0 else f'{part}0_{v}'};")
    body = _segment(core, tile, depth.length, steps, end.halves.span)
    address = "from"
    for number, (count, step) in enumerate(depth.taps):
        address += f" + tap{number} * {step}u" if count > 1 else ""
    body = [f"const {core.number} *a = {address};", *body]
    for number, (count, _) in reversed(list(enumerate(depth.taps))):
        body = loop(f"tap{number}", count, body) if count > 1 else body
    lines += [f"const {core.number} *b = weights;", *body]
    for p, v in _sums(tile):
        some = end.last if v == tile.vectors - 1 else 0
        place = steps.results_at(tile)[p] + v * core.width
        lines += end_text(core, end, (f"low{p}_{v}", f"high{p}_{v}"), place, some)
    return lines


def bias_text(core: VectorCore, place: int, end: End) -> str:
    """What the sums of four channels begin with."""
    floats = _floats(core)
    return floats.call("load", offset("bias", place)) if end.has_bias else f"({floats.vec}){{0}}"


def _floats(core: VectorCore) -> VectorCore:
    """The core's registers as floats."""
    return VectorCore(width=core.width // 2, registers=core.registers, fused=core.fused, by_lane=core.by_lane)


def end_text(core: VectorCore, end: End, sums: tuple[str, str], place: int, some: int, base: str = "") -> list[str]:
    """Finish eight sums and store them at `place` from `to` and `base`, or `some` of them where that is not 0."""
    floats = _floats(core)
    lines: list[str] = []
    for number, name in enumerate(sums):
        first, there = number * floats.width, floats.width
        if some:
            there = min(max(some - first, 0), floats.width)
        other = offset(f"other{base}", place + first)
        if there:
            whole = there == floats.width
            value = floats.call("load", other) if whole else floats.call("load_some", other, f"{there}u")
            lines += end.finish.statements(floats, name, value)
    to = f"to{base}"
    if end.halves.writes:
        value = f"narrow_half8({sums[0]}, {sums[1]})"
        stored = core.call("store_some", offset(to, place), value, f"{some}u")
        return [*lines, f"{stored};" if some else f"{core.call('store', offset(to, place), value)};"]
    for number, name in enumerate(sums):
        first = number * floats.width
        there = min(max(some - first, 0), floats.width) if some else floats.width
        target = offset(to, place + first)
        if there:
            stored = floats.call("store", target, name)
            partly = floats.call("store_some", target, name, f"{there}u")
            lines.append(f"{stored if there == floats.width else partly};")
    return lines


def finish_text(core: VectorCore, end: End, name: str, at: tuple[int, int], base: str) -> list[str]:
    """Widen eight sums of halves, add their biases, finish and store them as `end_text` does."""
    floats = _floats(core)
    parts = (("low", 0), ("high", floats.width))
    lines = [f"{floats.vec} {part} = {bias_text(core, first, end)};" for part, first in parts]
    lines += [*_widening(name, "low", "high"), *end_text(core, end, ("low", "high"), *at, base)]
    return ["{", *indented(lines), "}"]


def _widening(name: str, low: str, high: str) -> list[str]:
    """Add a register of halves to two of floats."""
    return [f"{low} = add_vec4({low}, low_half8({name}));", f"{high} = add_vec4({high}, high_half8({name}));"]


def _sums(tile: Tile) -> list[tuple[int, int]]:
    return [(p, v) for p in range(tile.rows * tile.pixels) for v in range(tile.vectors)]


def _segment(core: VectorCore, tile: Tile, length: int, steps: Steps, span: int) -> list[str]:
    """Sum up `length` numbers side by side, a span after the other."""
    spans, rest = divmod(length, span)
    move = [f"a += {span};", f"b += {span * steps.weights};"]
    lines = loop("k", spans, [*_span(core, tile, span, steps), *move]) if spans else []
    if rest:
        lines += [*_span(core, tile, rest, steps), f"b += {rest * steps.weights};"]
    return lines


def _span(core: VectorCore, tile: Tile, length: int, steps: Steps) -> list[str]:
    """Sum up a span as halves and widen the sums."""
    lines = [f"{core.vec} {_half(p, v)};" for p, v in _sums(tile)]
    k = 0
    while k < length:
        load, many = ("load", LANES) if length - k >= LANES else ("load_four", _FOUR)
        if length - k < _FOUR:
            load, many = "", 1
        lines += _steps(core, tile, steps, (k, many), load)
        k += many
    for p, v in _sums(tile):
        lines += _widening(_half(p, v), f"low{p}_{v}", f"high{p}_{v}")
    return ["{", *indented(lines), "}"]


def _half(pixel: int, vector: int) -> str:
    return f"half{pixel}_{vector}"


def _steps(core: VectorCore, tile: Tile, steps: Steps, at: tuple[int, int], load: str) -> list[str]:
    """So many steps from step k: the factors of each pixel are one register, or one number splat where `load` is ''."""
    first, many = at
    lines = []
    for p, place in enumerate(steps.inputs_at(tile)):
        inputs = core.call(load, offset("a", place + first)) if load else core.call("splat", f"a[{place + first}]")
        lines.append(f"const {core.vec} x{p} = {inputs};")
    for lane in range(many):
        for v in range(tile.vectors):
            weights = core.call("load", offset("b", (first + lane) * steps.weights + v * core.width))
            lines.append(f"const {core.vec} w{lane}_{v} = {weights};")
        for v in range(tile.vectors):
            for p in range(tile.rows * tile.pixels):
                factors = [f"w{lane}_{v}", f"x{p}", *([str(lane)] if load else [])]
                way = "_lane" if load else ""
                if first + lane == 0:
                    lines.append(f"{_half(p, v)} = {core.call(f'product{way}', *factors)};")
                else:
                    lines.append(f"{_half(p, v)} = {core.call(f'fused{way}', _half(p, v), *factors)};")
    return ["{", *indented(lines), "}"]
