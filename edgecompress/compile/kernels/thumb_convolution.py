"""int8 convolution and matrix products on ARMv6-M: a column of bytes times packed weights (c_thumb).

A column is all that one output pixel sees, brought together once and then multiplied with every output channel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from edgecompress.compile import c_thumb
from edgecompress.compile.c_dsp import Ending
from edgecompress.compile.c_thumb import CHANNELS, GROUP
from edgecompress.compile.kernels import dsp_epilogue, loops
from edgecompress.compile.kernels.loops import Buffer, Expr, Function, call, int32, loop, temporary
from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.kernels.window import Window

COLUMNS = c_thumb.ROW_BYTES // 4
"""Words of the table for each channel: bias, multiplier, shifts."""


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """The shape class of a convolution without groups. `window` is flattened."""

    window: Window
    outputs: int
    ending: Ending

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"thumb_convolution_{self.window.name()}_o{self.outputs}{self.ending.suffix}"

    @property
    def scalars(self) -> tuple[str, ...]:
        """The int32 parameters behind the buffers."""
        zero = ("input_zero",) if self.window.is_padded else ()
        return (*zero, *self.ending.scalars)

    @property
    def taps(self) -> int:
        """Steps of the sum."""
        return math.prod(self.window.kernel) * self.window.channels

    @property
    def groups(self) -> int:
        """Groups of the sum (c_thumb); the last may have steps to spare."""
        return -(-self.taps // GROUP)

    @property
    def channels(self) -> NDArray[np.int64]:
        """The output channels in the order of their weights; the last tile has some of the one before it again."""
        firsts = np.minimum(np.arange(0, self.outputs, CHANNELS), self.outputs - CHANNELS)
        return (firsts[:, np.newaxis] + np.arange(CHANNELS)).reshape(-1)


def choose(product: Product) -> Kernel | None:
    """Take a product without groups of at least four channels, whose sums the arithmetic holds."""
    settled = dsp_epilogue.settled(product)
    if product.groups > 1 or product.outputs < CHANNELS or settled is None:
        return None
    ending = replace(dsp_epilogue.ending(settled), shared=False)
    shape = Convolution(window=product.window.flattened(), outputs=product.outputs, ending=ending)
    return Kernel(
        name=shape.name,
        build=lambda: build(shape),
        constants={"weights": pack(settled.weights, shape), "table": _table(settled)[shape.channels]},
        scalars=_scalars(settled, shape),
    )


def pack(weights: NDArray[np.int8], shape: Convolution) -> NDArray[np.uint8]:
    """Pack weights [output, row, column, input] as c_thumb reads them: [tile of channels][step][channel], plus 128."""
    rows = weights.reshape(shape.outputs, -1)[shape.channels].astype(np.int16) + 128
    rows = np.pad(rows, ((0, 0), (0, shape.groups * GROUP - shape.taps)))
    tiles = rows.reshape(-1, CHANNELS, shape.groups * GROUP)
    return np.ascontiguousarray(tiles.transpose(0, 2, 1)).reshape(-1).astype(np.uint8)


def build(shape: Convolution) -> tirx.PrimFunc:
    """Write the kernel: (input, packed weights, requantisation table by tiles, output, scalars)."""
    window = shape.window
    rows, columns = window.output_height, window.output_width
    packed = len(shape.channels)
    function = Function()
    with function.body():
        image = function.argument("input", window.height * window.width * window.channels, "int8")
        weights = function.argument("weights", packed * shape.groups * GROUP, "uint8")
        table = function.argument("table", packed * COLUMNS, "int32")
        output = function.argument("output", rows * columns * shape.outputs, "int8")
        scalars = {name: function.scalar(name) for name in shape.scalars}
        column = temporary("column", 1 + shape.groups, "int32")
        gather = _Gather(shape, image, column, scalars.get("input_zero"))
        with loop("y", rows) as y, loop("x", columns) as x:
            column[0] = int32(0)
            gather.load(y, x)
            call(
                c_thumb.multiply_name(shape.ending),
                column.at(0),
                weights.at(0),
                table.at(0),
                output.at((y * columns + x) * shape.outputs),
                shape.groups,
                shape.outputs,
                *(scalars[name] for name in shape.ending.scalars),
            )
    return function.finish()


class _Gather:
    """Writes the column of an output pixel, in the longest runs that lie side by side."""

    def __init__(self, shape: Convolution, image: Buffer, column: Buffer, zero: Expr | None) -> None:
        self._window, self._image, self._column, self._zero = shape.window, image, column, zero
        self._joined = shape.window.kernel[1] if shape.window.dilation[1] == 1 else 1

    def load(self, y: Expr, x: Expr) -> None:
        """Write the column of output (y, x)."""
        window = self._window
        with loop("tap_y", window.kernel[0]) as tap_y:
            row = int32(y * window.stride[0] + tap_y * window.dilation[0] - window.padding[0])
            first = tap_y * window.kernel[1] * window.channels

            def inside() -> None:
                self._row(row, x, first)

            if window.padding[0] or window.padding[2]:
                count = window.kernel[1] * window.channels
                loops.choose(tirx.all(row >= 0, row < window.height), inside, lambda: self._fill(first, count))
            else:
                inside()

    def _row(self, row: Expr, x: Expr, first: Expr) -> None:
        """Write what one row of the kernel sees."""
        window = self._window
        start = int32(x * window.stride[1] - window.padding[1])
        if not (window.padding[1] or window.padding[3]):
            self._runs(row, start, first, self._joined)
            return
        reach = window.dilation[1] * (window.kernel[1] - 1)
        loops.choose(
            tirx.all(start >= 0, start < window.width - reach),
            lambda: self._runs(row, start, first, self._joined),
            lambda: self._taps(row, start, first),
        )

    def _runs(self, row: Expr, start: Expr, first: Expr, joined: int) -> None:
        """Copy runs of `joined` pixels, all inside the image."""
        window = self._window
        run = joined * window.channels
        with loop("tap_x", window.kernel[1] // joined) as tap_x:
            source = (row * window.width + start + tap_x * window.dilation[1]) * window.channels
            call("thumb_gather", self._column.at(0), first + tap_x * run, self._image.at(source), run)

    def _taps(self, row: Expr, start: Expr, first: Expr) -> None:
        """Copy or fill pixel by pixel, across the image's edge."""
        window = self._window
        with loop("tap_x", window.kernel[1]) as tap_x:
            at = int32(start + tap_x * window.dilation[1])
            to = first + tap_x * window.channels
            source = (row * window.width + at) * window.channels
            loops.choose(
                tirx.all(at >= 0, at < window.width),
                lambda: call("thumb_gather", self._column.at(0), to, self._image.at(source), window.channels),
                lambda: self._fill(to, window.channels),
            )

    def _fill(self, first: Expr, count: int) -> None:
        call("thumb_fill", self._column.at(0), first, self._zero, count)


def _table(product: Product) -> NDArray[np.int32]:
    """A row for each channel, as thumb_requantise reads it; 128 * sum(w) is part of the bias."""
    bias = product.bias - 128 * product.weights.astype(np.int64).sum(axis=(1, 2, 3))
    rows = [(by.value, dsp_epilogue.shifts(by)) for by in product.multipliers]
    return np.column_stack([bias, rows]).astype(np.int32)


def _scalars(product: Product, shape: Convolution) -> list[int]:
    """The parameters, by the names of shape.scalars."""
    values = {
        "input_zero": product.input_zero,
        "rounding": 2 * product.output_zero + 1,
        "low": product.low,
        "high": product.high,
    }
    return [values[name] for name in shape.scalars]
