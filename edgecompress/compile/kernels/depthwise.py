"""int8 depthwise convolution: neighbouring pixels of one channel at a time, so that inputs and weights are loaded once.

Weights lie channel by channel, [channel][row][column].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from edgecompress.compile.kernels.epilogue import PLAIN, Epilogue
from edgecompress.compile.kernels.loops import Buffer, Expr, Function, int32, let, loop, split, temporary, tile_size
from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.kernels.window import Rows, Window

TILE_PIXELS = 4
UNROLL_PRODUCTS = 64
"""Rows of the kernel are written out while a tile has no more products than this."""


@dataclass(frozen=True, kw_only=True)
class Depthwise:
    """The shape class of a depthwise convolution with as many outputs as inputs."""

    window: Window
    epilogue: Epilogue = PLAIN

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"depthwise_{self.window.name()}{self.epilogue.suffix}"

    @property
    def scalars(self) -> tuple[str, ...]:
        """The int32 parameters behind the buffers."""
        return ("input_zero", *self.epilogue.scalars) if self.window.is_padded else self.epilogue.scalars


def choose(product: Product) -> Kernel | None:
    """Take every depthwise convolution."""
    if not product.is_depthwise:
        return None
    shape = Depthwise(window=product.window, epilogue=product.epilogue)
    return Kernel(
        name=shape.name,
        build=lambda: build(shape),
        constants={"weights": pack(product.weights), "table": product.table},
        scalars=product.scalars,
    )


def pack(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """Lay out weights [channel, row, column, 1] as the kernel reads them."""
    return np.ascontiguousarray(weights).reshape(-1)


def build(shape: Depthwise) -> tirx.PrimFunc:
    """Write the kernel: (input, weights, requantisation table, output, scalars)."""
    window = shape.window.flattened()
    columns, channels = window.output_width, window.channels
    function = Function()
    with function.body():
        image = function.argument("input", window.height * window.width * channels, "int8")
        weights = function.argument("weights", channels * window.kernel[0] * window.kernel[1], "int8")
        table = function.argument("table", channels * Epilogue.COLUMNS, "int32")
        output = function.argument("output", window.output_height * columns * channels, "int8")
        scalars = {name: function.scalar(name) for name in shape.scalars}
        rows = Rows(window, image, scalars.get("input_zero"))
        with loop("y", window.output_height) as y:
            rows.load(y)
            for first, tiles, pixels in split(columns, tile_size(columns, TILE_PIXELS)):
                with loop("tile_x", tiles) as tile_x, loop("channel", channels) as channel:
                    x = first + tile_x * pixels
                    sums = temporary("sums", pixels, "int32")
                    for p in range(pixels):
                        sums[p] = int32(0)
                    _sum(window, rows, weights, sums, y, x, channel, pixels)
                    results = shape.epilogue.apply(sums, range(pixels), table, channel, scalars)
                    for p, result in enumerate(results):
                        output[(y * columns + x + p) * channels + channel] = result
    return function.finish()


def _sum(
    window: Window, rows: Rows, weights: Buffer, sums: Buffer, y: Expr, x: Expr, channel: Expr, pixels: int
) -> None:
    """Add the products of one tile to its sums, a row of the kernel at a time."""
    height, width = window.kernel
    if height * width * pixels <= UNROLL_PRODUCTS:
        for tap_y in range(height):
            _sum_row(window, rows, weights, sums, y, tap_y, x, channel, pixels)
        return
    with loop("tap_y", height) as tap_y:
        _sum_row(window, rows, weights, sums, y, tap_y, x, channel, pixels)


def _sum_row(
    window: Window, rows: Rows, weights: Buffer, sums: Buffer, y: Expr, tap_y: Expr, x: Expr, channel: Expr, pixels: int
) -> None:
    """Multiply every pixel that the tile sees in one row with the weights that want it."""
    height, width = window.kernel
    first = (channel * height + tap_y) * width
    taps = [let("weight", int32(weights[first + tap])) for tap in range(width)]
    wanted: dict[int, list[tuple[int, int]]] = {}
    for p in range(pixels):
        for tap in range(width):
            wanted.setdefault(p * window.stride[1] + tap * window.dilation[1], []).append((p, tap))
    start = rows.start(y, tap_y, x, 0) + channel
    for column in sorted(wanted):
        value = let("value", int32(rows.buffer[start + column * window.channels]))
        for p, tap in wanted[column]:
            sums[p] += value * taps[tap]
