"""The product of two computed int8 matrices on Cortex-A: along the depth, in 16 bits, less the zero points."""

from __future__ import annotations

from edgecompress.compile import c_text
from edgecompress.compile.kernels import neon_ending
from edgecompress.compile.kernels.matrix_product import MatrixProduct
from edgecompress.compile.kernels.neon_tile import CHANNELS, Tile
from edgecompress.compile.kernels.vector_core import indented, loop, offset, terms
from edgecompress.compile.program import CKernel

STEP = 8
"""Numbers of the depth that are multiplied at a time."""
ROWS = 4


def fits(shape: MatrixProduct) -> bool:
    """True when rows are whole vectors, and results come in fours."""
    return shape.depth % STEP == 0 and shape.columns % CHANNELS == 0


def name(shape: MatrixProduct) -> str:
    """The kernel's name."""
    return f"neon_{shape.name}"


def build(shape: MatrixProduct) -> CKernel:
    """Write the kernel: (first, second, output, scalars)."""
    parameters = ["const int8_t *restrict first", "const int8_t *restrict second", "int8_t *restrict output"]
    parameters += [f"int32_t {scalar}" for scalar in shape.SCALARS]
    full, rest = divmod(shape.rows, ROWS)
    body: list[str] = []
    for count, rows, start in ((full, ROWS, 0), (1 if rest else 0, rest, full * ROWS)):
        tile = loop("column", shape.columns // CHANNELS, _tile(shape, count, rows, start))
        body += loop("row", count, tile)
    for axis in reversed(range(len(shape.batches))):
        body = loop(f"batch{axis}", shape.batches[axis], body)
    lines = ["const int32_t zero = output_zero;"]
    lines += [f"const words4 factor = (words4){{0}} + {shape.SCALARS[2]}, shifts = (words4){{0}} + shift;"]
    head = c_text.wrapped(f"KERNEL void {name(shape)}(", parameters)
    text = "\n".join([f"{head}) {{", *indented([*lines, *body]), "}", ""])
    return CKernel(name=name(shape), source=text, workspaces=())


def _tile(shape: MatrixProduct, count: int, rows: int, start: int) -> list[str]:
    """Some rows of the first matrix times four columns of the second one."""
    *first_batches, row_step = shape.first_strides
    *second_batches, column_step = shape.second_strides
    results = shape.rows * shape.columns
    output_batches = [results for _ in shape.batches]
    for axis in reversed(range(len(shape.batches) - 1)):
        output_batches[axis] = output_batches[axis + 1] * shape.batches[axis + 1]

    def at(base: str, constant: int, batches: list[int], *others: tuple[str, int, int]) -> str:
        used = [(f"batch{axis}", step) for axis, step in enumerate(batches) if shape.batches[axis] > 1]
        used += [(index, step) for index, turns, step in others if turns > 1]
        return offset(terms(base, *used), constant)

    row = ("row", count, ROWS * row_step)
    column = ("column", shape.columns // CHANNELS, CHANNELS * column_step)
    place = (("row", count, ROWS * shape.columns), ("column", shape.columns // CHANNELS, CHANNELS))
    lines = [
        f"const int8_t *a = {at('first', start * row_step, first_batches, row)};",
        f"const int8_t *b = {at('second', 0, second_batches, column)};",
        f"int8_t *const to = {at('output', start * shape.columns, output_batches, *place)};",
    ]
    lines += [f"words4 part{r}_{c} = {{0}};" for r in range(rows) for c in range(CHANNELS)]
    body = [f"const halves8 a{r} = {_widened('a', r * row_step, 'first_zero')};" for r in range(rows)]
    for c in range(CHANNELS):
        body.append(f"const halves8 b{c} = {_widened('b', c * column_step, 'second_zero')};")
        body += [f"part{r}_{c} = add_wide_products(part{r}_{c}, a{r}, b{c});" for r in range(rows)]
    lines += loop("k", shape.depth // STEP, [*body, f"a += {STEP};", f"b += {STEP};"])
    tile = Tile(pixels=rows, vectors=1)
    for r in range(rows):
        parts = ", ".join(f"part{r}_{c}" for c in range(CHANNELS))
        lines.append(f"const words4 sum{r}_0 = scale_either(total_of_each({parts}), factor, shifts);")
        lines += neon_ending.pixel(tile, r, shape.columns, last=0)
    return lines


def _widened(pointer: str, place: int, zero: str) -> str:
    return f"widen_less(load_bytes8({offset(pointer, place)}), {zero})"
