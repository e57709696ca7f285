"""From sums in NEON registers to int8: TFLite's double rounding on four channels at a time, and the table it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile.kernels.neon_tile import CHANNELS, Tile, sums
from edgecompress.compile.kernels.product import Product
from edgecompress.compile.kernels.vector_core import offset

SCALARS = ("zero", "low", "high")
"""The int32 parameters that an ending reads: the output's zero point, and its limits."""
COLUMNS = 3


@dataclass(frozen=True, kw_only=True)
class Ending:
    """`scales_up`: some factor is 1/2 or more."""

    scales_up: bool

    @property
    def suffix(self) -> str:
        """What it adds to a kernel's name."""
        return "_up" if self.scales_up else ""


def choose(product: Product) -> Ending:
    """Choose the ending for a layer's factors."""
    return Ending(scales_up=any(each.shift > -1 for each in product.multipliers if each.value))


def table(product: Product, channels: Sequence[int] | None = None) -> NDArray[np.int32]:
    """Lay out biases, multipliers and shifts for each vector of these channels, or all: (vector, column, channel)."""
    values = [each.value for each in product.multipliers]
    shifts = [each.shift if each.value else -1 for each in product.multipliers]
    columns = np.stack([product.bias, values, shifts])
    columns = columns if channels is None else columns[:, list(channels)]
    padded = np.pad(columns, ((0, 0), (0, -columns.shape[1] % CHANNELS)))
    padded[2, columns.shape[1] :] = -1
    vectors = padded.reshape(COLUMNS, -1, CHANNELS).transpose(1, 0, 2)
    return np.ascontiguousarray(vectors).reshape(-1).astype(np.int32)


def text(ending: Ending, tile: Tile, outputs: int, *, last: int) -> list[str]:
    """Bring the sums of a tile to int8 and store them to `to`; pixels are `outputs` bytes apart.

    Of the last vector only `last` channels are stored, or all where that is 0.
    """
    function = "scale_either" if ending.scales_up else "scale_down"
    lines = []
    for v in range(tile.vectors):
        for column, name in ((1, "multiplier"), (2, "shift")):
            place = offset("table", (COLUMNS * v + column) * CHANNELS)
            lines.append(f"const words4 {name}{v} = load_words4({place});")
    lines += [f"sum{p}_{v} = {function}(sum{p}_{v}, multiplier{v}, shift{v});" for p, v in sums(tile)]
    for p in range(tile.pixels):
        lines += pixel(tile, p, outputs, last=last)
    return lines


def pixel(tile: Tile, p: int, outputs: int, *, last: int) -> list[str]:
    """Narrow and store the vectors of one pixel, four at a time, then two, then one."""
    lines: list[str] = []
    for v in range(0, tile.vectors, 2):
        second = min(v + 1, tile.vectors - 1)
        lines.append(f"const halves8 halves{p}_{v} = narrow_words(sum{p}_{v}, sum{p}_{second}, zero);")
    v = 0
    while v < tile.vectors:
        count = 4 if tile.vectors - v >= 4 else min(tile.vectors - v, 2)
        if count == 4:
            value = f"const bytes16 bytes{p}_{v} = narrow_halves_twice(halves{p}_{v}, halves{p}_{v + 2}, low, high);"
        else:
            value = f"const bytes8 bytes{p}_{v} = narrow_halves(halves{p}_{v}, low, high);"
        size = count * CHANNELS
        if last and v + count == tile.vectors:
            size += last - CHANNELS
        lines += [value, f"memcpy({offset('to', p * outputs + v * CHANNELS)}, &bytes{p}_{v}, {size}u);"]
        v += count
    return lines
