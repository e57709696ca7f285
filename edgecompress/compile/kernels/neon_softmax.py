"""int8 softmax on Cortex-A: the arithmetic of softmax.py, four exponentials at a time after the table."""

from __future__ import annotations

from edgecompress.compile import c_text
from edgecompress.compile.kernels.softmax import FINE_BITS, TFLITE_ZERO_POINT, Softmax
from edgecompress.compile.kernels.vector_core import indented, loop
from edgecompress.compile.program import CKernel
from edgecompress.compile.quantized import SOFTMAX_SUM_INTEGER_BITS

STEP = 16
MOST_CLASSES = 2048
"""The exponentials of a row lie on the stack."""
DISTANCES = 256
"""How far an int8 number can be below another, and 0."""


def fits(shape: Softmax) -> bool:
    """True for rows of at least one vector."""
    return STEP <= shape.classes <= MOST_CLASSES


def name(shape: Softmax) -> str:
    """The kernel's name."""
    return f"neon_{shape.name}"


def build(shape: Softmax) -> CKernel:
    """Write the kernel: (logits, exponentials, output, scalars, workspace)."""
    parameters = ["const int8_t *restrict input", "const int32_t *restrict exponentials", "int8_t *restrict output"]
    parameters += [*(f"int32_t {scalar}" for scalar in shape.scalars), "int32_t *restrict table"]
    lines = [
        f"for (uint32_t i = 0; i < {DISTANCES}u; ++i) {{",
        f"  table[i] = i < {shape.table}u ? exponentials[i] : 0;",
        "}",
        *loop("row", shape.rows, _row(shape)),
    ]
    head = c_text.wrapped(f"KERNEL void {name(shape)}(", parameters)
    text = "\n".join([f"{head}) {{", *indented(lines), "}", ""])
    work = 6 * shape.rows * shape.classes
    return CKernel(name=name(shape), source=text, workspaces=(4 * DISTANCES,), spreads=True, work=work)


def _row(shape: Softmax) -> list[str]:
    """One row; its last vector begins earlier where it would not be whole, and counts what was not counted."""
    whole = shape.classes // STEP * STEP
    rest = shape.classes - whole
    lines = [
        f"const int8_t *const x = input + row * {shape.classes}u;",
        f"int8_t *const y = output + row * {shape.classes}u;",
        f"int32_t each[{whole + STEP if rest else whole}];",
        f"bytes16 larger = load_bytes16(x + {shape.classes - STEP});",
        *_steps(whole, ["larger = larger_bytes16(larger, load_bytes16(x + i));"]),
        "const int32_t most = largest_of_bytes16(larger);",
        "words4 sums = {0};",
        *_steps(whole, ["sums = exponentials_of_bytes16(sums, each + i, table, most, load_bytes16(x + i));"]),
    ]
    if rest:
        lines += [
            f"for (uint32_t i = {whole}u; i < {shape.classes}u; ++i) {{",
            "  each[i] = table[(uint8_t)(most - x[i])];",
            "  sums[0] += ((each[i] >> 11) + 1) >> 1;",
            "}",
        ]
    lines += [
        "int32_t shift;",
        "const int32_t reciprocal = softmax_reciprocal(total_of_words4(sums), &shift);",
        "const words4 factor = (words4){0} + reciprocal;",
        *_scaling(shape),
        *_steps(whole, _results(shape, "i")),
    ]
    if rest:
        lines += ["{", *indented(_results(shape, f"{shape.classes - STEP}u")), "}"]
    return lines


def _steps(count: int, body: list[str]) -> list[str]:
    return [f"for (uint32_t i = 0; i < {count}u; i += {STEP}u) {{", *indented(body), "}"]


def _scaling(shape: Softmax) -> list[str]:
    """What is the same for all results of a row. The least shift bounds what an output of 2^-8 can resolve."""
    bits = FINE_BITS if shape.rescales else 8
    most = SOFTMAX_SUM_INTEGER_BITS + 31 - bits
    least_shift = 1 if shape.rescales else 4
    lines = [
        f"const int32_t right = {most} - (shift < {least_shift} ? {least_shift} : shift);",
        "const words4 down = (words4){0} - right;",
    ]
    if shape.rescales:
        lines.append("const words4 scale = (words4){0} + multiplier, lower = (words4){0} - (shift_less_1 + 1);")
    return lines


def _results(shape: Softmax, place: str) -> list[str]:
    """Sixteen results."""
    zero = "output_zero" if shape.rescales else str(TFLITE_ZERO_POINT)
    lines = []
    for n in range(4):
        product = f"multiply_high(load_words4(each + {place} + {4 * n}), factor)"
        value = f"round_shift({product}, down)"
        lines.append(f"const words4 part{n} = {f'scale_down({value}, scale, lower)' if shape.rescales else value};")
    lines += [f"const halves8 half{n} = narrow_words(part{2 * n}, part{2 * n + 1}, {zero});" for n in range(2)]
    return [*lines, f"store_bytes16(y + {place}, narrow_halves_twice(half0, half1, -128, 127));"]
