"""The product of two computed int8 matrices on x86-64: differences from the zero points, as int16.

Both matrices are copied for each of the batches: rows as they are, columns packed like weights (x86_convolution).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from edgecompress.compile import c_text
from edgecompress.compile.kernels import x86_ending
from edgecompress.compile.kernels.matrix_product import MatrixProduct
from edgecompress.compile.kernels.vector_core import indented, loop, offset, terms
from edgecompress.compile.kernels.x86_core import Core, channel_order
from edgecompress.compile.kernels.x86_ending import Ending
from edgecompress.compile.kernels.x86_tile import Cut, Depth, Tile, choose_tile, cut_evenly, sums_text
from edgecompress.compile.program import CKernel

MOST_BYTES = 65_536
"""The copies lie on the stack."""
ENDING = Ending(rounding="any", limits=True)


@dataclass(frozen=True, kw_only=True)
class Family:
    """The kernels of a core with factors of 16 bits."""

    core: Core

    def fits(self, shape: MatrixProduct) -> bool:
        """True when the depth is whole words, and the copies are small."""
        numbers = (shape.rows + len(_Writer(self.core, shape).order)) * shape.depth
        return shape.depth % self.core.unit == 0 and 2 * numbers <= MOST_BYTES

    def name(self, shape: MatrixProduct) -> str:
        """The kernel's name."""
        return f"x86_{self.core.lanes}_{shape.name}"

    def build(self, shape: MatrixProduct) -> CKernel:
        """Write the kernel: (first, second, output, scalars)."""
        parameters = ["const int8_t *restrict first", "const int8_t *restrict second", "int8_t *restrict output"]
        parameters += [f"int32_t {scalar}" for scalar in shape.SCALARS]
        body = _Writer(self.core, shape).batch()
        for axis in reversed(range(len(shape.batches))):
            body = loop(f"batch{axis}", shape.batches[axis], body)
        head = c_text.wrapped(f"KERNEL void {self.name(shape)}(", parameters)
        text = "\n".join([f"{head}) {{", *indented(body), "}", ""])
        return CKernel(name=self.name(shape), source=text, workspaces=(), spreads=max(shape.batches, default=1) > 1)


@dataclass(frozen=True)
class _Writer:
    core: Core
    shape: MatrixProduct

    @property
    def depth(self) -> Depth:
        return Depth(taps=((1, 0),), words=self.shape.depth // self.core.unit)

    @property
    def tile(self) -> Tile:
        return choose_tile(self.core, self.shape.rows, self.shape.columns, self.depth)

    @property
    def blocks(self) -> list[Cut]:
        """The blocks of columns, each written out, in registers."""
        cuts = cut_evenly(-(-self.shape.columns // self.core.lanes), self.tile.vectors)
        return [
            Cut(count=1, size=cut.size, first=cut.first + number * cut.size)
            for cut in cuts
            for number in range(cut.count)
        ]

    @property
    def order(self) -> list[int]:
        """The column of each word of the blocks' registers."""
        lanes = self.core.lanes
        return [block.first * lanes + column for block in self.blocks for column in channel_order(lanes, block.size)]

    def batch(self) -> list[str]:
        """The product of one batch."""
        shape = self.shape
        *first_steps, row_step = shape.first_strides
        *second_steps, column_step = shape.second_strides
        results = shape.rows * shape.columns
        output_steps = [results for _ in shape.batches]
        for axis in reversed(range(len(shape.batches) - 1)):
            output_steps[axis] = output_steps[axis + 1] * shape.batches[axis + 1]

        def at(base: str, steps: list[int]) -> str:
            used = [(f"batch{axis}", step) for axis, step in enumerate(steps) if shape.batches[axis] > 1]
            return terms(base, *used)

        lines = [
            f"const int8_t *const a = {at('first', first_steps)};",
            f"const int8_t *const b = {at('second', second_steps)};",
            f"int8_t *const result = {at('output', output_steps)};",
            f"const {self.core.words} multipliers = ({self.core.words}){{0}} + multiplier;",
            f"const {self.core.words} left = ({self.core.words}){{0}} + (shift > 0 ? shift : 0);",
            f"const {self.core.words} right = ({self.core.words}){{0}} + (shift < 0 ? -shift : 0);",
            *self._copies(row_step, column_step),
        ]
        columns = cut_evenly(shape.rows, self.tile.pixels)
        for block in self.blocks:
            tiles = (loop("row", rows.count, self._tile(rows, block)) for rows in columns)
            lines += list(chain.from_iterable(tiles))
        return lines

    def _copies(self, row_step: int, column_step: int) -> list[str]:
        """Rows side by side, and columns as `order` says, word by word of the depth within a block."""
        shape, core = self.shape, self.core
        copy = f"copy_less_twos{core.lanes}"
        lines = [
            f"int16_t rows[{shape.rows * shape.depth}];",
            f"int16_t columns[{len(self.order) * shape.depth}] __attribute__((aligned(64)));",
            *loop(
                "i",
                shape.rows,
                [f"{copy}(rows + i * {shape.depth}u, a + i * {row_step}u, {shape.depth}u, first_zero);"],
            ),
        ]
        for block in self.blocks:
            size, first = block.size * core.lanes, block.first * core.lanes
            count = min(size, shape.columns - first)
            order = channel_order(core.lanes, block.size)
            places = ", ".join(str(order.index(column)) for column in range(count))
            lines += [
                "{",
                f"  static const uint16_t places[{count}] = {{{places}}};",
                f"  int16_t column[{shape.depth}];",
                *indented(
                    [
                        f"for (uint32_t i = 0; i < {count}u; ++i) {{",
                        f"  {copy}(column, b + (i + {first}u) * {column_step}u, {shape.depth}u, second_zero);",
                        f"  int16_t *const to = columns + {first * shape.depth}u + places[i] * {core.unit}u;",
                        f"  for (uint32_t k = 0; k < {self.depth.words}u; ++k) {{",
                        f"    memcpy(to + k * {size * core.unit}u, column + k * {core.unit}u, 4u);",
                        "  }",
                        "}",
                    ]
                ),
                "}",
            ]
        return lines

    def _tile(self, rows: Cut, block: Cut) -> list[str]:
        shape, core = self.shape, self.core
        step, first = rows.size * shape.depth, block.first * core.lanes
        repeated = rows.count > 1
        source = terms("rows", *([("row", step)] if repeated else []))
        target = terms("result", *([("row", rows.size * shape.columns)] if repeated else []))
        tile = Tile(pixels=rows.size, vectors=block.size)
        lines = [
            f"const int16_t *const from = {offset(source, rows.first * shape.depth)};",
            f"const int16_t *const weights = {offset('columns', first * shape.depth)};",
            f"int8_t *const to = {offset(target, rows.first * shape.columns + first)};",
            *(f"{core.words} {name} = {{0}};" for row in tile.sums for name in row),
            *sums_text(core, tile, self.depth, shape.depth),
        ]
        for name in chain.from_iterable(tile.sums):
            lines.append(f"{name} = scale_any{core.lanes}({name}, multipliers, left, right, output_zero);")
        for p, row in enumerate(tile.sums):
            last = shape.columns - first
            lines += x86_ending.stored(ENDING, core.lanes, row, offset("to", p * shape.columns), last=last)
        return lines
