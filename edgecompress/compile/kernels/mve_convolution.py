"""int8 convolution and matrix products with Helium: all that an output pixel sees, in one piece, times weights (c_mve).

Where the kernel has one row and nothing is padded, the input itself has that piece; else the rows that a row of output
sees are copied next to each other, column by column, and neighbouring pixels share all but a few of the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from edgecompress.compile.c_mve_lanes import LANES
from edgecompress.compile.c_mve_scaling import UP
from edgecompress.compile.kernels.epilogue import Epilogue
from edgecompress.compile.kernels.loops import Expr, Function, call, loop
from edgecompress.compile.kernels.mve_strip import LARGEST_STRIP, Strip
from edgecompress.compile.kernels.mve_table import scales_up, table
from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.kernels.window import Window


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """The shape class of a convolution without groups. `window` is flattened."""

    window: Window
    outputs: int
    scales_up: bool

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"mve_convolution_{self.window.name()}_o{self.outputs}{UP if self.scales_up else ''}"

    @property
    def scalars(self) -> tuple[str, ...]:
        """The int32 parameters behind the buffers."""
        return (*(("input_zero",) if self.window.is_padded else ()), "zero", "low", "high")

    @property
    def copies(self) -> bool:
        """True when the input is copied first."""
        return self.window.kernel[0] > 1 or self.window.is_padded

    @property
    def strip_bytes(self) -> int:
        """The size of the copy."""
        return self.window.kernel[0] * self.window.row_elements if self.copies else 0

    @property
    def taps(self) -> int:
        """Steps of the sum."""
        return self.window.kernel[0] * self.window.kernel[1] * self.window.channels

    @property
    def microkernel(self) -> tuple[str, int]:
        """The function that multiplies a row of pixels, and the fewest output channels that it can do."""
        if self.taps <= LANES and self.outputs >= 4 and not self.scales_up:
            return "mve_multiply_short", 4
        name, least = ("mve_multiply_row", 2) if self.window.output_width >= 2 else ("mve_multiply_pixels", 4)
        return f"{name}{UP if self.scales_up else ''}", least


def choose(product: Product) -> Kernel | None:
    """Take products without groups and gaps between columns, unless they have very few output channels."""
    shape = Convolution(window=product.window.flattened(), outputs=product.outputs, scales_up=scales_up(product))
    if product.groups > 1 or shape.window.dilation[1] > 1 or shape.outputs < shape.microkernel[1]:
        return None
    if shape.strip_bytes > LARGEST_STRIP:
        return None
    zero = [product.input_zero] if shape.window.is_padded else []
    return Kernel(
        name=shape.name,
        build=lambda: build(shape),
        constants={"weights": pack(product.weights, shape), "table": table(product)},
        scalars=[*zero, product.output_zero, product.low, product.high],
    )


def pack(weights: NDArray[np.int8], shape: Convolution) -> NDArray[np.int8]:
    """Lay out weights [output, row, column, input] as the copied input lies: [output][column][row][input]."""
    flattened = weights.reshape(shape.outputs, *shape.window.kernel, -1)
    return np.ascontiguousarray(flattened.transpose(0, 2, 1, 3)).reshape(-1)


def build(shape: Convolution) -> tirx.PrimFunc:
    """Write the kernel: (input, packed weights, requantisation table, output, scalars)."""
    window = shape.window
    rows, columns = window.output_height, window.output_width
    function = Function()
    with function.body():
        image = function.argument("input", window.height * window.width * window.channels, "int8")
        weights = function.argument("weights", shape.outputs * shape.taps, "int8")
        constants = function.argument("table", shape.outputs * Epilogue.COLUMNS, "int32")
        output = function.argument("output", rows * columns * shape.outputs, "int8")
        scalars = {name: function.scalar(name) for name in shape.scalars}
        strip = Strip(window, image, scalars.get("input_zero"), by_column=True) if shape.copies else None
        with loop("y", rows) as y:
            if strip is not None:
                strip.load(y)
            first: Expr = y * window.stride[0] * window.width * window.channels
            call(
                shape.microkernel[0],
                strip.buffer.at(0) if strip is not None else image.at(first),
                weights.at(0),
                constants.at(0),
                output.at(y * columns * shape.outputs),
                window.stride[1] * window.kernel[0] * window.channels,
                columns,
                shape.taps,
                shape.outputs,
                *(scalars[name] for name in ("zero", "low", "high")),
            )
    return function.finish()
