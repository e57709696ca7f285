"""The product of two computed int8 matrices on Cortex-A: packed columns of the second times rows of the first.

A panel of eight columns is packed once and serves all rows; its sums lie column by column, so that none is summed up
across a register. With SDOT numbers are multiplied as they are, and what the zero points a and b add comes off:
sum((x - a)(y - b)) = sum(xy) - b sum(x) - a sum(y) + n a b. Other cores multiply differences in 16 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgecompress.compile import c_text
from edgecompress.compile.kernels import neon_ending
from edgecompress.compile.kernels.matrix_product import MatrixProduct
from edgecompress.compile.kernels.neon_tile import CHANNELS, Method, Tile
from edgecompress.compile.kernels.vector_core import indented, loop, offset, terms
from edgecompress.compile.program import CKernel

VECTORS = 2
PANEL = VECTORS * CHANNELS
"""Columns of a panel."""
STEP: dict[Method, int] = {"dot": 16, "pairs": 8}
"""Numbers of the depth that a register of a row holds."""
MOST_ROWS, MOST_DEPTH = 4096, 4096
"""The rows' sums and the panel lie on the stack."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """How a core multiplies, and how many rows its registers take at a time."""

    method: Method
    rows: int

    def fits(self, shape: MatrixProduct) -> bool:
        """True when a result is worth a panel, and what lies on the stack is small."""
        return shape.depth >= CHANNELS and shape.depth <= MOST_DEPTH and CHANNELS <= shape.rows <= MOST_ROWS

    def name(self, shape: MatrixProduct) -> str:
        """The kernel's name."""
        return f"neon_{'dot_' if self.method == 'dot' else ''}{shape.name}"

    def build(self, shape: MatrixProduct) -> CKernel:
        """Write the kernel: (first, second, output, scalars)."""
        parameters = ["const int8_t *restrict first", "const int8_t *restrict second", "int8_t *restrict output"]
        parameters += [f"int32_t {scalar}" for scalar in shape.SCALARS]
        body = _Writer(self, shape).batch()
        for axis in reversed(range(len(shape.batches))):
            body = loop(f"batch{axis}", shape.batches[axis], body)
        head = c_text.wrapped(f"KERNEL void {self.name(shape)}(", parameters)
        text = "\n".join([f"{head}) {{", *indented(body), "}", ""])
        return CKernel(name=self.name(shape), source=text, workspaces=(), spreads=True)


DOT = Family(method="dot", rows=8)
WIDE = Family(method="pairs", rows=8)
WIDE_32_BIT = Family(method="pairs", rows=4)


class _Writer:
    """Writes the product of one pair of matrices."""

    def __init__(self, family: Family, shape: MatrixProduct) -> None:
        self._family = family
        self._shape = shape
        self._dot = family.method == "dot"
        self._step = STEP[family.method]
        self._whole, self._rest = divmod(shape.depth, self._step)
        *_, self._row_step = shape.first_strides
        *_, self._column_step = shape.second_strides

    def batch(self) -> list[str]:
        """The sums of the rows, then panel by panel."""
        shape = self._shape
        panels, rest = divmod(shape.columns, PANEL)
        lines = [
            "const int32_t zero = output_zero;",
            f"const words4 factor = (words4){{0}} + {shape.SCALARS[2]}, shifts = (words4){{0}} + shift;",
            f"const int8_t *const a0 = {self._start('first', shape.first_strides[:-1])};",
            f"const int8_t *const b0 = {self._start('second', shape.second_strides[:-1])};",
            f"int8_t *const to0 = {self._start('output', self._output_strides())};",
        ]
        lines += self._row_sums() if self._dot else []
        lines += loop("panel", panels, self._panel("panel", panels, 0, PANEL))
        return [*lines, *(loop("last_panel", 1, self._panel("", 1, panels * PANEL, rest)) if rest else [])]

    def _start(self, base: str, strides: tuple[int, ...]) -> str:
        used = [(f"batch{axis}", step) for axis, step in enumerate(strides) if self._shape.batches[axis] > 1]
        return terms(base, *used)

    def _output_strides(self) -> tuple[int, ...]:
        strides = [self._shape.rows * self._shape.columns for _ in self._shape.batches]
        for axis in reversed(range(len(strides) - 1)):
            strides[axis] = strides[axis + 1] * self._shape.batches[axis + 1]
        return tuple(strides)

    def _row_sums(self) -> list[str]:
        """What the second zero point takes off the results of each row."""
        add = "sum = dot_lane(sum, {value}, ones, 0);"
        body = loop("k", self._whole, [add.format(value="load_bytes16(x)"), f"x += {self._step};"])
        if self._rest:
            body.append(add.format(value=f"load_some_bytes16(x, {self._rest}u)"))
        return [
            "const bytes16 ones = (bytes16){0} + 1;",
            f"int32_t row_sums[{self._shape.rows}];",
            f"for (uint32_t row = 0; row < {self._shape.rows}u; ++row) {{",
            f"  const int8_t *x = a0 + row * {self._row_step}u;",
            "  words4 sum = {0};",
            *indented(body),
            "  row_sums[row] = -second_zero * total_of_words4(sum);",
            "}",
        ]

    def _panel(self, index: str, count: int, first: int, columns: int) -> list[str]:
        """Pack some columns, then go down the rows."""
        shape, rows = self._shape, self._family.rows
        vectors = -(-columns // CHANNELS)
        start = (index, PANEL * self._column_step if count > 1 else 0)
        place = (index, PANEL if count > 1 else 0)
        lines = [
            f"const int8_t *b = {offset(terms('b0', start), first * self._column_step)};",
            f"int8_t *const to1 = {offset(terms('to0', place), first)};",
            *(self._pack_fours(columns, vectors) if self._dot else self._pack_wide(columns)),
        ]
        full, rest = divmod(shape.rows, rows)
        last = columns % CHANNELS
        lines += loop("row", full, self._tile("row" if full > 1 else "", 0, Tile(pixels=rows, vectors=vectors), last))
        if rest:
            tile = self._tile("", full * rows, Tile(pixels=rest, vectors=vectors), last)
            lines += ["{", *indented(tile), "}"]
        return lines

    def _columns(self, columns: int, count: int) -> list[str]:
        """Where each of `count` columns begins; after the last of `columns` it comes again, for nobody to read."""
        return [offset("b", min(column, columns - 1) * self._column_step) for column in range(count)]

    def _pack_fours(self, columns: int, vectors: int) -> list[str]:
        """Four numbers of each column side by side; and what the first zero point takes off each column."""
        lines = [f"bytes16 packed[{(self._whole + bool(self._rest)) * CHANNELS * vectors}];"]

        def packed(place: str, load: str) -> list[str]:
            found = []
            for v in range(vectors):
                starts = self._columns(columns, vectors * CHANNELS)[v * CHANNELS : (v + 1) * CHANNELS]
                loads = ", ".join(load.format(at=start) for start in starts)
                found.append(f"pack_fours({place} + {v}, {vectors}u, {loads});")
            return found

        size = CHANNELS * vectors
        lines += loop("k", self._whole, [*packed(f"packed + k * {size}u", "load_bytes16({at})"), f"b += {self._step};"])
        if self._rest:
            lines += packed(f"packed + {self._whole * size}", f"load_some_bytes16({{at}}, {self._rest}u)")
        lines += [f"words4 base{v} = {{0}};" for v in range(vectors)]
        added = [f"base{v} = dot_lane(base{v}, packed[k + {v}u], ones, 0);" for v in range(vectors)]
        lines += [f"for (uint32_t k = 0; k < sizeof packed / 16u; k += {vectors}u) {{", *indented(added), "}"]
        shape = self._shape
        return lines + [
            f"base{v} = (int32_t){shape.depth} * first_zero * second_zero - first_zero * base{v};"
            for v in range(vectors)
        ]

    def _pack_wide(self, columns: int) -> list[str]:
        """Eight columns side by side, less the zero point; zeros after the last number of the depth."""
        lines = [f"halves8 packed[{(self._whole + bool(self._rest)) * self._step}];"]
        starts = self._columns(columns, PANEL)
        loads = ", ".join(f"load_bytes8({start})" for start in starts)
        body = [f"const bytes8 eight[] = {{{loads}}};", f"pack_wide(packed + k * {self._step}u, eight, second_zero);"]
        lines += loop("k", self._whole, [*body, f"b += {self._step};"])
        if self._rest:
            loads = ", ".join(f"load_some_bytes8({start}, {self._rest}u)" for start in starts)
            place = f"packed + {self._whole * self._step}"
            lines += ["{", f"  const bytes8 eight[] = {{{loads}}};", f"  pack_wide({place}, eight, second_zero);", "}"]
        return lines

    def _tile(self, index: str, first: int, tile: Tile, last: int) -> list[str]:
        """Some rows times a panel."""
        shape, rows = self._shape, self._family.rows
        start, place = (index, rows * self._row_step), (index, rows * shape.columns)
        lines = [
            f"const int8_t *a = {offset(terms('a0', start), first * self._row_step)};",
            f"int8_t *const to = {offset(terms('to1', place), first * shape.columns)};",
            f"const {'bytes16' if self._dot else 'halves8'} *p = packed;",
        ]
        at = offset(terms("0", (index, rows)) if index else "0", first)
        for r in range(tile.pixels):
            begin = f"base{{v}} + row_sums[{offset(at, r)}]" if self._dot else "{{0}}"
            lines += [f"words4 sum{r}_{v} = {begin.format(v=v)};" for v in range(tile.vectors)]
        size = self._step // CHANNELS * tile.vectors if self._dot else self._step
        body = self._products(tile, self._step, "load_{kind}({at})")
        lines += loop("k", self._whole, [*body, f"a += {self._step};", f"p += {size};"])
        if self._rest:
            body = self._products(tile, self._rest, f"load_some_{{kind}}({{at}}, {self._rest}u)")
            lines += ["{", *indented(body), "}"]
        for r in range(tile.pixels):
            lines += [f"sum{r}_{v} = scale_either(sum{r}_{v}, factor, shifts);" for v in range(tile.vectors)]
            lines += neon_ending.pixel(tile, r, shape.columns, last=last)
        return lines

    def _products(self, tile: Tile, numbers: int, load: str) -> list[str]:
        """Multiply so many numbers of each row with what lies at p."""
        lines = []
        for r in range(tile.pixels):
            value = load.format(kind="bytes16" if self._dot else "bytes8", at=offset("a", r * self._row_step))
            kind = "bytes16" if self._dot else "halves8"
            lines.append(f"const {kind} x{r} = {value if self._dot else f'widen_less({value}, first_zero)'};")
        if not self._dot:
            for k in range(numbers):
                lines.append(f"const halves8 w{k} = p[{k}];")
                for part, v in (("low", 0), ("high", 1))[: tile.vectors]:
                    lines += [
                        f"sum{r}_{v} = add_{part}_by_lane(sum{r}_{v}, w{k}, x{r}, {k});" for r in range(tile.pixels)
                    ]
            return lines
        for lane in range(-(-numbers // CHANNELS)):
            for v in range(tile.vectors):
                lines.append(f"const bytes16 w{lane}_{v} = p[{lane * tile.vectors + v}];")
                lines += [f"sum{r}_{v} = dot_lane(sum{r}_{v}, w{lane}_{v}, x{r}, {lane});" for r in range(tile.pixels)]
        return lines
