"""int8 depthwise convolutions on x86-64, over registers of channels.

Rows of the kernel are the depth of a product: those of one column of the image are woven together once, for all the
results that see it. The last registers of channels may be shorter ones, or hold channels that are not stored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile import c_text
from edgecompress.compile.kernels import x86_ending, x86_image
from edgecompress.compile.kernels.product import Choose, Kernel, Product
from edgecompress.compile.kernels.vector_core import indented, loop, offset, terms
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.kernels.x86_core import Core, channel_order
from edgecompress.compile.kernels.x86_ending import Ending
from edgecompress.compile.kernels.x86_plain import Plain, either
from edgecompress.compile.kernels.x86_tile import Cut, Tile, biases, cut_evenly
from edgecompress.compile.program import CKernel

SHORTEST = 4
"""Words of the shortest register."""
LARGEST_KERNEL = 64
"""Taps; a kernel of more would be written out too often."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """Registers of channels: `count` blocks of `channels` each from `first`, the last of which stores `stored`."""

    core: Core
    count: int
    first: int
    stored: int

    @property
    def channels(self) -> int:
        """Channels of a block: as many as a register holds numbers of the image."""
        return self.core.lanes * self.core.unit


@dataclass(frozen=True, kw_only=True)
class Depthwise:
    """The shape class of a depthwise convolution."""

    core: Core
    window: Window
    ending: Ending

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"x86_{self.core.method}_depthwise_{self.window.name()}{self.ending.suffix}"

    @property
    def scalars(self) -> tuple[str, ...]:
        """The int32 parameters behind the buffers."""
        return (*(("input_zero",) if self.window.is_padded else ()), *self.ending.scalars)

    @property
    def row_groups(self) -> int:
        """Groups of rows of the kernel that are woven together."""
        return -(-self.window.kernel[0] // self.core.unit)

    @property
    def blocks(self) -> list[Block]:
        """The registers of channels, long ones first."""
        blocks, first, core = [], 0, self.core
        while first < self.window.channels:
            left = self.window.channels - first
            size = core.lanes * core.unit
            if left >= size:
                blocks.append(Block(core=core, count=left // size, first=first, stored=size))
                first += left // size * size
                continue
            lanes = core.lanes
            while lanes > SHORTEST and lanes // 2 * core.unit >= left:
                lanes //= 2
            blocks.append(Block(core=replace(core, lanes=lanes), count=1, first=first, stored=left))
            first += left
        return blocks

    @property
    def pixels(self) -> int:
        """Neighbouring results that share what they load: their sums and a column must fit the registers."""
        return max(1, (self.core.registers - self.core.unit - 4) // self.core.unit - (self.core.unit == 4))


def family(core: Core) -> Choose:
    """The kernels for a core."""

    def choose(product: Product) -> Kernel | None:
        return _choose(core, product)

    return choose


def _choose(core: Core, product: Product) -> Kernel | None:
    """Take every depthwise convolution with a kernel of moderate size."""
    if not product.is_depthwise or product.weights[0].size > LARGEST_KERNEL:
        return None
    ending = x86_ending.choose(product)
    shape = Depthwise(core=core, window=product.window.flattened(), ending=ending)
    zero = [product.input_zero] if shape.window.is_padded else []
    return Kernel(
        name=shape.name,
        build=lambda: build(shape),
        constants={"weights": pack(product.weights, shape), "table": _table(product, shape)},
        scalars=[*zero, *ending.scalar_values(product)],
    )


def _orders(shape: Depthwise) -> list[tuple[Core, list[int]]]:
    """For each block its core, and the channel of each word of its registers."""
    found = []
    for block in shape.blocks:
        for number in range(block.count):
            first = block.first + number * block.channels
            order = channel_order(block.core.lanes, block.core.unit)
            found.append((block.core, [first + channel for channel in order]))
    return found


def _table(product: Product, shape: Depthwise) -> NDArray[np.int32]:
    seen = shape.core.as_multiplied(product)
    tables = [x86_ending.table(shape.ending, seen, core.lanes, order) for core, order in _orders(shape)]
    return np.concatenate(tables)


def pack(weights: NDArray[np.int8], shape: Depthwise) -> NDArray[np.int8]:
    """Lay out weights [channel, row, column, 1] as (block, column, group of rows, vector, channel, row in it)."""
    unit, rows = shape.core.unit, shape.window.kernel[0]
    spare = shape.core.lanes * unit
    by_tap = weights.reshape(len(weights), *shape.window.kernel)  # a column of pixels is flattened to a row
    padded = np.pad(by_tap, ((0, spare), (0, -rows % unit), (0, 0)))
    packed = []
    for _, order in _orders(shape):
        block = padded[order].reshape(len(order), shape.row_groups, unit, -1)
        packed.append(block.transpose(3, 1, 0, 2).reshape(-1))
    return np.concatenate(packed)


def build(shape: Depthwise) -> CKernel:
    """Write the kernel: (x, weights, table, y, scalars, image)."""
    core, window = shape.core, shape.window
    parameters = ["const int8_t *restrict x", "const int8_t *restrict w", "const int32_t *restrict c"]
    parameters += ["int8_t *restrict y", *(f"int32_t {scalar}" for scalar in shape.scalars)]
    parameters += [f"{core.element} *restrict image"]
    body: list[str] = []
    for block in shape.blocks:
        body += loop("block", block.count, _block(shape, block))
    body = [
        *x86_image.text(core, window),
        f"const {core.element} *const in = image;",
        *loop("row", window.output_height, body),
    ]
    text = "\n".join([f"{c_text.wrapped(f'KERNEL void {shape.name}(', parameters)}) {{", *indented(body), "}", ""])
    return CKernel(name=shape.name, source=text, workspaces=(x86_image.size(core, window),), spreads=True)


def _block(shape: Depthwise, block: Block) -> list[str]:
    """A row of results of some channels."""
    window, size = shape.window, block.channels
    weights = window.kernel[1] * shape.row_groups * shape.core.unit

    def at(base: str, constant: int, block_step: int, row_step: int = 0) -> str:
        used = [("block", block_step)] if block.count > 1 else []
        used += [("row", row_step)] if row_step and window.output_height > 1 else []
        return offset(terms(base, *used), constant)

    columns = shape.ending.columns
    seen = at("in", block.first, size, window.stride[0] * window.row_elements)
    lines = [
        f"const int8_t *const weights = {at('w', block.first * weights, size * weights)};",
        f"const int32_t *const table = {at('c', block.first * columns, size * columns)};",
        f"const {shape.core.element} *const from = {seen};",
        f"int8_t *const target = {at('y', block.first, size, window.output_width * window.channels)};",
    ]
    for cut in cut_evenly(window.output_width, shape.pixels):
        lines += loop("tile", cut.count, _tile(shape, block, cut))
    return lines


def _tile(shape: Depthwise, block: Block, cut: Cut) -> list[str]:
    """Neighbouring pixels of one block of channels."""
    window, core, vectors = shape.window, block.core, block.core.unit
    step = window.stride[1] * window.channels
    place = window.channels

    def at(base: str, distance: int) -> str:
        repeated = [("tile", cut.size * distance)] if cut.count > 1 else []
        return offset(terms(base, *repeated), cut.first * distance)

    lines = [
        f"const {core.element} *const a = {at('from', step)};",
        f"int8_t *const to = {at('target', place)};",
    ]
    plain = Plain(
        kind="depthwise",
        pixels=cut.size,
        vectors=vectors,
        last=block.stored,
        outputs=place,
        taps=(window.kernel[0], window.dilation[0] * window.row_elements),
        more_taps=(window.kernel[1], window.dilation[1] * window.channels),
        words=1,
        pixel_step=step,
        image="a",
    )
    return [*lines, *either(core, shape.ending, _results(shape, block, cut), plain)]


def _results(shape: Depthwise, block: Block, cut: Cut) -> list[str]:
    """The sums of a tile, column by column of the image, and their ending."""
    window, core, vectors = shape.window, block.core, block.core.unit
    sums = Tile(pixels=cut.size, vectors=vectors).sums
    lines = biases(core, Tile(pixels=cut.size, vectors=vectors), shape.ending.columns)
    seen = [
        (p * window.stride[1] + tap * window.dilation[1], p, tap)
        for p in range(cut.size)
        for tap in range(window.kernel[1])
    ]
    for column in sorted({column for column, _, _ in seen}):
        users = [(p, tap) for where, p, tap in seen if where == column]
        for group in range(shape.row_groups):
            lines += ["{", *indented(_column_products(shape, block, column, group, users)), "}"]
    for v in range(vectors):
        lines += ["{", *indented(x86_ending.scaled(shape.ending, core.lanes, v, [row[v] for row in sums])), "}"]
    for p, row in enumerate(sums):
        place = offset("to", p * window.channels)
        lines += x86_ending.stored(shape.ending, core.lanes, row, place, last=block.stored)
    return lines


def _column_products(
    shape: Depthwise, block: Block, column: int, group: int, users: list[tuple[int, int]]
) -> list[str]:
    """Weave a group of rows of one column together, and add the products to the results that see it."""
    window, core, unit = shape.window, block.core, block.core.unit
    rows = range(group * unit, min(window.kernel[0], (group + 1) * unit))
    names = [f"row{row}" for row in rows]
    lines = []
    for name, row in zip(names, rows, strict=True):
        place = row * window.dilation[0] * window.row_elements + column * window.channels
        lines.append(f"const {core.words} {name} = read_words{core.lanes}({offset('a', place)});")
    names += [names[-1]] * (unit - len(names))
    lines.append(f"{core.words} woven[{unit}];")
    lines.append(f"interleave_{core.method}{core.lanes}(woven, {', '.join(names)});")
    register = core.lanes * unit
    for p, tap in users:
        for v in range(unit):
            where = ((tap * shape.row_groups + group) * unit + v) * register
            weights = core.load_weights(offset("weights", where))
            lines.append(core.dot(f"sum{p}_{v}", f"woven[{v}]", weights))
    return lines
