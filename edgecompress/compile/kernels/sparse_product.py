"""int8 convolution and matrix products by the weights that are not zero (c_sparse), for layers of many zeros.

What a few neighbouring pixels see is gathered first, step by step of the sum; a single pixel needs no gathering. The
zero point of the input is part of the bias, so a weight of zero adds nothing to any sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile import c_sparse, c_text
from edgecompress.compile.c_dsp import Ending
from edgecompress.compile.c_sparse import LARGEST_STEP, PIXELS
from edgecompress.compile.kernels import dsp_epilogue
from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import CKernel

LEAST_SAVING = 512
"""Bytes that a layer must become smaller where flash is saved: the kernel takes some of them."""


@dataclass(frozen=True, kw_only=True)
class Sparse:
    """The shape class of a sparse layer without groups, of which `pixels` are computed at a time.

    `window` is flattened.
    """

    window: Window
    outputs: int
    pixels: int
    ending: Ending

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"sparse_{self.window.name()}_o{self.outputs}_x{self.pixels}{self.ending.suffix}"

    @property
    def scalars(self) -> tuple[str, ...]:
        """The int32 parameters behind the buffers."""
        return (*(("input_zero",) if self.window.is_padded else ()), *self.ending.scalars)

    @property
    def taps(self) -> int:
        """Steps of the sum."""
        return math.prod(self.window.kernel) * self.window.channels

    @property
    def reads_input(self) -> bool:
        """True when the input itself is the only column."""
        return self.window.output_width * self.window.output_height == 1 and self.taps == self.window.channels


def choose(product: Product, pixels: int) -> Kernel | None:
    """Take a product without groups whose sums the arithmetic holds, so many pixels at a time."""
    settled = dsp_epilogue.settled(product)
    if settled is None or pixels not in sizes(product):
        return None
    ending = replace(dsp_epilogue.ending(settled), shared=False)
    shape = Sparse(window=product.window.flattened(), outputs=product.outputs, pixels=pixels, ending=ending)
    entries, counts = pack(settled.weights)
    return Kernel(
        name=shape.name,
        build=lambda: build(shape),
        constants={"weights": entries, "counts": counts, "table": _table(settled)},
        scalars=_scalars(settled, shape),
    )


def sizes(product: Product, room: int | None = None) -> list[int]:
    """How many pixels can be computed at a time, within so many bytes of RAM: one if it sees all of the input."""
    window = product.window.flattened()
    if product.groups > 1:
        return []
    if window.output_width * window.output_height == 1 and product.weights[0].size == window.channels:
        return [1]
    fitting = [count for count in PIXELS[1:] if count <= window.output_width]
    return [count for count in fitting if room is None or 2 * product.weights[0].size * count <= room]


def pack(weights: NDArray[np.int8]) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """List (distance from the one before, weight) of all that are not zero, and how many each output has.

    Where the distance does not fit a byte, weights of zero stand in between. One entry more ends the list.
    """
    found = [_entries(row) for row in weights.reshape(len(weights), -1)]
    counts = np.array([len(each) for each in found], np.uint16)
    together = np.concatenate([*found, np.zeros((1, 2), np.int64)])
    return (together & 255).astype(np.uint8).reshape(-1), counts


def _entries(row: NDArray[np.int8]) -> NDArray[np.int64]:
    kept = np.flatnonzero(row)
    entries: list[tuple[int, int]] = []
    place = 0
    for at in kept.tolist():
        while at - place > LARGEST_STEP:
            entries.append((LARGEST_STEP, 0))
            place += LARGEST_STEP
        entries.append((at - place, int(row[at])))
        place = at
    return np.array(entries, np.int64).reshape(-1, 2)


def build(shape: Sparse) -> CKernel:
    """Write the kernel: (input, entries, counts, requantisation table, output, scalars, columns)."""
    parameters = [
        "const int8_t *restrict input",
        "const uint8_t *restrict weights",
        "const uint16_t *restrict counts",
        "const int32_t *restrict table",
        "int8_t *restrict output",
        *(f"int32_t {name}" for name in shape.scalars),
        *([] if shape.reads_input else ["int16_t *restrict columns"]),
    ]
    body = _multiply(shape, "input", "output", "  ") if shape.reads_input else _rows(shape)
    source = f"{c_text.wrapped(f'KERNEL void {shape.name}(', parameters)}) {{\n{body}}}\n"
    workspaces = () if shape.reads_input else (2 * shape.taps * shape.pixels,)
    return CKernel(name=shape.name, source=source, workspaces=workspaces)


def _multiply(shape: Sparse, columns: str, output: str, indent: str) -> str:
    scalars = ", ".join(shape.ending.scalars)
    name = c_sparse.multiply_name(shape.pixels, shape.ending)
    return f"{indent}{name}({columns}, weights, counts, table, {output}, {shape.outputs}, {scalars});\n"


def _rows(shape: Sparse) -> str:
    window, pixels = shape.window, shape.pixels
    columns = window.output_width
    last = columns - pixels
    first = "tile" if last % pixels == 0 else f"tile < {last} ? tile : {last}"
    output = f"output + (y * {columns} + first) * {shape.outputs}"
    return (
        f"  for (int32_t y = 0; y < {window.output_height}; ++y) {{\n"
        f"    for (int32_t tile = 0; tile < {columns}; tile += {pixels}) {{\n"
        f"      const int32_t first = {first};\n"
        f"      for (int32_t pixel = 0; pixel < {pixels}; ++pixel) {{\n"
        f"{_gather(shape)}"
        "      }\n"
        f"{_multiply(shape, 'columns', output, '      ')}"
        "    }\n  }\n"
    )


def _gather(shape: Sparse) -> str:
    """Write the column of a pixel: a run of channels for each place of the kernel, or of a row of it."""
    window, pixels = shape.window, shape.pixels
    height, width = window.kernel
    row = _place("y", window.stride[0], "tap_y", window.dilation[0], window.padding[0])
    joined = not window.is_padded and window.dilation[1] == 1
    run, taps = (width * window.channels, 1) if joined else (window.channels, width)
    at = _place("(first + pixel)", window.stride[1], "tap_x", window.dilation[1], window.padding[1])
    source = f"input + (row * {window.width} + at) * {window.channels}"
    spread = f"sparse_spread_{pixels}(column, {source}, {run});"
    if window.is_padded:
        outside = f"row < 0 || row >= {window.height} || at < 0 || at >= {window.width}"
        spread = (
            f"if ({outside}) {{\n"
            f"              sparse_fill_{pixels}(column, input_zero, {run});\n"
            "            } else {\n"
            f"              {spread}\n"
            "            }"
        )
    return (
        "        int16_t *column = columns + pixel;\n"
        f"        for (int32_t tap_y = 0; tap_y < {height}; ++tap_y) {{\n"
        f"          const int32_t row = {row};\n"
        f"          for (int32_t tap_x = 0; tap_x < {taps}; ++tap_x) {{\n"
        f"            const int32_t at = {at};\n"
        f"            {spread}\n"
        f"            column += {run * pixels};\n"
        "          }\n"
        "        }\n"
    )


def _place(output: str, stride: int, tap: str, dilation: int, padding: int) -> str:
    """Where in the image a tap of an output lies, by row or by column."""
    text = f"{output} * {stride}" if stride > 1 else output
    text += f" + {tap} * {dilation}" if dilation > 1 else f" + {tap}"
    return f"{text} - {padding}" if padding else text


def _table(product: Product) -> NDArray[np.int32]:
    rows = [(by.value, dsp_epilogue.shifts(by)) for by in product.multipliers]
    return np.column_stack([2 * product.bias, rows]).astype(np.int32)


def _scalars(product: Product, shape: Sparse) -> list[int]:
    values = {
        "input_zero": product.input_zero,
        "rounding": 2 * product.output_zero + 1,
        "low": product.low,
        "high": product.high,
    }
    return [values[name] for name in shape.scalars]
