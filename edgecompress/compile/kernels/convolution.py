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
    window = shape.window.flattened()
    rows_out, columns_out = window.output_height, window.output_width
    taps = window.kernel[0] * window.kernel[1] * window.channels // shape.groups
    function = Function()
    with function.body():
        image = function.argument("input", window.height * window.width * window.channels, "int8")
        weights = function.argument("weights", shape.outputs * taps, "int8")
        table = function.argument("table", shape.outputs * Epilogue.COLUMNS, "int32")
        output = function.argument("output", rows_out * columns_out * shape.outputs, "int8")
        scalars = {name: function.scalar(name) for name in shape.scalars}
        rows = Rows(window, image, scalars.get("input_zero"))
        per_group = shape.outputs // shape.groups
        with loop("y", rows_out) as y:
            rows.load(y)
            for first_x, tiles_x, pixels in split(columns_out, TILE_PIXELS):
                with loop("tile_x", tiles_x) as tile_x, loop("group", shape.groups) as group:
                    x = first_x + tile_x * pixels
                    for first_channel, tiles, channels in split(per_group, TILE_CHANNELS):
                        with loop("tile", tiles) as tile:
                            channel = group * per_group + first_channel + tile * channels
                            tile_weights = (group * per_group + first_channel + tile * channels) * taps
                            sums = temporary("sums", pixels * channels, "int32")
                            for i in range(pixels * channels):
                                sums[i] = int32(0)
                            _sum(shape, window, rows, weights, sums, y, x, group, tile_weights, pixels, channels)
                            for c in range(channels):
                                indices = range(c, pixels * channels, channels)
                                results = shape.epilogue.apply(sums, indices, table, channel + c, scalars)
                                for p, result in enumerate(results):
                                    output[(y * columns_out + x + p) * shape.outputs + channel + c] = result
    return function.finish()


def _sum(
    shape: Convolution,
    window: Window,
    rows: Rows,
    weights: Buffer,
    sums: Buffer,
    y: Expr,
    x: Expr,
    group: Expr,
    tile_weights: Expr,
    pixels: int,
    channels: int,
) -> None:
    """Add the products of one tile to its sums."""
    depth = window.channels // shape.groups
    contiguous = shape.groups == 1 and window.dilation[1] == 1
    columns, run = (1, window.kernel[1] * depth) if contiguous else (window.kernel[1], depth)
    unroll = max(step for step in range(1, UNROLL + 1) if run % step == 0)
    with loop("tap_y", window.kernel[0]) as tap_y, loop("tap_x", columns) as tap_x, loop("step", run // unroll) as step:
        for u in range(unroll):
            k = step * unroll + u
            at = tile_weights + ((tap_y * columns + tap_x) * run + k) * channels
            taps = [int32(weights[at + c]) for c in range(channels)]
            for p in range(pixels):
                value = int32(rows.buffer[rows.start(y, tap_y, x + p, tap_x) + group * depth + k])
                for c in range(channels):
                    sums[p * channels + c] += value * taps[c]
