"""int8 depthwise convolutions on Cortex-A, over vectors of eight or sixteen channels.

Products are added up in 16 bits over as many taps as these weights allow, then in 32 bits. Where the channels are no
whole vectors, the last vector begins earlier and computes some channels again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile import c_text
from edgecompress.compile.kernels import neon_border, neon_ending
from edgecompress.compile.kernels.neon_ending import Ending
from edgecompress.compile.kernels.neon_tile import CHANNELS, Tile
from edgecompress.compile.kernels.product import Choose, Kernel, Product
from edgecompress.compile.kernels.vector_core import indented, loop, offset, terms
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import CKernel

HALF = 8
"""Channels of the shortest vector."""
PIXELS = 2
"""Neighbouring results that share what they load."""
KEPT_TAPS = 9
"""A kernel of so many taps stays in registers."""
HALF_MOST = 32767


@dataclass(frozen=True, kw_only=True)
class Depthwise:
    """The shape class of a depthwise convolution.

    `most` channels are a vector. `groups` cuts the taps, in order, into what is added up in 16 bits.
    """

    window: Window
    most: int
    groups: tuple[int, ...]
    ending: Ending

    @property
    def name(self) -> str:
        """The kernel's name."""
        groups = "".join(f"_{size}" for size in self.groups)
        return f"neon_depthwise{self.most}_{self.window.name()}_t{groups}{self.ending.suffix}"

    @property
    def scalars(self) -> tuple[str, ...]:
        """The int32 parameters behind the buffers."""
        return (*(("input_zero",) if self.window.is_padded else ()), *neon_ending.SCALARS)

    @property
    def taps(self) -> list[tuple[int, int]]:
        """(row, column) of each tap."""
        return [(y, x) for y in range(self.window.kernel[0]) for x in range(self.window.kernel[1])]

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """The vectors of channels: (first channel, channels)."""
        channels = self.window.channels
        whole, rest = divmod(channels, self.most)
        blocks = [(number * self.most, self.most) for number in range(whole)]
        if rest > HALF and not whole:
            return [(0, HALF), (channels - HALF, HALF)]
        size = HALF if rest <= HALF else self.most
        return [*blocks, *([(channels - size, size)] if rest else [])]


def family(most: int) -> Choose:
    """The kernels for a core whose registers suffice for vectors of so many channels."""

    def choose(product: Product) -> Kernel | None:
        return _choose(most, product)

    return choose


def _choose(most: int, product: Product) -> Kernel | None:
    """Take every depthwise convolution of at least one vector of channels."""
    if not product.is_depthwise or product.outputs < HALF:
        return None
    shape = Depthwise(
        window=product.window.flattened(),
        most=most,
        groups=_groups(product.weights),
        ending=neon_ending.choose(product),
    )
    channels = [channel for first, size in shape.blocks for channel in range(first, first + size)]
    zero = [product.input_zero] if shape.window.is_padded else []
    return Kernel(
        name=shape.name,
        build=lambda: build(shape),
        constants={"weights": pack(product.weights, shape), "table": neon_ending.table(product, channels)},
        scalars=[*zero, product.output_zero, product.low, product.high],
    )


def _groups(weights: NDArray[np.int8]) -> tuple[int, ...]:
    """Cut the taps into runs as long as 16 bits hold their sums, whatever the input."""
    by_tap = weights.reshape(len(weights), -1).astype(np.int64).T
    groups: list[int] = []
    above = below = np.zeros(by_tap.shape[1], np.int64)
    for tap in by_tap:
        above, below = above + np.maximum(tap, 0), below + np.maximum(-tap, 0)
        fits = (np.maximum(127 * above + 128 * below, 128 * above + 127 * below - 1) <= HALF_MOST).all()
        if fits and groups:
            groups[-1] += 1
            continue
        groups.append(1)
        above, below = np.maximum(tap, 0), np.maximum(-tap, 0)
    return tuple(groups)


def pack(weights: NDArray[np.int8], shape: Depthwise) -> NDArray[np.int8]:
    """Lay out weights [channel, row, column, 1] as (vector of channels, tap, channel)."""
    flat = weights.reshape(len(weights), -1)
    return np.concatenate([flat[first : first + size].T.reshape(-1) for first, size in shape.blocks])


def build(shape: Depthwise) -> CKernel:
    """Write the kernel: (x, weights, table, y, scalars, [image with its border])."""
    window = shape.window
    parameters = ["const int8_t *restrict x", "const int8_t *restrict w", "const int32_t *restrict c"]
    parameters += ["int8_t *restrict y", *(f"int32_t {scalar}" for scalar in shape.scalars)]
    parameters += ["int8_t *restrict image"] if window.is_padded else []
    body = [*neon_border.text(window), f"const int8_t *const in = {'image' if window.is_padded else 'x'};"]
    number = 0
    while number < len(shape.blocks):
        first, size = shape.blocks[number]
        alike = [n for n, block in enumerate(shape.blocks) if block == (first + (n - number) * size, size)]
        count = len([n for n in alike if n >= number])
        body += loop("block", count, _block(shape, number, count))
        number += count
    text = "\n".join([f"{c_text.wrapped(f'KERNEL void {shape.name}(', parameters)}) {{", *indented(body), "}", ""])
    workspaces = (neon_border.size(window),) if window.is_padded else ()
    return CKernel(name=shape.name, source=text, workspaces=workspaces, spreads=True)


def _block(shape: Depthwise, number: int, count: int) -> list[str]:
    """The rows of one vector of channels, or of `count` that follow each other."""
    window, (first, size) = shape.window, shape.blocks[number]
    done = sum(before for _, before in shape.blocks[:number])
    columns, rest = divmod(window.output_width, PIXELS)
    tiles = [(columns, PIXELS, 0)] if columns else []
    tiles += [(1, rest, columns * PIXELS)] if rest else []

    def at(base: str, constant: int, block_step: int, **steps: int) -> str:
        used = [("block", block_step)] if count > 1 else []
        return offset(terms(base, *used, *steps.items()), constant)

    rows = {} if window.output_height == 1 else {"row": window.stride[0] * window.row_elements}
    results = {} if window.output_height == 1 else {"row": window.output_width * window.channels}
    vectors = size // CHANNELS
    lines = [f"const int8_t *const weights = {at('w', done * len(shape.taps), size * len(shape.taps))};"]
    lines += [f"const int32_t *const table = {at('c', done * 3, vectors * 3 * CHANNELS)};"]
    lines += [f"const int8_t *const from = {at('in', first, size, **rows)};"]
    lines += [f"int8_t *const target = {at('y', first, size, **results)};"]
    if len(shape.taps) <= KEPT_TAPS:
        lines += [_weight(tap, size) for tap in range(len(shape.taps))]
    for tile_count, pixels, start in tiles:
        lines += loop("tile", tile_count, _tile(shape, Tile(pixels=pixels, vectors=vectors), tile_count, start))
    return loop("row", window.output_height, lines)


def _weight(tap: int, size: int) -> str:
    return f"const bytes{size} w{tap} = load_bytes{size}({offset('weights', tap * size)});"


def _tile(shape: Depthwise, tile: Tile, count: int, start: int) -> list[str]:
    """Neighbouring pixels of one vector of channels."""
    window, size = shape.window, tile.vectors * CHANNELS
    step = window.stride[1] * window.channels
    tiles = [("tile", tile.pixels * step)] if count > 1 else []
    results = [("tile", tile.pixels * window.channels)] if count > 1 else []
    lines = [
        f"const int8_t *const a = {offset(terms('from', *tiles), start * step)};",
        f"int8_t *const to = {offset(terms('target', *results), start * window.channels)};",
    ]
    lines += [f"words4 sum0_{v} = load_words4({offset('table', 3 * CHANNELS * v)});" for v in range(tile.vectors)]
    lines += [f"words4 sum{p}_{v} = sum0_{v};" for p in range(1, tile.pixels) for v in range(tile.vectors)]
    lines += _sums(shape, tile, size)
    return lines + neon_ending.text(shape.ending, tile, window.channels, last=0)


def _sums(shape: Depthwise, tile: Tile, size: int) -> list[str]:
    """Add up the groups of taps; what several pixels see is loaded once."""
    lines: list[str] = []
    loaded: set[str] = set()
    tap = 0
    for number, length in enumerate(shape.groups):
        if len(shape.taps) > KEPT_TAPS:
            lines += [_weight(each, size) for each in range(tap, tap + length)]
        for p in range(tile.pixels):
            for each in range(tap, tap + length):
                name, place = _seen(shape, p, each)
                if name not in loaded:
                    loaded.add(name)
                    lines.append(f"const bytes{size} {name} = load_bytes{size}({offset('a', place)});")
            terms_of = [(_seen(shape, p, each)[0], f"w{each}") for each in range(tap, tap + length)]
            lines += _group(f"half{p}_{number}", terms_of, p, size)
        tap += length
    return lines


def _seen(shape: Depthwise, pixel: int, tap: int) -> tuple[str, int]:
    """The variable and the place of what a pixel sees through a tap."""
    window, (y, x) = shape.window, shape.taps[tap]
    column = pixel * window.stride[1] + x * window.dilation[1]
    return f"x{y}_{column}", y * window.dilation[0] * window.row_elements + column * window.channels


def _group(name: str, factors: list[tuple[str, str]], p: int, size: int) -> list[str]:
    """Sum up some taps of one pixel in 16 bits and add that to its sums."""
    lines: list[str] = []
    for part, half in enumerate(("low_bytes", "high_bytes") if size > HALF else ("",)):
        pairs = [(f"{half}({a})", f"{half}({b})") if half else (a, b) for a, b in factors]
        total = f"products_of_8({pairs[0][0]}, {pairs[0][1]})"
        variable = f"{name}_{part}"
        lines.append(f"halves8 {variable} = {total};")
        lines += [f"{variable} = add_products_of_8({variable}, {a}, {b});" for a, b in pairs[1:]]
        lines.append(f"sum{p}_{2 * part} = add_low_halves(sum{p}_{2 * part}, {variable});")
        lines.append(f"sum{p}_{2 * part + 1} = add_high_halves(sum{p}_{2 * part + 1}, {variable});")
    return lines
