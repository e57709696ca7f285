"""int8 convolution and matrix products with the DSP extension: columns of int16 times packed weights (c_dsp_multiply).

A column is all that one output pixel sees, widened once and then multiplied with every output channel; two pixels side
by side share each load of the weights. Where a row of output is a single pixel, as in a fully connected layer, four
channels share each load of the column.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from edgecompress.compile import c_dsp_multiply
from edgecompress.compile.c_dsp import Ending
from edgecompress.compile.c_dsp_multiply import GROUP
from edgecompress.compile.kernels import dsp_epilogue, loops
from edgecompress.compile.kernels.loops import Buffer, Expr, Function, call, int32, loop, temporary
from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.kernels.window import Window

UNROLLED = 2 * GROUP
"""Bytes that are widened where they are needed; more of them by a function."""


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """The shape class of a convolution without groups. `window` is flattened."""

    window: Window
    outputs: int
    ending: Ending

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"dsp_convolution_{self.window.name()}_o{self.outputs}{self.ending.suffix}"

    @property
    def scalars(self) -> tuple[str, ...]:
        """The int32 parameters behind the buffers."""
        zero = ("input_zero",) if self.window.is_padded else ()
        return (*zero, *self.ending.scalars)

    @property
    def pixels(self) -> int:
        """Columns that are multiplied at a time."""
        return min(self.window.output_width, 2)

    @property
    def channels(self) -> int:
        """Output channels whose weights lie together."""
        return 2 if self.pixels == 2 else 4

    @property
    def taps(self) -> int:
        """Steps of the sum."""
        return math.prod(self.window.kernel) * self.window.channels

    @property
    def groups(self) -> int:
        """Groups of the sum (c_dsp_multiply); the last may have steps to spare, whose weights are zero."""
        return -(-self.taps // GROUP)

    @property
    def column_words(self) -> int:
        """Words of a column."""
        return self.groups * GROUP // 2


def choose(product: Product) -> Kernel | None:
    """Take a product without groups whose sums and factors the packed arithmetic holds."""
    settled = dsp_epilogue.settled(product)
    if product.groups > 1 or settled is None or not _packs_exactly(settled.weights):
        return None
    shape = Convolution(window=product.window.flattened(), outputs=product.outputs, ending=dsp_epilogue.ending(settled))
    table = dsp_epilogue.table(settled)
    return Kernel(
        name=shape.name,
        build=lambda: build(shape),
        constants={"weights": pack(settled.weights, shape), "table": _padded(table, shape.channels)},
        scalars=dsp_epilogue.scalars(settled),
        halfwords=True,
    )


def pack(weights: NDArray[np.int8], shape: Convolution) -> NDArray[np.int8]:
    """Pack weights [output, row, column, input] as c_dsp_multiply reads them.

    Halfwords of two channels, [tile of channels][group][steps 0 and 2, steps 1 and 3][two channels][step].
    """
    rows = _padded(weights.reshape(shape.outputs, -1), shape.channels).astype(np.int16)
    rows = np.pad(rows, ((0, 0), (0, shape.groups * GROUP - shape.taps)))
    halfwords = rows[1::2] * 256 + rows[0::2]
    tiles = halfwords.reshape(-1, shape.channels // 2, shape.groups, 2, 2)  # tile, two channels, group, step // 2, % 2
    return np.ascontiguousarray(tiles.transpose(0, 2, 4, 1, 3)).reshape(-1).astype("<i2").view(np.int8)


def build(shape: Convolution) -> tirx.PrimFunc:
    """Write the kernel: (input, packed weights, padded requantisation table, output, scalars)."""
    window, pixels = shape.window, shape.pixels
    rows, columns = window.output_height, window.output_width
    padded_outputs = -(-shape.outputs // shape.channels) * shape.channels
    function = Function()
    with function.body():
        image = function.argument("input", window.height * window.width * window.channels, "int8")
        weights = function.argument("weights", padded_outputs * shape.groups * GROUP, "int8")
        table = function.argument("table", padded_outputs * shape.ending.columns, "int32")
        output = function.argument("output", rows * columns * shape.outputs, "int8")
        scalars = {name: function.scalar(name) for name in shape.scalars}
        column = temporary("column", pixels * shape.column_words, "int32")
        gather = _Gather(shape, image, column, scalars.get("input_zero"))
        with loop("y", rows) as y, loop("tile", -(-columns // pixels)) as tile:
            # The last tile of an odd row computes the pixel before it again.
            x = tirx.min(int32(tile * pixels), int32(columns - pixels)) if columns % pixels else tile * pixels
            with loop("pixel", pixels) as pixel:
                gather.load(y, x + pixel, pixel)
            call(
                c_dsp_multiply.multiply_name(pixels, shape.ending),
                column.at(0),
                weights.at(0),
                table.at(0),
                output.at((y * columns + x) * shape.outputs),
                shape.groups,
                shape.outputs,
                *(scalars[name] for name in shape.scalars if name != "input_zero"),
            )
    return function.finish()


class _Gather:
    """Writes the column of an output pixel: straight from the image, or by way of a patch of bytes.

    A patch is needed when runs of neighbouring bytes end within a group.
    """

    def __init__(self, shape: Convolution, image: Buffer, column: Buffer, zero: Expr | None) -> None:
        window = shape.window
        self._shape, self._window, self._image, self._column, self._zero = shape, window, image, column, zero
        joined = window.kernel[1] if window.dilation[1] == 1 else 1
        split = window.channels if window.padding[1] or window.padding[3] else joined * window.channels
        needs_patch = split % GROUP != 0 and shape.taps > split
        self._joined = joined
        self._patch: Buffer | None = None
        if needs_patch:
            whole = shape.groups * GROUP
            self._patch = temporary("patch", whole, "int8")
            for spare in range(shape.taps, whole):
                self._patch[spare] = int32(0).astype("int8")

    def load(self, y: Expr, x: Expr, pixel: Expr) -> None:
        """Write the column of output (y, x) to its place among the pixels of the tile."""
        window = self._window
        with loop("tap_y", window.kernel[0]) as tap_y:
            row = int32(y * window.stride[0] + tap_y * window.dilation[0] - window.padding[0])
            first = tap_y * window.kernel[1] * window.channels

            def inside() -> None:
                self._row(row, x, first, pixel)

            if window.padding[0] or window.padding[2]:
                count = window.kernel[1] * window.channels
                loops.choose(tirx.all(row >= 0, row < window.height), inside, lambda: self._fill(first, count, pixel))
            else:
                inside()
        if self._patch is not None:
            self._widen(0, self._patch, 0, self._shape.groups * GROUP, pixel)

    def _row(self, row: Expr, x: Expr, first: Expr, pixel: Expr) -> None:
        """Write what one row of the kernel sees, in one run where it can be."""
        window = self._window
        start = int32(x * window.stride[1] - window.padding[1])
        run = self._joined * window.channels

        def whole() -> None:
            with loop("tap_x", window.kernel[1] // self._joined) as tap_x:
                source = (row * window.width + start + tap_x * window.dilation[1]) * window.channels
                self._copy(first + tap_x * run, source, run, pixel)

        def by_taps() -> None:
            with loop("tap_x", window.kernel[1]) as tap_x:
                at = int32(start + tap_x * window.dilation[1])
                to = first + tap_x * window.channels
                loops.choose(
                    tirx.all(at >= 0, at < window.width),
                    lambda: self._copy(to, (row * window.width + at) * window.channels, window.channels, pixel),
                    lambda: self._fill(to, window.channels, pixel),
                )

        if not (window.padding[1] or window.padding[3]):
            whole()
            return
        reach = window.dilation[1] * (window.kernel[1] - 1)
        loops.choose(tirx.all(start >= 0, start < window.width - reach), whole, by_taps)

    @property
    def _step(self) -> int:
        """Words between two groups of a pixel."""
        return GROUP // 2 * self._shape.pixels

    def _place(self, first: Expr, pixel: Expr) -> Expr:
        """Where in the columns a step of the sum lies; it starts a group."""
        return tirx.floordiv(int32(first), int32(GROUP)) * self._step + pixel * (GROUP // 2)

    def _copy(self, first: Expr, source: Expr, count: int, pixel: Expr) -> None:
        if self._patch is not None:
            call("memcpy", self._patch.at(first), self._image.at(source), count)
            return
        self._widen(first, self._image, source, count, pixel)

    def _widen(self, first: Expr, values: Buffer, source: Expr, count: int, pixel: Expr) -> None:
        """Write bytes to a column; a few without the call of a function."""
        if count > UNROLLED or count % GROUP:
            call("dsp_widen", self._column.at(self._place(first, pixel)), values.at(source), count, self._step)
            return
        for i in range(0, count, GROUP):
            call("dsp_widen_group", self._column.at(self._place(first + i, pixel)), values.at(source + i))

    def _fill(self, first: Expr, count: int, pixel: Expr) -> None:
        if self._patch is not None:
            call("memset", self._patch.at(first), self._zero, count)
            return
        call("dsp_fill", self._column.at(self._place(first, pixel)), self._zero, count, self._step)


def _packs_exactly(weights: NDArray[np.int8]) -> bool:
    """True when two channels fit one halfword, and the second one's sum fits the bits that are left of it."""
    sums = np.abs(weights.astype(np.int64)).sum(axis=(1, 2, 3))
    return bool(weights.min() > -128 and (128 * sums < 2**c_dsp_multiply.EXACT_BITS).all())


def _padded(rows: NDArray[np.generic], multiple: int) -> NDArray[np.generic]:
    """Add rows of zeros until their number is a multiple."""
    return np.pad(rows, ((0, -len(rows) % multiple), (0, 0)))
