"""int8 depthwise convolution with Helium: a channel in every lane (c_mve).

Fewer channels than lanes are repeated: neighbouring pixels lie next to each other, so that some of them fill a vector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from edgecompress.compile.c_mve_lanes import LANES
from edgecompress.compile.c_mve_scaling import UP
from edgecompress.compile.kernels.loops import Function, call, loop
from edgecompress.compile.kernels.mve_strip import LARGEST_STRIP, Strip
from edgecompress.compile.kernels.mve_table import scales_up, table
from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.kernels.window import Window
from edgecompress.core.values import Array

LARGEST_PAIR = 255
"""Two weights whose sizes add up to no more give an int16, whatever they are multiplied with."""

LANE_ORDER = [0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15]
"""The channels of a block in the order of its table."""


@dataclass(frozen=True, kw_only=True)
class Depthwise:
    """The shape class of a depthwise convolution with as many outputs as inputs. `window` is flattened."""

    window: Window
    scales_up: bool

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"mve_depthwise_{self.window.name()}{UP if self.scales_up else ''}"

    @property
    def scalars(self) -> tuple[str, ...]:
        """The int32 parameters behind the buffers."""
        return (*(("input_zero",) if self.window.is_padded else ()), "zero", "low", "high")

    @property
    def copies(self) -> bool:
        """True when the input is copied first: where it is padded, or read past its end."""
        return self.window.is_padded or self.lanes < LANES

    @property
    def pixels(self) -> int:
        """Neighbouring pixels of a vector."""
        if self.window.stride[1] > 1:
            return 1
        most = max(LANES // self.window.channels, 1)
        return max(count for count in range(1, most + 1) if self.window.output_width % count == 0)

    @property
    def lanes(self) -> int:
        """Lanes in use; more than LANES are several blocks."""
        return self.pixels * self.window.channels

    @property
    def blocks(self) -> list[int]:
        """The first lane of every block; the last one overlaps the one before it."""
        return [min(first, max(self.lanes - LANES, 0)) for first in range(0, self.lanes, LANES)]

    @property
    def taps(self) -> int:
        """Products of a sum."""
        return self.window.kernel[0] * self.window.kernel[1]

    @property
    def offsets(self) -> NDArray[np.int32]:
        """Where each tap lies from the first one, in bytes."""
        window = self.window
        row = (1 if self.copies else window.dilation[0]) * window.row_elements
        column = window.dilation[1] * window.channels
        taps = [y * row + x * column for y in range(window.kernel[0]) for x in range(window.kernel[1])]
        return np.array(taps, np.int32)


def choose(product: Product) -> Kernel | None:
    """Take depthwise convolutions whose products fit an int16 in pairs."""
    shape = Depthwise(window=product.window.flattened(), scales_up=scales_up(product))
    if not product.is_depthwise:
        return None
    if shape.copies and shape.window.kernel[0] * shape.window.row_elements > LARGEST_STRIP:
        return None
    sizes = np.abs(product.weights.astype(np.int64)).reshape(shape.window.channels, -1)
    if any(sizes[:, tap : tap + 2].sum(axis=1).max() > LARGEST_PAIR for tap in range(0, shape.taps, 2)):
        return None
    zero = [product.input_zero] if shape.window.is_padded else []
    return Kernel(
        name=shape.name,
        build=lambda: build(shape),
        constants={
            "weights": pack(product.weights, shape),
            "table": pack_table(table(product), shape),
            "offsets": shape.offsets,
        },
        scalars=[*zero, product.output_zero, product.low, product.high],
    )


def pack(weights: NDArray[np.int8], shape: Depthwise) -> NDArray[np.int8]:
    """Lay out weights [channel, row, column, 1] by block: [block][tap][lane]."""
    return np.concatenate(
        [block.reshape(-1) for block in _by_block(weights.reshape(shape.window.channels, -1).T, shape)]
    )


def pack_table(rows: NDArray[np.int32], shape: Depthwise) -> NDArray[np.int32]:
    """Lay out a table by column as [block][bias, multiplier, shift][LANE_ORDER]."""
    return np.concatenate([block[:, LANE_ORDER].reshape(-1) for block in _by_block(rows, shape)])


def _by_block(rows: Array, shape: Depthwise) -> list[Array]:
    """Cut rows by channel into blocks of LANES columns, repeated for each of the pixels; zeros in what is left."""
    lanes = np.tile(rows, (1, shape.pixels))
    lanes = np.pad(lanes, ((0, 0), (0, max(LANES - shape.lanes, 0))))
    return [lanes[:, first : first + LANES] for first in shape.blocks]


def build(shape: Depthwise) -> tirx.PrimFunc:
    """Write the kernel: (input, packed weights, requantisation table, offsets, output, scalars)."""
    window, blocks = shape.window, len(shape.blocks)
    columns, channels = window.output_width, window.channels
    function = Function()
    with function.body():
        image = function.argument("input", window.height * window.width * channels, "int8")
        weights = function.argument("weights", blocks * shape.taps * LANES, "int8")
        constants = function.argument("table", blocks * 3 * LANES, "int32")
        offsets = function.argument("offsets", shape.taps, "int32")
        output = function.argument("output", window.output_height * columns * channels, "int8")
        scalars = {name: function.scalar(name) for name in shape.scalars}
        zero = scalars.get("input_zero")
        strip = Strip(window, image, zero, by_column=False, slack=LANES) if shape.copies else None
        with loop("y", window.output_height) as y:
            if strip is not None:
                strip.load(y)
            call(
                f"mve_depthwise{UP if shape.scales_up else ''}",
                strip.buffer.at(0) if strip is not None else image.at(y * window.stride[0] * window.row_elements),
                weights.at(0),
                constants.at(0),
                offsets.at(0),
                output.at(y * columns * channels),
                shape.pixels * window.stride[1] * channels,
                shape.lanes,
                columns // shape.pixels,
                shape.taps,
                shape.lanes,
                *(scalars[name] for name in ("zero", "low", "high")),
            )
    return function.finish()
