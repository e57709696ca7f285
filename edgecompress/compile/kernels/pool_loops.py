"""int8 pooling over vectors of channels: the loops, for any registers. The arithmetic is that of pool.py.

Windows end at the image's edge. Most see all of their columns, which are written out for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from edgecompress.compile import c_text
from edgecompress.compile.kernels.pool import AveragePool, MaxPool, Mean
from edgecompress.compile.kernels.vector_core import indented, loop, offset, terms
from edgecompress.compile.kernels.vector_pool import bounds
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import CKernel

MOST_TAPS = 255
"""More could pass 16 bits, and the division's bound."""
MOST_COLUMNS = 8
"""A window of more is not written out: its loop costs little then."""

Kind = Literal["max", "average"]


class Registers(Protocol):
    """Registers of `size` channels, `together` of them at once, and the C of what is done with number `v` of those."""

    @property
    def prefix(self) -> str:
        """How the names of kernels begin."""

    @property
    def size(self) -> int:
        """Channels of a register."""

    @property
    def together(self) -> int:
        """Registers of channels that a turn takes."""

    def begin(self, kind: Kind, v: int) -> list[str]:
        """Declare what has seen nothing yet."""

    def take(self, kind: Kind, v: int, place: str) -> list[str]:
        """See the channels of one pixel, which lie at `place`; no declarations."""

    def store(self, kind: Kind, v: int, place: str) -> list[str]:
        """Store what was seen; an average is of `count` pixels."""

    def image(self, shape: Mean, vectors: int) -> list[str]:
        """Sum up the pixels from `a` on; `zeros` is what their zero points sum up to."""

    def mean(self, v: int, place: str) -> list[str]:
        """Store the mean of the image."""


Offered = Callable[[int], Registers | None]
"""What a core has for so many channels."""


@dataclass(frozen=True, kw_only=True)
class Windows:
    """The kernels of windows: the largest number, or the average."""

    kind: Kind
    registers: Offered

    def fits(self, shape: AveragePool | MaxPool) -> bool:
        """True for whole vectors of channels, and windows that 16 bits can sum up."""
        taps = shape.window.kernel[0] * shape.window.kernel[1]
        return self.registers(shape.window.channels) is not None and (self.kind == "max" or taps <= MOST_TAPS)

    def name(self, shape: AveragePool | MaxPool) -> str:
        """The kernel's name."""
        return f"{_chosen(self.registers, shape.window.channels).prefix}_{shape.name}"

    def build(self, shape: AveragePool | MaxPool) -> CKernel:
        """Write the kernel: (input, output, scalars)."""
        window, registers = shape.window, _chosen(self.registers, shape.window.channels)
        body = bounds("row", window.height, window.kernel[0], window.stride[0], window.dilation[0], window.padding[0])
        for first, count, is_inside in _columns(window):
            pixel = _Pixel(window=window, kind=self.kind, registers=registers, is_inside=is_inside)
            column = f"x + {first}u" if first else "x"
            body += loop("x", count, [f"const uint32_t column = {column};", *pixel.lines()])
        taps = window.output_height * window.output_width * window.kernel[0] * window.kernel[1]
        work = 2 * taps * -(-window.channels // registers.size) * len(registers.take(self.kind, 0, "a"))
        return _kernel(self.name(shape), shape, loop("row", window.output_height, body), work)


@dataclass(frozen=True, kw_only=True)
class Means:
    """The kernel of the mean of a whole image."""

    registers: Offered

    def fits(self, shape: Mean) -> bool:
        """True for whole vectors of channels."""
        return self.registers(shape.channels) is not None

    def name(self, shape: Mean) -> str:
        """The kernel's name."""
        return f"{_chosen(self.registers, shape.channels).prefix}_{shape.name}"

    def build(self, shape: Mean) -> CKernel:
        """Write the kernel: (input, output, scalars)."""
        registers = _chosen(self.registers, shape.channels)
        lines: list[str] = []
        for first, blocks, vectors in _blocks(registers, shape.channels):
            start = ("block", vectors * registers.size if blocks > 1 else 0)
            body = [
                f"const int32_t zeros = -input_zero * {shape.pixels};",
                f"const int8_t *a = {offset(terms('input', start), first)};",
                *registers.image(shape, vectors),
            ]
            place = offset(terms("output", start), first)
            body += [line for v in range(vectors) for line in registers.mean(v, offset(place, v * registers.size))]
            lines += loop("block", blocks, body)
        work = 2 * shape.pixels * -(-shape.channels // registers.size) * len(registers.take("average", 0, "a"))
        return _kernel(self.name(shape), shape, lines, work)


@dataclass(frozen=True, kw_only=True)
class _Pixel:
    """One pixel of output, at `row` and `column`; `is_inside`: its window sees all of its columns."""

    window: Window
    kind: Kind
    registers: Registers
    is_inside: bool

    def lines(self) -> list[str]:
        """Find the window, and go through its channels."""
        window, size = self.window, self.registers.size
        lines = [] if self.is_inside else self._bounds()
        row = f"(row_from + (int32_t)(row_first * {window.dilation[0]}u)) * {window.width}"
        lines += [
            f"const int8_t *const seen = input + ({row} + {self._first_column()}) * {window.channels};",
            f"int8_t *const to = output + (row * {window.output_width}u + column) * {window.channels}u;",
        ]
        if self.kind == "average":
            columns = f"{window.kernel[1]}u" if self.is_inside else "(column_end - column_first)"
            lines.append(f"const int32_t count = (int32_t)((row_end - row_first) * {columns});")
            lines.append("const int32_t half = count / 2, share = ((1 << 23) + count - 1) / count;")
        for first, blocks, vectors in _blocks(self.registers, window.channels):
            start = ("block", vectors * size) if blocks > 1 else ("", 0)
            body = [line for v in range(vectors) for line in self.registers.begin(self.kind, v)]
            body += self._taps(offset(terms("seen", start), first), vectors)
            place = offset(terms("to", start), first)
            body += [
                line for v in range(vectors) for line in self.registers.store(self.kind, v, offset(place, v * size))
            ]
            lines += loop("block", blocks, body)
        return lines

    def _bounds(self) -> list[str]:
        window = self.window
        return bounds("column", window.width, window.kernel[1], window.stride[1], window.dilation[1], window.padding[1])

    def _first_column(self) -> str:
        window = self.window
        if self.is_inside:
            return f"(int32_t)(column * {window.stride[1]}u) - {window.padding[1]}"
        return f"column_from + (int32_t)(column_first * {window.dilation[1]}u)"

    def _taps(self, start: str, vectors: int) -> list[str]:
        """See the pixels of the window, from the one at `start` on."""
        window = self.window
        step, down = window.dilation[1] * window.channels, window.dilation[0] * window.width * window.channels
        body = [line for tap in range(window.kernel[1]) for line in self._take("tap_row", tap * step, vectors)]
        if not self.is_inside:
            body = [
                "const int8_t *a = tap_row;",
                "for (uint32_t tap_x = column_first; tap_x < column_end; ++tap_x) {",
                *indented([*self._take("a", 0, vectors), f"a += {step};"]),
                "}",
            ]
        return [
            f"const int8_t *tap_row = {start};",
            "for (uint32_t tap_y = row_first; tap_y < row_end; ++tap_y) {",
            *indented([*body, f"tap_row += {down};"]),
            "}",
        ]

    def _take(self, pointer: str, distance: int, vectors: int) -> list[str]:
        places = [offset(pointer, distance + v * self.registers.size) for v in range(vectors)]
        return [line for v, place in enumerate(places) for line in self.registers.take(self.kind, v, place)]


def _kernel(name: str, shape: AveragePool | MaxPool | Mean, lines: list[str], work: int) -> CKernel:
    parameters = ["const int8_t *restrict input", "int8_t *restrict output"]
    parameters += [f"int32_t {scalar}" for scalar in shape.SCALARS]
    head = c_text.wrapped(f"KERNEL void {name}(", parameters)
    text = "\n".join([f"{head}) {{", *indented(lines), "}", ""])
    return CKernel(name=name, source=text, workspaces=(), spreads=True, work=work)


def _chosen(offered: Offered, channels: int) -> Registers:
    registers = offered(channels)
    if registers is None:
        raise ValueError(f"no register takes {channels} channels")
    return registers


def _columns(window: Window) -> list[tuple[int, int, bool]]:
    """Cut a row of output at the image's edges: (first column, columns, whether their windows see all)."""
    width, stride, before = window.output_width, window.stride[1], window.padding[1]
    reach = window.dilation[1] * (window.kernel[1] - 1) + 1
    first, end = -(-before // stride), min(width, (window.width + before - reach) // stride + 1)
    if first >= end or window.kernel[1] > MOST_COLUMNS:
        return [(0, width, False)]
    parts = [(0, first, False), (first, end - first, True), (end, width - end, False)]
    return [part for part in parts if part[1]]


def _blocks(registers: Registers, channels: int) -> list[tuple[int, int, int]]:
    """(First channel, blocks, vectors of each); a last vector begins earlier where it would not be whole."""
    size, together = registers.size, registers.together
    vectors, some = divmod(channels, size)
    blocks, rest = divmod(vectors, together)
    found = [(0, blocks, together), (blocks * together * size, 1, rest), (channels - size, 1, 1 if some else 0)]
    return [(first, count, vectors) for first, count, vectors in found if count and vectors]
