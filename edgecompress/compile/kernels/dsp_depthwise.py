"""int8 depthwise convolution with the DSP extension: four channels at a time, spread out as int16 (c_dsp_depthwise).

Only the rows that one row of output sees are kept, in a ring. Each is written twice, a ring's length apart, so that the
rows of every window lie one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx

from edgecompress.compile.c_dsp import Ending
from edgecompress.compile.c_dsp_depthwise import BLOCK, Tile, pairs
from edgecompress.compile.kernels import dsp_epilogue, loops
from edgecompress.compile.kernels.loops import (
    Buffer,
    Expr,
    Function,
    call,
    int32,
    loop,
    split,
    temporary,
    when,
)
from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.kernels.window import Window

LARGEST_TILES = {1: (6, 4), 2: (5, 4, 3)}
"""Pixels of a tile by the stride of columns, as many as there are registers for; tiles start at even columns."""

LEAST_WIDTH = {1: 5, 2: 12}
"""Columns of output, by the stride, from which on spreading the rows out pays."""

LARGEST_KERNEL = 24
"""Pairs of weights that are worth writing out."""


@dataclass(frozen=True, kw_only=True)
class Depthwise:
    """The shape class of a depthwise convolution with as many outputs as inputs. `window` is flattened."""

    window: Window
    ending: Ending

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"dsp_depthwise_{self.window.name()}{self.ending.suffix}"

    @property
    def scalars(self) -> tuple[str, ...]:
        """The int32 parameters behind the buffers."""
        return (*(("input_zero",) if self.window.is_padded else ()), *self.ending.scalars)

    @property
    def phases(self) -> int:
        """Ways in which weights are paired."""
        return 1 if self.window.stride[1] == 2 else 2

    @property
    def pairs(self) -> int:
        """Pairs of weights of a channel and phase in a row of the kernel."""
        return pairs(self.window.kernel[1], self.phases)

    @property
    def slots(self) -> int:
        """Rows that are kept."""
        rows = self.window.kernel[0]
        return rows if rows == 1 else 2 * rows

    @property
    def width(self) -> int:
        """Columns of a spread row: the padded image, and what tiles read beyond it, whole pairs."""
        window = self.window
        left, right = window.padding[1], window.padding[3]
        tiles = ((first + (count - 1) * tile.pixels, tile) for first, count, tile in self.tiles())
        seen = max(last * window.stride[1] + tile.reach for last, tile in tiles)
        return max(seen, -(-(left + window.width + max(right, 1)) // 2) * 2)

    def tiles(self) -> list[tuple[int, int, Tile]]:
        """Cut a row of output: (first column, how many tiles, tile)."""
        columns, stride = self.window.output_width, self.window.stride[1]
        sizes = LARGEST_TILES[stride]
        whole = next((size for size in sizes if columns % size == 0), sizes[0])
        return [(first, count, self._tile(size)) for first, count, size in split(columns, min(whole, columns))]

    def _tile(self, pixels: int) -> Tile:
        rows, columns = self.window.kernel
        stride = self.window.stride[1]
        return Tile(rows=rows, columns=columns, stride=stride, pixels=pixels, phases=self.phases, ending=self.ending)


def choose(product: Product) -> Kernel | None:
    """Take a depthwise convolution of four channels and more, not dilated, with rows of output that are long enough."""
    window, settled = product.window.flattened(), dsp_epilogue.settled(product)
    if not product.is_depthwise or settled is None or window.channels < BLOCK:
        return None
    if window.dilation != (1, 1) or window.output_width < LEAST_WIDTH.get(window.stride[1], window.output_width + 1):
        return None
    shape = Depthwise(window=window, ending=dsp_epilogue.ending(settled))
    if window.kernel[0] * shape.pairs > LARGEST_KERNEL:
        return None
    return Kernel(
        name=shape.name,
        build=lambda: build(shape),
        constants={
            "weights": np.ascontiguousarray(settled.weights).reshape(-1),
            "table": dsp_epilogue.table(settled),
        },
        scalars=dsp_epilogue.scalars(settled),
    )


def build(shape: Depthwise) -> tirx.PrimFunc:
    """Write the kernel: (input, weights by channel, requantisation table, output, scalars)."""
    window = shape.window
    channels, columns = window.channels, window.output_width
    taps = window.kernel[0] * window.kernel[1]
    function = Function()
    with function.body():
        image = function.argument("input", window.height * window.width * channels, "int8")
        weights = function.argument("weights", channels * taps, "int8")
        table = function.argument("table", channels * shape.ending.columns, "int32")
        output = function.argument("output", window.output_height * columns * channels, "int8")
        scalars = {name: function.scalar(name) for name in shape.scalars}
        paired = temporary("paired", BLOCK * window.kernel[0] * shape.pairs * shape.phases, "int32")
        rows = _Rows(shape, image, scalars.get("input_zero"))
        with loop("block", -(-channels // BLOCK)) as block:
            # The last block computes some channels again when their number is no multiple.
            channel = tirx.min(int32(block * BLOCK), int32(channels - BLOCK)) if channels % BLOCK else block * BLOCK
            call(
                "dsp_pair_weights",
                paired.at(0),
                weights.at(channel * taps),
                BLOCK * window.kernel[0],
                window.kernel[1],
                shape.pairs,
                shape.phases,
            )
            with loop("y", window.output_height) as y:
                rows.load(y, channel)
                for first, count, tile in shape.tiles():
                    with loop("tile", count) as number:
                        x = first + number * tile.pixels
                        call(
                            tile.name,
                            rows.at(y, x),
                            paired.at(0),
                            table.at(channel * shape.ending.columns),
                            output.at((y * columns + x) * channels + channel),
                            2 * BLOCK * shape.width,
                            2 * shape.width,
                            channels,
                            *(scalars[name] for name in shape.ending.scalars),
                        )
    return function.finish()


class _Rows:
    """The ring of spread rows of a block of channels."""

    def __init__(self, shape: Depthwise, image: Buffer, zero: Expr | None) -> None:
        self._shape, self._window, self._image = shape, shape.window, image
        self._zero = int32(0) if zero is None else zero
        self._row_words = BLOCK * shape.width // 2
        self._buffer = temporary("rows", shape.slots * self._row_words, "int32")
        if zero is not None:
            call("dsp_fill", self._buffer.at(0), zero, shape.slots * BLOCK * shape.width, 2)

    def at(self, y: Expr, x: Expr) -> Expr:
        """Where the rows that output (y, x) sees begin; x times the stride is even."""
        window = self._window
        slot = tirx.floormod(int32(y * window.stride[0]), int32(window.kernel[0]))
        return self._buffer.at(slot * self._row_words + tirx.floordiv(int32(x * window.stride[1]), int32(2)))

    def load(self, y: Expr, channel: Expr) -> None:
        """Bring in the rows that row `y` of the output is the first to see; rows beyond the edge are filled."""
        window = self._window
        height = window.kernel[0]
        new = min(window.stride[0], height)
        with loop("tap_y", height) as tap_y:
            if new == height:
                self._load_row(y * window.stride[0] + tap_y, channel)
                return
            with when(tirx.any(int32(y) == 0, int32(tap_y) >= height - new)):
                self._load_row(y * window.stride[0] + tap_y, channel)

    def _load_row(self, padded_row: Expr, channel: Expr) -> None:
        window, shape = self._window, self._shape
        source = int32(padded_row - window.padding[0])
        slot = tirx.floormod(int32(padded_row), int32(window.kernel[0]))
        place = self._buffer.at(slot * self._row_words)
        copy = window.kernel[0] * self._row_words * 2 if shape.slots > 1 else 0

        def spread() -> None:
            first = self._image.at(source * window.width * window.channels + channel)
            call(
                "dsp_spread",
                place,
                window.padding[1],
                first,
                window.width,
                window.channels,
                shape.width,
                copy,
                self._zero,
            )

        def fill() -> None:
            call("dsp_fill", place, self._zero, BLOCK * shape.width, 2)
            if copy:
                other = self._buffer.at((slot + window.kernel[0]) * self._row_words)
                call("dsp_fill", other, self._zero, BLOCK * shape.width, 2)

        if window.padding[0] or window.padding[2]:
            loops.choose(tirx.all(source >= 0, source < window.height), spread, fill)
        else:
            spread()
