"""int8 convolutions and matrix products on x86-64: register tiles of pixels x output channels (x86_tile).

Weights are packed in the order in which they are read. The image is copied first, with its zero point around it, in the
form in which it is multiplied; numbers beyond what a result sees meet weights of 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile import c_text
from edgecompress.compile.kernels import tuning, x86_ending, x86_image
from edgecompress.compile.kernels.product import Choose, Kernel, Product
from edgecompress.compile.kernels.vector_core import indented, loop, offset, terms
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.kernels.x86_core import Core, channel_order
from edgecompress.compile.kernels.x86_ending import Ending
from edgecompress.compile.kernels.x86_plain import Plain, either
from edgecompress.compile.kernels.x86_tile import Cut, Depth, Tile, biases, choose_tile, cut_evenly, sums_text
from edgecompress.compile.program import CKernel


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """The shape class of a convolution without groups. `window` is flattened."""

    core: Core
    window: Window
    outputs: int
    ending: Ending

    @property
    def name(self) -> str:
        """The kernel's name."""
        geometry = f"{self.window.name()}_o{self.outputs}"
        return f"x86_{self.core.method}_convolution_{geometry}{self.ending.suffix}"

    @property
    def scalars(self) -> tuple[str, ...]:
        """The int32 parameters behind the buffers."""
        return (*(("input_zero",) if self.window.is_padded else ()), *self.ending.scalars)

    @property
    def run(self) -> int:
        """Numbers that lie side by side in the image."""
        window = self.window
        return window.channels * (window.kernel[1] if window.dilation[1] == 1 else 1)

    @property
    def depth(self) -> Depth:
        """What one result sums up."""
        window = self.window
        taps = [(window.kernel[0], window.dilation[0] * window.row_elements)]
        if window.dilation[1] != 1:
            taps.append((window.kernel[1], window.dilation[1] * window.channels))
        return Depth(taps=tuple(taps), words=-(-self.run // self.core.unit))

    @property
    def tile(self) -> Tile:
        """The register tile."""
        return choose_tile(self.core, self.window.output_width, self.outputs, self.depth)

    @property
    def blocks(self) -> list[Cut]:
        """The blocks of output channels, in vectors; one that is not full stands alone, for it stores less."""
        cuts = cut_evenly(-(-self.outputs // self.core.lanes), self.tile.vectors)
        *others, last = cuts
        if self.outputs % self.core.lanes == 0 or last.count == 1:
            return cuts
        before = last.count - 1
        partial = Cut(count=1, size=last.size, first=last.first + before * last.size)
        return [*others, replace(last, count=before), partial]

    @property
    def order(self) -> list[int]:
        """The output channel of each word of the blocks' vectors."""
        order: list[int] = []
        for block in self.blocks:
            for number in range(block.count):
                first = (block.first + number * block.size) * self.core.lanes
                order += [first + channel for channel in channel_order(self.core.lanes, block.size)]
        return order


def family(core: Core) -> Choose:
    """The kernels for a core."""

    def choose(product: Product) -> Kernel | None:
        return _choose(core, product)

    return choose


def _choose(core: Core, product: Product) -> Kernel | None:
    """Take every product without groups."""
    if product.groups > 1:
        return None
    ending = x86_ending.choose(product)
    shape = Convolution(core=core, window=product.window.flattened(), outputs=product.outputs, ending=ending)
    zero = [product.input_zero] if shape.window.is_padded else []
    return Kernel(
        name=shape.name,
        build=lambda: build(shape),
        constants={
            "weights": pack(product.weights, shape),
            "table": x86_ending.table(ending, core.as_multiplied(product), core.lanes, shape.order),
        },
        scalars=[*zero, *ending.scalar_values(product)],
    )


def pack(weights: NDArray[np.int8], shape: Convolution) -> NDArray[np.int8]:
    """Pack weights [output, row, column, input] as the tiles read them: (block, word of the depth, vector, channel)."""
    core, order = shape.core, shape.order
    runs = weights.reshape(len(weights), -1, shape.run)
    runs = np.pad(runs, ((0, max(order) + 1 - len(runs)), (0, 0), (0, -shape.run % core.unit)))
    words = runs.reshape(len(runs), -1, core.unit)[order]
    packed: list[NDArray[np.int8]] = []
    first = 0
    for block in shape.blocks:
        for _ in range(block.count):
            size = block.size * core.lanes
            packed.append(words[first : first + size].transpose(1, 0, 2).reshape(-1))
            first += size
    return np.concatenate(packed)


def build(shape: Convolution) -> CKernel:
    """Write the kernel: (x, weights, table, y, scalars, image)."""
    core = shape.core
    parameters = ["const int8_t *restrict x", "const int8_t *restrict w", "const int32_t *restrict c"]
    parameters += ["int8_t *restrict y", *(f"int32_t {scalar}" for scalar in shape.scalars)]
    parameters += [f"{core.element} *restrict image"]
    source = f"const {core.element} *const in = image;"
    body = [*x86_image.text(core, shape.window), source, *_rows(shape)]
    text = "\n".join([f"{c_text.wrapped(f'KERNEL void {shape.name}(', parameters)}) {{", *indented(body), "}", ""])
    workspaces = (x86_image.size(core, shape.window),)
    return CKernel(name=shape.name, source=text, workspaces=workspaces, spreads=True)


def _rows(shape: Convolution) -> list[str]:
    """The loops over rows, tiles of pixels and blocks of channels.

    Weights that fit half of the level 1 cache are read anew for each tile; otherwise each block of them for all tiles.
    """
    tile, rows = shape.tile, shape.window.output_height
    columns = cut_evenly(shape.window.output_width, tile.pixels)
    body: list[str] = []
    if shape.outputs * shape.depth.steps * shape.core.unit <= tuning.current().l1_bytes // 2:
        for column in columns:
            blocks = [loop("block", block.count, _tile(shape, column, block)) for block in shape.blocks]
            body += loop("tile", column.count, list(chain.from_iterable(blocks)))
        return loop("row", rows, body)
    for block in shape.blocks:
        tiles = [loop("tile", column.count, _tile(shape, column, block)) for column in columns]
        body += loop("block", block.count, loop("row", rows, list(chain.from_iterable(tiles))))
    return body


def _tile(shape: Convolution, column: Cut, block: Cut) -> list[str]:
    """Where a tile's operands lie, and the tile; the last block of all may store less than its vectors hold."""
    window, core, outputs = shape.window, shape.core, shape.outputs
    counts = {"row": window.output_height, "tile": column.count, "block": block.count}
    channels = block.size * core.lanes
    first = block.first * core.lanes
    weights = shape.depth.steps * core.unit
    step = window.stride[1] * window.channels

    def at(base: str, constant: int, **steps: int) -> str:
        used = [(name, distance) for name, distance in steps.items() if counts[name] > 1]
        return offset(terms(base, *used), constant)

    seen = {"row": window.stride[0] * window.row_elements, "tile": column.size * step}
    place = {"row": window.output_width * outputs, "tile": column.size * outputs, "block": channels}
    columns = shape.ending.columns
    lines = [
        f"const {core.element} *const from = {at('in', column.first * step, **seen)};",
        f"const int8_t *const weights = {at('w', first * weights, block=channels * weights)};",
        f"const int32_t *const table = {at('c', first * columns, block=channels * columns)};",
        f"int8_t *const to = {at('y', column.first * outputs + first, **place)};",
    ]
    tile = Tile(pixels=column.size, vectors=block.size)
    body = [*biases(core, tile, columns), *sums_text(core, tile, shape.depth, step)]
    for v in range(tile.vectors):
        body += ["{", *indented(x86_ending.scaled(shape.ending, core.lanes, v, [row[v] for row in tile.sums])), "}"]
    for p, row in enumerate(tile.sums):
        body += x86_ending.stored(shape.ending, core.lanes, row, offset("to", p * outputs), last=outputs - first)
    taps = (*shape.depth.taps, (1, 0))
    plain = Plain(
        kind="convolution",
        pixels=tile.pixels,
        vectors=tile.vectors,
        last=outputs - first,
        outputs=outputs,
        taps=taps[0],
        more_taps=taps[1],
        words=shape.depth.words,
        pixel_step=step,
    )
    return [*lines, *either(core, shape.ending, body, plain)]
