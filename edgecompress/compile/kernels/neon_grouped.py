"""int8 convolutions with groups on Cortex-A: group by group, what a tile of pixels sees of one is gathered first.

Groups of few channels are joined, with weights of 0 between them: a vector of sums is never nearly empty. A depthwise
convolution of a few channels becomes a convolution without groups in this way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile import c_text
from edgecompress.compile.kernels import neon_border, neon_convolution, neon_ending
from edgecompress.compile.kernels.neon_convolution import MOST_TOGETHER, Cut, cut, cut_depth, fits_halves
from edgecompress.compile.kernels.neon_ending import Ending
from edgecompress.compile.kernels.neon_tile import CHANNELS, LOADED, Core, Depth, Tile, choose_tile, sums_text
from edgecompress.compile.kernels.product import Choose, Kernel, Product
from edgecompress.compile.kernels.vector_core import indented, loop, offset, terms
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import CKernel

LEAST_OUTPUTS = 8
"""Groups are joined until they have so many outputs."""


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """The shape class of a convolution with groups. `together` as in neon_tile.Depth."""

    core: Core
    window: Window
    outputs: int
    groups: int
    together: int
    ending: Ending

    @property
    def name(self) -> str:
        """The kernel's name."""
        together = f"_t{self.together}" if self.together > 1 else ""
        geometry = f"{self.window.name()}_o{self.outputs}_g{self.groups}"
        return f"neon_{self.core.method}_grouped_{geometry}{together}{self.ending.suffix}"

    @property
    def scalars(self) -> tuple[str, ...]:
        """The int32 parameters behind the buffers."""
        return (*(("input_zero",) if self.window.is_padded else ()), *neon_ending.SCALARS)

    @property
    def run(self) -> int:
        """Input channels of a group, which lie side by side."""
        return self.window.channels // self.groups

    @property
    def group_outputs(self) -> int:
        """Output channels of a group."""
        return self.outputs // self.groups

    @property
    def vectors(self) -> int:
        """Vectors of a group's output channels; the last one may not be full."""
        return -(-self.group_outputs // CHANNELS)

    @property
    def depth(self) -> Depth:
        """What one result sums up; spare numbers at the end have weights of 0."""
        taps = self.window.kernel[0] * self.window.kernel[1] * self.run
        return Depth(taps=(), length=taps + -taps % self.core.unit, together=self.together)

    @property
    def tile(self) -> Tile:
        """The register tile."""
        return choose_tile(self.core, self.window.output_width, self.group_outputs, self.depth)


def family(core: Core) -> Choose:
    """The kernels for a core."""

    def choose(product: Product) -> Kernel | None:
        return _choose(core, product)

    return choose


def joined(product: Product) -> Product:
    """The same layer with fewer groups, where they are small."""
    size = product.outputs // product.groups
    counts = [count for count in range(1, product.groups + 1) if product.groups % count == 0]
    count = next((count for count in counts if count * size >= LEAST_OUTPUTS), product.groups)
    if count == 1:
        return product
    inputs = product.weights.shape[-1]
    weights = np.zeros((*product.weights.shape[:-1], count * inputs), np.int8)
    for output, own in enumerate(product.weights):
        place = output // size % count * inputs
        weights[output, ..., place : place + inputs] = own
    return replace(product, groups=product.groups // count, weights=weights)


def _choose(core: Core, product: Product) -> Kernel | None:
    """Take every convolution with groups whose sums fit 16 bits where they are taken there."""
    if product.groups == 1:
        return None
    product = joined(product)
    if product.groups == 1:
        return neon_convolution.family(core)(product)
    for together in range(MOST_TOGETHER, 0, -1) if core.method == "pairs" else (1,):
        shape = Grouped(
            core=core,
            window=product.window,
            outputs=product.outputs,
            groups=product.groups,
            together=together,
            ending=neon_ending.choose(product),
        )
        if shape.depth.length < together * LOADED > LOADED:
            continue
        if core.method == "dot" or fits_halves(_columns(product.weights, shape), together):
            break
    else:
        return None
    if shape.tile.pixels * shape.depth.length > neon_convolution.LARGEST_COLUMNS:
        return None
    zero = [product.input_zero] if shape.window.is_padded else []
    return Kernel(
        name=shape.name,
        build=lambda: build(shape),
        constants={"weights": pack(product.weights, shape), "table": _table(product, shape)},
        scalars=[*zero, product.output_zero, product.low, product.high],
    )


def _columns(weights: NDArray[np.int8], shape: Grouped) -> NDArray[np.int8]:
    """Weights [output, row, column, input] as (output, 1, number), filled up with zeros."""
    flat = weights.reshape(len(weights), -1)
    return np.pad(flat, ((0, 0), (0, shape.depth.length - flat.shape[1])))[:, np.newaxis]


def _table(product: Product, shape: Grouped) -> NDArray[np.int32]:
    """The tables of the groups, one after the other: each has whole vectors."""
    size = shape.group_outputs
    channels = [range(first, first + size) for first in range(0, shape.outputs, size)]
    return np.concatenate([neon_ending.table(product, each) for each in channels])


def pack(weights: NDArray[np.int8], shape: Grouped) -> NDArray[np.int8]:
    """Pack weights [output, row, column, input] group by group, block by block of its output channels."""
    columns = _columns(weights, shape).reshape(shape.groups, shape.group_outputs, -1)
    columns = np.pad(columns, ((0, 0), (0, -shape.group_outputs % CHANNELS), (0, 0)))
    step = shape.tile.vectors * CHANNELS
    packed: list[NDArray[np.int8]] = []
    for group in columns:
        for first in range(0, len(group), step):
            block = group[first : first + step]
            if shape.core.method == "dot":
                packed.append(block.reshape(len(block), -1, 4).transpose(1, 0, 2).reshape(-1))
            else:
                packed += [part.reshape(-1) for part in cut_depth(block, shape.together)]
    return np.concatenate(packed).astype(np.int8)


def build(shape: Grouped) -> CKernel:
    """Write the kernel: (x, weights, table, y, scalars, [image with its border])."""
    window = shape.window
    parameters = ["const int8_t *restrict x", "const int8_t *restrict w", "const int32_t *restrict c"]
    parameters += ["int8_t *restrict y", *(f"int32_t {scalar}" for scalar in shape.scalars)]
    parameters += ["int8_t *restrict image"] if window.is_padded else []
    body: list[str] = []
    for column in cut(window.output_width, shape.tile.pixels):
        body += loop("tile", column.count, loop("group", shape.groups, _group(shape, column)))
    lines = [*neon_border.text(window), f"const int8_t *const in = {'image' if window.is_padded else 'x'};"]
    lines += loop("row", window.output_height, body)
    text = "\n".join([f"{c_text.wrapped(f'KERNEL void {shape.name}(', parameters)}) {{", *indented(lines), "}", ""])
    workspaces = (neon_border.size(window),) if window.is_padded else ()
    return CKernel(name=shape.name, source=text, workspaces=workspaces, spreads=True)


def _group(shape: Grouped, column: Cut) -> list[str]:
    """Gather what a tile sees of one group, and compute its channels."""
    lines = _gather(shape, column)
    for width in neon_convolution.channel_cuts(shape.group_outputs, shape.tile):
        lines += loop("block", width.count, _tile(shape, column, width))
    return lines


def _gather(shape: Grouped, column: Cut) -> list[str]:
    window, length, run = shape.window, shape.depth.length, shape.run
    step = window.stride[1] * window.channels
    used = [("row", window.stride[0] * window.row_elements)] if window.output_height > 1 else []
    used += [("tile", column.size * step)] if column.count > 1 else []
    seen = offset(terms("in", *used, ("group", run)), column.first * step)
    lines = [
        f"int8_t columns[{column.size * length}] __attribute__((aligned(16)));",
        f"const int8_t *const seen = {seen};",
    ]
    spare = -(window.kernel[0] * window.kernel[1] * run) % shape.core.unit
    for p in range(column.size):
        places = [
            y * window.dilation[0] * window.row_elements + x * window.dilation[1] * window.channels
            for y in range(window.kernel[0])
            for x in range(window.kernel[1])
        ]
        for n, place in enumerate(places):
            source = offset("seen", p * step + place)
            lines.append(f"memcpy({offset('columns', p * length + n * run)}, {source}, {run}u);")
        if spare:
            lines.append(f"memset({offset('columns', (p + 1) * length - spare)}, 0, {spare}u);")
    return lines


def _tile(shape: Grouped, column: Cut, width: Cut) -> list[str]:
    """Where a tile's operands lie, and the tile."""
    window, depth, outputs = shape.window, shape.depth, shape.outputs
    channels, first = width.size * CHANNELS, width.first * CHANNELS
    padded = shape.vectors * CHANNELS

    def at(base: str, constant: int, *steps: tuple[str, int]) -> str:
        used = [step for step in steps if step[0] != "block" or width.count > 1]
        return offset(terms(base, *used), constant)

    products, columns = depth.products, neon_ending.COLUMNS
    place = [("row", window.output_width * outputs)] if window.output_height > 1 else []
    place += [("tile", column.size * outputs)] if column.count > 1 else []
    place += [("group", shape.group_outputs), ("block", channels)]
    weights = at("w", first * products, ("group", padded * products), ("block", channels * products))
    table = at("c", first * columns, ("group", padded * columns), ("block", channels * columns))
    lines = [
        "const int8_t *const from = columns;",
        f"const int8_t *const weights = {weights};",
        f"const int32_t *const table = {table};",
        f"int8_t *const to = {at('y', column.first * outputs + first, *place)};",
    ]
    tile = Tile(pixels=column.size, vectors=width.size)
    lines += sums_text(shape.core, tile, depth, depth.length)
    return lines + neon_ending.text(shape.ending, tile, outputs, last=width.last)
