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
    function = Function()
    with function.body():
        writer = _Writer(shape, function)
        with loop("y", writer.window.output_height) as y:
            writer.rows.load(y)
            writer.write_row(y)
    return function.finish()


@dataclass(frozen=True, kw_only=True)
class _Tile:
    """`pixels` neighbours of row `y` from column `x`, in one channel."""

    y: Expr
    x: Expr
    channel: Expr
    pixels: int


class _Writer:
    """Writes the parts of the kernel."""

    def __init__(self, shape: Depthwise, function: Function) -> None:
        self.window = window = shape.window.flattened()
        self._epilogue = shape.epilogue
        image = function.argument("input", window.height * window.width * window.channels, "int8")
        self._weights = function.argument("weights", window.channels * window.kernel[0] * window.kernel[1], "int8")
        self._table = function.argument("table", window.channels * Epilogue.COLUMNS, "int32")
        pixels = window.output_height * window.output_width
        self._output = function.argument("output", pixels * window.channels, "int8")
        self._scalars = {name: function.scalar(name) for name in shape.scalars}
        self.rows = Rows(window, image, self._scalars.get("input_zero"))

    def write_row(self, y: Expr) -> None:
        """Compute a row of the output, tile by tile."""
        columns = self.window.output_width
        for first, tiles, pixels in split(columns, tile_size(columns, TILE_PIXELS)):
            with loop("tile_x", tiles) as tile_x, loop("channel", self.window.channels) as channel:
                self._tile(_Tile(y=y, x=first + tile_x * pixels, channel=channel, pixels=pixels))

    def _tile(self, tile: _Tile) -> None:
        sums = temporary("sums", tile.pixels, "int32")
        for p in range(tile.pixels):
            sums[p] = int32(0)
        self._add_products(tile, sums)
        results = self._epilogue.apply(sums, range(tile.pixels), self._table, tile.channel, self._scalars)
        for p, result in enumerate(results):
            pixel = tile.y * self.window.output_width + tile.x + p
            self._output[pixel * self.window.channels + tile.channel] = result

    def _add_products(self, tile: _Tile, sums: Buffer) -> None:
        """Add the products of a tile to its sums, a row of the kernel at a time."""
        height, width = self.window.kernel
        if height * width * tile.pixels <= UNROLL_PRODUCTS:
            for tap_y in range(height):
                self._add_row(tile, tap_y, sums)
            return
        with loop("tap_y", height) as tap_y:
            self._add_row(tile, tap_y, sums)

    def _add_row(self, tile: _Tile, tap_y: Expr, sums: Buffer) -> None:
        """Multiply every pixel that the tile sees in one row with the weights that want it."""
        window = self.window
        height, width = window.kernel
        first = (tile.channel * height + tap_y) * width
        taps = [let("weight", int32(self._weights[first + tap])) for tap in range(width)]
        start = self.rows.start(tile.y, tap_y, tile.x, 0) + tile.channel
        for column, wanted in sorted(_products_by_column(window, tile.pixels).items()):
            value = let("value", int32(self.rows.buffer[start + column * window.channels]))
            for p, tap in wanted:
                sums[p] += value * taps[tap]


def _products_by_column(window: Window, pixels: int) -> dict[int, list[tuple[int, int]]]:
    """Which (pixel of the tile, tap) multiply each column of input."""
    wanted: dict[int, list[tuple[int, int]]] = {}
    for p in range(pixels):
        for tap in range(window.kernel[1]):
            wanted.setdefault(p * window.stride[1] + tap * window.dilation[1], []).append((p, tap))
    return wanted
