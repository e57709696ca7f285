"""Sums of int8 products by SMMLA: two pixels by two channels by eight numbers of the depth, in one instruction.

A register of the image holds eight numbers of two neighbouring pixels, one of the weights eight numbers of two
channels, a sum both channels of both pixels. A pixel without a neighbour in its tile is its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecompress.compile.kernels.vector_core import indented, loop, offset

if TYPE_CHECKING:
    from edgecompress.compile.kernels.neon_tile import Depth, Tile

EIGHT = 8
LOADED = 16
CHANNELS = 4
_LOOP_COST = 4


def registers(pixels: int, vectors: int) -> int:
    """Sums, the image, and two of the weights."""
    return 2 * _pairs(pixels) * vectors + 2 * _pairs(pixels) + 2


def segment_cost(pixels: int, vectors: int, length: int) -> float:
    """Instructions of a run of numbers side by side."""
    loaded, rest = divmod(length, LOADED)
    whole = 4 * _pairs(pixels) * vectors + pixels + 2 * _pairs(pixels) + 4 * vectors + _LOOP_COST
    return loaded * whole + (2 * _pairs(pixels) * vectors + 2 * pixels + 2 * vectors) * (rest > 0)


def end_cost(pixels: int, vectors: int) -> float:
    """Instructions that take the sums of two pixels apart."""
    return 2 * pixels * vectors


def zeros(tile: Tile) -> list[str]:
    """The sums before the first product."""
    return [f"words4 part{pair}_{c} = {{0}};" for pair in range(_pairs(tile.pixels)) for c in range(2 * tile.vectors)]


def segment(tile: Tile, depth: Depth, pixel_step: int) -> list[str]:
    """Weights as (eight numbers of the depth, channel, number)."""
    loaded, rest = divmod(depth.length, LOADED)
    size = tile.vectors * CHANNELS * EIGHT
    pairs = range(_pairs(tile.pixels))
    places = [offset("a", p * pixel_step) for p in range(tile.pixels)]
    partners = [(2 * pair, min(2 * pair + 1, tile.pixels - 1)) for pair in pairs]
    whole = [f"const bytes16 x{p} = load_bytes16({place});" for p, place in enumerate(places)]
    for half, function in enumerate(("low_pair", "high_pair")):
        whole += [f"const bytes16 y{half}_{n} = {function}(x{p}, x{q});" for n, (p, q) in enumerate(partners)]
        whole += _products(tile, f"y{half}", half * size)
    lines = loop("k", loaded, [*whole, f"a += {LOADED};", f"b += {2 * size};"])
    if rest:
        last = [f"const bytes16 y_{n} = pair_of_8({places[p]}, {places[q]});" for n, (p, q) in enumerate(partners)]
        lines += ["{", *indented([*last, *_products(tile, "y", 0)]), "}", f"b += {size};"]
    return lines


def totals(tile: Tile) -> list[str]:
    """The sums by pixel and vector of channels, with their biases."""
    lines = []
    for p in range(tile.pixels):
        function = "second_row" if p % 2 else "first_row"
        for v in range(tile.vectors):
            parts = f"part{p // 2}_{2 * v}, part{p // 2}_{2 * v + 1}"
            lines.append(f"words4 sum{p}_{v} = {function}({parts}) + bias{v};")
    return lines


def _products(tile: Tile, seen: str, at: int) -> list[str]:
    lines = []
    for c in range(2 * tile.vectors):
        weights = f"w{seen[1:]}_{c}"
        lines.append(f"const bytes16 {weights} = load_bytes16({offset('b', at + c * 2 * EIGHT)});")
        lines += [
            f"part{n}_{c} = matrix_products(part{n}_{c}, {seen}_{n}, {weights});" for n in range(_pairs(tile.pixels))
        ]
    return lines


def _pairs(pixels: int) -> int:
    return -(-pixels // 2)
