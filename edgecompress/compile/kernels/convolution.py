"""int8 convolution (groups of any size but depthwise) and matrix products, tiled in registers.

Each tile computes a few neighbouring pixels of a few output channels at once: every value that is loaded is used
several times, and the accumulators stay in registers. Weights are packed at compile time in the order of use.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from edgecompress.compile.kernels.epilogue import PLAIN, Epilogue
from edgecompress.compile.kernels.loops import Buffer, Expr, Function, int32, loop, split, temporary
from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.kernels.window import Rows, Window

TILE_PIXELS = 2
TILE_CHANNELS = 4
UNROLL = 4
"""At most this many steps of the sum are written out in one turn of the loop."""


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """The shape class of a convolution: all that its generated function depends on."""

    window: Window
    outputs: int
    groups: int = 1
    epilogue: Epilogue = PLAIN

    @property
    def name(self) -> str:
        """The kernel's name."""
        groups = f"_g{self.groups}" if self.groups > 1 else ""
        return f"convolution_{self.window.name()}_o{self.outputs}{groups}{self.epilogue.suffix}"

    @property
    def scalars(self) -> tuple[str, ...]:
        """The int32 parameters behind the buffers."""
        return ("input_zero", *self.epilogue.scalars) if self.window.is_padded else self.epilogue.scalars


def choose(product: Product) -> Kernel:
    """Take any product."""
    shape = Convolution(
        window=product.window, outputs=product.outputs, groups=product.groups, epilogue=product.epilogue
    )
    return Kernel(
        name=shape.name,
        build=lambda: build(shape),
        constants={"weights": pack(product.weights, shape), "table": product.table},
        scalars=product.scalars,
    )


def pack(weights: NDArray[np.int8], shape: Convolution) -> NDArray[np.int8]:
    """Reorder weights [output, row, column, input] into tiles: [tile][row][column][input][output in the tile]."""
    packed = []
    for group in np.split(weights, shape.groups):
        for first, count, size in split(len(group), TILE_CHANNELS):
            tiles = group[first : first + count * size].reshape(count, size, -1)
            packed.append(tiles.transpose(0, 2, 1).reshape(-1))
    return np.concatenate(packed)


def build(shape: Convolution) -> tirx.PrimFunc:
    """Write the kernel: (input, packed weights, requantisation table, output, scalars)."""
    function = Function()
    with function.body():
        writer = _Writer(shape, function)
        with loop("y", writer.window.output_height) as y:
            writer.rows.load(y)
            writer.write_row(y)
    return function.finish()


@dataclass(frozen=True, kw_only=True)
class _Tile:
    """`pixels` neighbours of row `y` from column `x`, in `channels` output channels from `channel`, of one group."""

    y: Expr
    x: Expr
    group: Expr
    channel: Expr
    pixels: int
    channels: int


class _Writer:
    """Writes the parts of the kernel."""

    def __init__(self, shape: Convolution, function: Function) -> None:
        self.window = window = shape.window.flattened()
        self._shape = shape
        self._depth = window.channels // shape.groups
        self._taps = window.kernel[0] * window.kernel[1] * self._depth
        image = function.argument("input", window.height * window.width * window.channels, "int8")
        self._weights = function.argument("weights", shape.outputs * self._taps, "int8")
        self._table = function.argument("table", shape.outputs * Epilogue.COLUMNS, "int32")
        pixels = window.output_height * window.output_width
        self._output = function.argument("output", pixels * shape.outputs, "int8")
        self._scalars = {name: function.scalar(name) for name in shape.scalars}
        self.rows = Rows(window, image, self._scalars.get("input_zero"))

    def write_row(self, y: Expr) -> None:
        """Compute a row of the output, tile by tile: whole tiles first, then what is left of pixels and channels."""
        per_group = self._shape.outputs // self._shape.groups
        for first_x, tiles_x, pixels in split(self.window.output_width, TILE_PIXELS):
            with loop("tile_x", tiles_x) as tile_x, loop("group", self._shape.groups) as group:
                x = first_x + tile_x * pixels
                for first, tiles, channels in split(per_group, TILE_CHANNELS):
                    with loop("tile", tiles) as tile:
                        channel = group * per_group + first + tile * channels
                        self._tile(_Tile(y=y, x=x, group=group, channel=channel, pixels=pixels, channels=channels))

    def _tile(self, tile: _Tile) -> None:
        sums = temporary("sums", tile.pixels * tile.channels, "int32")
        for i in range(tile.pixels * tile.channels):
            sums[i] = int32(0)
        self._add_products(tile, sums)
        for c in range(tile.channels):
            indices = range(c, tile.pixels * tile.channels, tile.channels)
            results = self._shape.epilogue.apply(sums, indices, self._table, tile.channel + c, self._scalars)
            for p, result in enumerate(results):
                pixel = tile.y * self.window.output_width + tile.x + p
                self._output[pixel * self._shape.outputs + tile.channel + c] = result

    def _add_products(self, tile: _Tile, sums: Buffer) -> None:
        """Add the products of a tile to its sums, in runs of inputs that lie side by side."""
        height, width = self.window.kernel
        contiguous = self._shape.groups == 1 and self.window.dilation[1] == 1
        columns, run = (1, width * self._depth) if contiguous else (width, self._depth)
        unroll = max(step for step in range(1, UNROLL + 1) if run % step == 0)
        with loop("tap_y", height) as tap_y, loop("tap_x", columns) as tap_x, loop("step", run // unroll) as step:
            for u in range(unroll):
                k = step * unroll + u
                at = tile.channel * self._taps + ((tap_y * columns + tap_x) * run + k) * tile.channels
                taps = [int32(self._weights[at + c]) for c in range(tile.channels)]
                for p in range(tile.pixels):
                    start = self.rows.start(tile.y, tap_y, tile.x + p, tap_x)
                    value = int32(self.rows.buffer[start + tile.group * self._depth + k])
                    for c in range(tile.channels):
                        sums[p * tile.channels + c] += value * taps[c]
