"""int8 pooling on Cortex-A, sixteen channels at a time: the arithmetic of pool.py. Windows end at the image's edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgecompress.compile import c_text
from edgecompress.compile.kernels.pool import AveragePool, MaxPool, Mean
from edgecompress.compile.kernels.vector_core import indented, loop, offset, terms
from edgecompress.compile.kernels.vector_pool import bounds
from edgecompress.compile.program import CKernel

STEP = 16
MOST_TAPS = 255
"""More could pass 16 bits, and the division's bound."""
PIXELS_A_SUM = 256
MOST_VECTORS = 4
HALVES = ("low", "high")


@dataclass(frozen=True, kw_only=True)
class Windows:
    """The kernels of windows: the largest number, or the average."""

    kind: Literal["max", "average"]

    def fits(self, shape: AveragePool | MaxPool) -> bool:
        """True for whole vectors of channels, and windows that 16 bits can sum up."""
        taps = shape.window.kernel[0] * shape.window.kernel[1]
        return shape.window.channels >= STEP and (self.kind == "max" or taps <= MOST_TAPS)

    def name(self, shape: AveragePool | MaxPool) -> str:
        """The kernel's name."""
        return f"neon_{shape.name}"

    def build(self, shape: AveragePool | MaxPool) -> CKernel:
        """Write the kernel: (input, output, scalars)."""
        window = shape.window
        vertical = (window.height, window.kernel[0], window.stride[0], window.dilation[0], window.padding[0])
        horizontal = (window.width, window.kernel[1], window.stride[1], window.dilation[1], window.padding[1])
        body = [*bounds("column", *horizontal), *self._pixel(shape)]
        body = [*bounds("row", *vertical), *loop("column", window.output_width, body)]
        lines = loop("row", window.output_height, body)
        head = c_text.wrapped(f"KERNEL void {self.name(shape)}(", _parameters(shape))
        text = "\n".join([f"{head}) {{", *indented(lines), "}", ""])
        pixels = window.output_height * window.output_width * window.kernel[0] * window.kernel[1]
        work = pixels * window.channels // 8
        return CKernel(name=self.name(shape), source=text, workspaces=(), spreads=True, work=work)

    def _pixel(self, shape: AveragePool | MaxPool) -> list[str]:
        window = shape.window
        row = f"(row_from + (int32_t)(row_first * {window.dilation[0]}u)) * {window.width}"
        column = f"column_from + (int32_t)(column_first * {window.dilation[1]}u)"
        lines = [
            f"const int8_t *const seen = input + ({row} + {column}) * {window.channels};",
            f"int8_t *const to = output + (row * {window.output_width}u + column) * {window.channels}u;",
        ]
        if self.kind == "average":
            lines += [
                "const int32_t count = (int32_t)((row_end - row_first) * (column_end - column_first));",
                "const int32_t half = count / 2, share = ((1 << 23) + count - 1) / count;",
            ]
        for first, blocks, vectors in _blocks(window.channels):
            start = ("block", vectors * STEP) if blocks > 1 else ("", 0)
            taken = [line for v in range(vectors) for line in self._take(v)]
            body = [
                *(line for v in range(vectors) for line in self._begin(v)),
                f"const int8_t *tap_row = {offset(terms('seen', start), first)};",
                "for (uint32_t tap_y = row_first; tap_y < row_end; ++tap_y) {",
                "  const int8_t *a = tap_row;",
                "  for (uint32_t tap_x = column_first; tap_x < column_end; ++tap_x) {",
                *indented(indented([*taken, f"a += {window.dilation[1] * window.channels};"])),
                "  }",
                f"  tap_row += {window.dilation[0] * window.width * window.channels};",
                "}",
            ]
            place = offset(terms("to", start), first)
            body += [line for v in range(vectors) for line in self._end(v, offset(place, v * STEP))]
            lines += loop("block", blocks, body)
        return lines

    def _begin(self, v: int) -> list[str]:
        if self.kind == "max":
            return [f"bytes16 most{v} = (bytes16){{0}} + INT8_MIN;"]
        return [f"halves8 low{v} = {{0}}, high{v} = {{0}};"]

    def _take(self, v: int) -> list[str]:
        """See one pixel of the window."""
        load = f"load_bytes16({offset('a', v * STEP)})"
        if self.kind == "max":
            return [f"most{v} = larger_bytes16(most{v}, {load});"]
        return [
            f"const bytes16 x{v} = {load};",
            *(f"{half}{v} = add_{half}_bytes({half}{v}, x{v});" for half in HALVES),
        ]

    def _end(self, v: int, place: str) -> list[str]:
        if self.kind == "max":
            return [f"store_bytes16({place}, bounded_bytes16(most{v}, low, high));"]
        zeros, lines = "(words4){0}", []
        for half in HALVES:
            parts = ", ".join(f"average_of(add_{part}_halves({zeros}, {half}{v}), half, share)" for part in HALVES)
            lines.append(f"const halves8 {half}_mean{v} = narrow_words({parts}, 0);")
        return [*lines, f"store_bytes16({place}, narrow_halves_twice(low_mean{v}, high_mean{v}, low, high));"]


@dataclass(frozen=True, kw_only=True)
class Means:
    """The kernel of the mean of a whole image."""

    def fits(self, shape: Mean) -> bool:
        """True for whole vectors of channels."""
        return shape.channels >= STEP

    def name(self, shape: Mean) -> str:
        """The kernel's name."""
        return f"neon_{shape.name}"

    def build(self, shape: Mean) -> CKernel:
        """Write the kernel: (input, output, scalars)."""
        lines = ["const words4 factor = (words4){0} + multiplier, shifts = (words4){0} + shift;"]
        lines += [f"const int32_t zeros = -input_zero * {shape.pixels};"]
        for first, blocks, vectors in _blocks(shape.channels):
            lines += loop("block", blocks, self._block(shape, first, vectors, blocks > 1))
        head = c_text.wrapped(f"KERNEL void {self.name(shape)}(", _parameters(shape))
        text = "\n".join([f"{head}) {{", *indented(lines), "}", ""])
        return CKernel(name=self.name(shape), source=text, workspaces=())

    def _block(self, shape: Mean, first: int, vectors: int, repeats: bool) -> list[str]:
        """Some vectors of channels: sums of 256 pixels in 16 bits, then in 32."""
        start = ("block", vectors * STEP if repeats else 0)
        names = [f"{half}{v}" for v in range(vectors) for half in HALVES]
        lines = [f"const int8_t *a = {offset(terms('input', start), first)};"]
        lines += [f"words4 {part}_{name} = (words4){{0}} + zeros;" for name in names for part in HALVES]
        whole, rest = divmod(shape.pixels, PIXELS_A_SUM)
        for count, pixels in ((whole, PIXELS_A_SUM), (1, rest)):
            if not count or not pixels:
                continue
            body = [f"halves8 {name} = {{0}};" for name in names]
            taken = []
            for v in range(vectors):
                taken.append(f"const bytes16 x{v} = load_bytes16({offset('a', v * STEP)});")
                taken += [f"{half}{v} = add_{half}_bytes({half}{v}, x{v});" for half in HALVES]
            body += loop("pixel", pixels, [*taken, f"a += {shape.channels};"])
            body += [f"{part}_{name} = add_{part}_halves({part}_{name}, {name});" for name in names for part in HALVES]
            lines += loop("sum", count, body)
        place = offset(terms("output", start), first)
        for v in range(vectors):
            for half in HALVES:
                parts = ", ".join(f"scale_either({part}_{half}{v}, factor, shifts)" for part in HALVES)
                lines.append(f"const halves8 {half}_mean{v} = narrow_words({parts}, output_zero);")
            value = f"narrow_halves_twice(low_mean{v}, high_mean{v}, low, high)"
            lines.append(f"store_bytes16({offset(place, v * STEP)}, {value});")
        return lines


MAX, AVERAGE, MEAN = Windows(kind="max"), Windows(kind="average"), Means()


def _parameters(shape: AveragePool | MaxPool | Mean) -> list[str]:
    pointers = ["const int8_t *restrict input", "int8_t *restrict output"]
    return [*pointers, *(f"int32_t {scalar}" for scalar in shape.SCALARS)]


def _blocks(channels: int) -> list[tuple[int, int, int]]:
    """(First channel, blocks, vectors of each); a last vector begins earlier where it would not be whole."""
    vectors, some = divmod(channels, STEP)
    blocks, rest = divmod(vectors, MOST_VECTORS)
    found = [(0, blocks, MOST_VECTORS), (blocks * MOST_VECTORS * STEP, 1, rest), (channels - STEP, 1, 1 if some else 0)]
    return [(first, count, size) for first, count, size in found if count and size]
