"""int8 convolutions and matrix products on Cortex-A: register tiles of pixels x output channels (neon_tile).

Weights are packed in the order in which they are read. A padded image is copied with its zero point around it first.
Where what a result sees does not lie side by side in whole units, as with three channels, it is gathered for each tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile import c_text
from edgecompress.compile.kernels import neon_border, neon_ending, tuning
from edgecompress.compile.kernels.neon_ending import Ending
from edgecompress.compile.kernels.neon_tile import CHANNELS, LOADED, Core, Depth, Tile, choose_tile, sums_text
from edgecompress.compile.kernels.product import Choose, Kernel, Product
from edgecompress.compile.kernels.vector_core import indented, loop, offset, terms
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import CKernel

MATRIX = Core(method="matrix", registers=32)
DOT = Core(method="dot", registers=32)
PAIRS = Core(method="pairs", registers=32)
PAIRS_32_BIT = Core(method="pairs", registers=16)

LARGEST_COLUMNS = 8192
"""What is gathered for a tile lies on the stack: bytes."""
MOST_TOGETHER = 2
"""Registers of products that are added up in 16 bits."""


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """The shape class of a convolution without groups. `window` is flattened; `together` as in neon_tile.Depth."""

    core: Core
    window: Window
    outputs: int
    together: int
    ending: Ending

    @property
    def name(self) -> str:
        """The kernel's name."""
        together = f"_t{self.together}" if self.together > 1 else ""
        geometry = f"{self.window.name()}_o{self.outputs}"
        return f"neon_{self.core.method}_convolution_{geometry}{together}{self.ending.suffix}"

    @property
    def scalars(self) -> tuple[str, ...]:
        """The int32 parameters behind the buffers."""
        return (*(("input_zero",) if self.window.is_padded else ()), *neon_ending.SCALARS)

    @property
    def run(self) -> int:
        """Numbers that lie side by side in the image."""
        window = self.window
        return window.channels * (window.kernel[1] if window.dilation[1] == 1 else 1)

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """The runs that a result sees: (count, bytes apart), as in neon_tile.Depth."""
        window = self.window
        rows = (window.kernel[0], window.dilation[0] * window.row_elements)
        if window.dilation[1] == 1:
            return (rows,)
        return (rows, (window.kernel[1], window.dilation[1] * window.channels))

    @property
    def gathers(self) -> bool:
        """True when what a result sees is gathered first."""
        return self.run % self.core.unit != 0

    @property
    def depth(self) -> Depth:
        """What one result sums up; spare numbers at the end of a gathered column have weights of 0."""
        if not self.gathers:
            return Depth(taps=self.runs, length=self.run, together=self.together)
        taps = self.window.kernel[0] * self.window.kernel[1] * self.window.channels
        return Depth(taps=(), length=taps + -taps % self.core.unit, together=self.together)

    @property
    def tile(self) -> Tile:
        """The register tile."""
        return choose_tile(self.core, self.window.output_width, self.outputs, self.depth)


def family(core: Core) -> Choose:
    """The kernels for a core."""

    def choose(product: Product) -> Kernel | None:
        return _choose(core, product)

    return choose


def _choose(core: Core, product: Product) -> Kernel | None:
    """Take products without groups whose sums fit 16 bits where they are taken there."""
    if product.groups > 1:
        return None
    for together in range(MOST_TOGETHER, 0, -1) if core.method == "pairs" else (1,):
        shape = Convolution(
            core=core,
            window=product.window.flattened(),
            outputs=product.outputs,
            together=together,
            ending=neon_ending.choose(product),
        )
        if shape.depth.length < together * LOADED > LOADED:
            continue
        if core.method != "pairs" or fits_halves(_by_run(product.weights, shape), together):
            break
    else:
        return None
    if shape.gathers and shape.tile.pixels * shape.depth.length > LARGEST_COLUMNS:
        return None
    zero = [product.input_zero] if shape.window.is_padded else []
    return Kernel(
        name=shape.name,
        build=lambda: build(shape),
        constants={"weights": pack(product.weights, shape), "table": neon_ending.table(product)},
        scalars=[*zero, product.output_zero, product.low, product.high],
    )


def fits_halves(runs: NDArray[np.int8], together: int) -> bool:
    """True when no sum of products that is taken in 16 bits can pass them, whatever the input."""
    return all((_reach(block) <= 32767).all() for block in cut_depth(runs, together))


def _reach(block: NDArray[np.int8]) -> NDArray[np.int64]:
    """The largest and, less 1, the least sum of a lane: weights (…, number of the depth)."""
    lanes = block.astype(np.int64).reshape(*block.shape[:-1], -1, 8)
    above, below = np.maximum(lanes, 0).sum(axis=-2), np.maximum(-lanes, 0).sum(axis=-2)
    return np.asarray(np.maximum(127 * above + 128 * below, 128 * above + 127 * below - 1), np.int64)


def _by_run(weights: NDArray[np.int8], shape: Convolution) -> NDArray[np.int8]:
    """Weights [output, row, column, input] as (output, run, number)."""
    flat = weights.reshape(len(weights), -1)
    if shape.gathers:
        return np.pad(flat, ((0, 0), (0, shape.depth.length - flat.shape[1])))[:, np.newaxis]
    return flat.reshape(len(weights), -1, shape.run)


def cut_depth(runs: NDArray[np.int8], together: int) -> list[NDArray[np.int8]]:
    """Cut runs into what is read at a time, as `_pair_segment` of neon_tile does."""
    length = runs.shape[-1]
    loaded = length // LOADED
    whole = loaded // together * together * LOADED
    cuts = [*range(0, whole, together * LOADED), *([whole] if loaded % together else [])]
    cuts += [loaded * LOADED] if length % LOADED else []
    return [runs[..., first:end] for first, end in zip(cuts, [*cuts[1:], length], strict=True)]


def pack(weights: NDArray[np.int8], shape: Convolution) -> NDArray[np.int8]:
    """Pack weights [output, row, column, input] as the tiles read them, block by block of output channels."""
    runs = _by_run(weights, shape)
    runs = np.pad(runs, ((0, -len(runs) % CHANNELS), (0, 0), (0, 0)))
    step = shape.tile.vectors * CHANNELS
    packed: list[NDArray[np.int8]] = []
    for first in range(0, len(runs), step):
        block = runs[first : first + step]
        if shape.core.method != "pairs":
            at_once = block.reshape(*block.shape[:2], -1, shape.core.unit)
            packed.append(at_once.transpose(1, 2, 0, 3).reshape(-1))
            continue
        for run in range(block.shape[1]):
            packed += [part.reshape(-1) for part in cut_depth(block[:, run], shape.together)]
    return np.concatenate(packed).astype(np.int8)


def build(shape: Convolution) -> CKernel:
    """Write the kernel: (x, weights, table, y, scalars, [image with its border])."""
    window = shape.window
    parameters = ["const int8_t *restrict x", "const int8_t *restrict w", "const int32_t *restrict c"]
    parameters += ["int8_t *restrict y", *(f"int32_t {scalar}" for scalar in shape.scalars)]
    parameters += ["int8_t *restrict image"] if window.is_padded else []
    source = f"const int8_t *const in = {'image' if window.is_padded else 'x'};"
    body = [*neon_border.text(window), source, *_rows(shape)]
    text = "\n".join([f"{c_text.wrapped(f'KERNEL void {shape.name}(', parameters)}) {{", *indented(body), "}", ""])
    workspaces = (neon_border.size(window),) if window.is_padded else ()
    return CKernel(name=shape.name, source=text, workspaces=workspaces, spreads=True)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Neighbouring parts of one size: `count` of `size` from `first`. Of the last one of all only `last` is there."""

    count: int
    size: int
    first: int
    last: int = 0


def _rows(shape: Convolution) -> list[str]:
    """The loops over rows, tiles of pixels and blocks of channels.

    Weights that fit half of the level 1 cache are read anew for each tile; otherwise each block of them for all tiles.
    """
    tile, rows = shape.tile, shape.window.output_height
    columns = cut(shape.window.output_width, tile.pixels)
    widths = channel_cuts(shape.outputs, tile)
    body: list[str] = []
    if shape.gathers or shape.outputs * shape.depth.products <= tuning.current().l1_bytes // 2:
        for column in columns:
            blocks = (loop("block", width.count, _tile(shape, column, width)) for width in widths)
            body += loop("tile", column.count, [*_gather(shape, column), *chain.from_iterable(blocks)])
        return loop("row", rows, body)
    for width in widths:
        tiles = (loop("tile", column.count, _tile(shape, column, width)) for column in columns)
        body += loop("block", width.count, loop("row", rows, [*chain.from_iterable(tiles)]))
    return body


def cut(whole: int, size: int) -> list[Cut]:
    """Cut into parts of one size, and what is left."""
    full, rest = divmod(whole, size)
    cuts = [Cut(count=full, size=size, first=0), Cut(count=1, size=rest, first=full * size)]
    return [cut for cut in cuts if cut.count and cut.size]


def channel_cuts(outputs: int, tile: Tile) -> list[Cut]:
    """Cut the channels, in vectors; `last` is how many channels the last vector has, or 0 for all."""
    vectors, partial = -(-outputs // CHANNELS), outputs % CHANNELS
    if not partial:
        return cut(vectors, tile.vectors)
    full = (vectors - 1) // tile.vectors  # the last block stores less than the others
    first = full * tile.vectors
    whole = [Cut(count=full, size=tile.vectors, first=0)] if full else []
    return [*whole, Cut(count=1, size=vectors - first, first=first, last=partial)]


def _seen(shape: Convolution, column: Cut) -> str:
    """The address of what a tile's first pixel sees."""
    window = shape.window
    step = window.stride[1] * window.channels
    used = [("row", window.stride[0] * window.row_elements)] if window.output_height > 1 else []
    used += [("tile", column.size * step)] if column.count > 1 else []
    return offset(terms("in", *used), column.first * step)


def _gather(shape: Convolution, column: Cut) -> list[str]:
    """Copy what each pixel of a tile sees next to each other, when it does not lie so."""
    if not shape.gathers:
        return []
    window, length, run = shape.window, shape.depth.length, shape.run
    places = [0]
    for count, step in shape.runs:
        places = [place + n * step for place in places for n in range(count)]
    lines = [f"int8_t columns[{column.size * length}] __attribute__((aligned(16)));"]
    lines += [f"const int8_t *const seen = {_seen(shape, column)};"]
    spare = length - len(places) * run
    for p in range(column.size):
        pixel = p * window.stride[1] * window.channels
        for n, place in enumerate(places):
            source = offset("seen", pixel + place)
            lines.append(f"memcpy({offset('columns', p * length + n * run)}, {source}, {run}u);")
        if spare:
            lines.append(f"memset({offset('columns', (p + 1) * length - spare)}, 0, {spare}u);")
    return lines


def _tile(shape: Convolution, column: Cut, width: Cut) -> list[str]:
    """Where a tile's operands lie, and the tile."""
    window, depth, outputs = shape.window, shape.depth, shape.outputs
    counts = {"row": window.output_height, "tile": column.count, "block": width.count}
    channels = width.size * CHANNELS
    first = width.first * CHANNELS

    def at(base: str, constant: int, **steps: int) -> str:
        used = [(name, distance) for name, distance in steps.items() if counts[name] > 1]
        return offset(terms(base, *used), constant)

    place = {"row": window.output_width * outputs, "tile": column.size * outputs, "block": channels}
    table = at("c", first * neon_ending.COLUMNS, block=channels * neon_ending.COLUMNS)
    lines = [
        f"const int8_t *const from = {'columns' if shape.gathers else _seen(shape, column)};",
        f"const int8_t *const weights = {at('w', first * depth.products, block=channels * depth.products)};",
        f"const int32_t *const table = {table};",
        f"int8_t *const to = {at('y', column.first * outputs + first, **place)};",
    ]
    tile = Tile(pixels=column.size, vectors=width.size)
    step = depth.length if shape.gathers else window.stride[1] * window.channels
    lines += sums_text(shape.core, tile, depth, step)
    return lines + neon_ending.text(shape.ending, tile, outputs, last=width.last)
