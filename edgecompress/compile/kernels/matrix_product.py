"""The product of two int8 matrices that are both computed, for each of several batches, as in attention."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from tvm import tirx

from edgecompress.compile.kernels import fixed_point
from edgecompress.compile.kernels.loops import Buffer, Expr, Function, clamp, int32, let, loop, split, temporary

TILE_ROWS, TILE_COLUMNS = 2, 4
"""Eight sums stay in registers, as in the other integer kernels."""


@dataclass(frozen=True, kw_only=True)
class MatrixProduct:
    """The shape class of (..., rows, depth) times (..., depth, columns).

    `first_strides` and `second_strides` say how far neighbours lie apart in memory: along each of the `batches`, then
    along the rows or the columns. Along the depth they lie side by side. The output lies in order.
    """

    batches: tuple[int, ...]
    rows: int
    columns: int
    depth: int
    first_strides: tuple[int, ...]
    second_strides: tuple[int, ...]

    SCALARS: ClassVar[tuple[str, ...]] = (
        "first_zero",
        "second_zero",
        "multiplier",
        "shift",
        "output_zero",
        "low",
        "high",
    )

    @property
    def name(self) -> str:
        """The kernel's name."""
        extents = "x".join(str(extent) for extent in (*self.batches, self.rows, self.depth, self.columns))
        strides = ("_".join(str(stride) for stride in each) for each in (self.first_strides, self.second_strides))
        return f"matrix_product_{extents}_from_{'_and_'.join(strides)}"

    @property
    def macs(self) -> int:
        """How many products are summed."""
        return math.prod(self.batches) * self.rows * self.columns * self.depth

    def elements(self, strides: tuple[int, ...], last: int) -> int:
        """How many elements of memory an operand reaches over; `last` is its rows or columns."""
        extents = (*self.batches, last)
        return sum((extent - 1) * stride for extent, stride in zip(extents, strides, strict=True)) + self.depth


def build(shape: MatrixProduct) -> tirx.PrimFunc:
    """Write the kernel: (first, second, output, scalars)."""
    function = Function()
    with function.body():
        first = function.argument("first", shape.elements(shape.first_strides, shape.rows), "int8")
        second = function.argument("second", shape.elements(shape.second_strides, shape.columns), "int8")
        output = function.argument("output", math.prod(shape.batches) * shape.rows * shape.columns, "int8")
        scalars = {name: function.scalar(name) for name in shape.SCALARS}

        def visit(axis: int, starts: tuple[Expr, Expr, Expr]) -> None:
            if axis == len(shape.batches):
                _Matrix(shape, (first, second, output), starts, scalars).write()
                return
            with loop(f"batch_{axis}", shape.batches[axis]) as i:
                a, b, c = starts
                a, b = a + i * shape.first_strides[axis], b + i * shape.second_strides[axis]
                visit(axis + 1, (a, b, c * shape.batches[axis] + i))

        visit(0, (0, 0, 0))
    return function.finish()


class _Matrix:
    """Writes the product of one batch; `starts` are the places of the operands and the number of the batch."""

    def __init__(
        self,
        shape: MatrixProduct,
        buffers: tuple[Buffer, Buffer, Buffer],
        starts: tuple[Expr, Expr, Expr],
        scalars: dict[str, Expr],
    ) -> None:
        self._shape = shape
        self._first, self._second, self._output = buffers
        self._starts = starts
        self._scalars = scalars

    def write(self) -> None:
        """Go through the tiles: whole ones first, then what is left of rows and columns."""
        for first_row, row_tiles, rows in split(self._shape.rows, TILE_ROWS):
            with loop("row_tile", row_tiles) as row_tile:
                row = first_row + row_tile * rows
                for first_column, column_tiles, columns in split(self._shape.columns, TILE_COLUMNS):
                    with loop("column_tile", column_tiles) as column_tile:
                        self._tile(row, rows, first_column + column_tile * columns, columns)

    def _tile(self, row: Expr, rows: int, column: Expr, columns: int) -> None:
        shape, scalars = self._shape, self._scalars
        a_start, b_start, batch = self._starts
        sums = temporary("sums", rows * columns, "int32")
        for i in range(rows * columns):
            sums[i] = int32(0)
        with loop("k", shape.depth) as k:
            a = [
                let("a", int32(self._first[a_start + (row + r) * shape.first_strides[-1] + k]) - scalars["first_zero"])
                for r in range(rows)
            ]
            b = [
                let(
                    "b",
                    int32(self._second[b_start + (column + c) * shape.second_strides[-1] + k]) - scalars["second_zero"],
                )
                for c in range(columns)
            ]
            for r in range(rows):
                for c in range(columns):
                    sums[r * columns + c] += a[r] * b[c]
        for r in range(rows):
            for c in range(columns):
                scaled = fixed_point.scale(sums[r * columns + c], scalars["multiplier"], scalars["shift"])
                at = (batch * shape.rows + row + r) * shape.columns + column + c
                bounded = clamp(scaled + scalars["output_zero"], scalars["low"], scalars["high"])
                self._output[at] = bounded.astype("int8")
