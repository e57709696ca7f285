"""An int8 image at another size: the nearest pixel of the old image, or a weighted mean of four.

Which pixels, and their weights, are tables of int32: an entry for each new row, and one for each new column. Source:
TensorFlow Lite, reference_ops::ResizeNearestNeighbor and ResizeBilinearInteger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from edgecompress.compile.kernels import fixed_point
from edgecompress.compile.kernels.loops import Buffer, Expr, Function, int32, let, loop
from edgecompress.compile.resampling import ONE, WEIGHT_BITS


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """The shape class of a change of size; `is_linear`: between four pixels."""

    height: int
    width: int
    channels: int
    output_height: int
    output_width: int
    is_linear: bool

    SCALARS: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """The kernel's name."""
        method = "linear" if self.is_linear else "nearest"
        sizes = f"{self.height}x{self.width}x{self.channels}_to_{self.output_height}x{self.output_width}"
        return f"resize_{method}_{sizes}"

    @property
    def entry(self) -> int:
        """How many numbers a table has for a row or a column: one place, or two places and a weight."""
        return 3 if self.is_linear else 1


def places(table: NDArray[np.int32], stride: int) -> NDArray[np.int32]:
    """The table of an axis as kernels take it: where its pixels begin; weights stay."""
    strides = np.ones(table.shape[1], np.int32)
    strides[:2] = stride
    return np.ascontiguousarray(table * strides, np.int32).reshape(-1)


def build(shape: Resampling) -> tirx.PrimFunc:
    """Write the kernel: (input, places of rows, places of columns, output). Places count elements."""
    function = Function()
    with function.body():
        image = function.argument("input", shape.height * shape.width * shape.channels, "int8")
        rows = function.argument("rows", shape.entry * shape.output_height, "int32")
        columns = function.argument("columns", shape.entry * shape.output_width, "int32")
        output = function.argument("output", shape.output_height * shape.output_width * shape.channels, "int8")
        make = _linear if shape.is_linear else _nearest
        with loop("y", shape.output_height) as y, loop("x", shape.output_width) as x:
            row = [let("row", rows[y * shape.entry + part]) for part in range(shape.entry)]
            column = [let("column", columns[x * shape.entry + part]) for part in range(shape.entry)]
            pixel = make(image, row, column)
            with loop("channel", shape.channels) as channel:
                output[(y * shape.output_width + x) * shape.channels + channel] = pixel(channel)
    return function.finish()


def _nearest(image: Buffer, row: list[Expr], column: list[Expr]) -> Expr:
    start = let("start", row[0] + column[0])
    return lambda channel: image[start + channel]


def _linear(image: Buffer, row: list[Expr], column: list[Expr]) -> Expr:
    """Between rows and columns `[0]` and `[1]`; `[2]` is the weight of the second."""
    corners = [
        (
            let("start", row[below] + column[right]),
            let("weight", _weight(row[2], second=below) * _weight(column[2], second=right)),
        )
        for below in (0, 1)
        for right in (0, 1)
    ]

    def mean(channel: Expr) -> Expr:
        total = let("total", sum(int32(image[start + channel]) * weight for start, weight in corners))
        return fixed_point.divide_by_power(total, 2 * WEIGHT_BITS - 1).astype("int8")

    return mean


def _weight(of_second: Expr, *, second: int) -> Expr:
    return of_second if second else ONE - of_second
