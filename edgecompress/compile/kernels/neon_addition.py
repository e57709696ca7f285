"""int8 addition on Cortex-A, sixteen numbers at a time: the arithmetic of addition.py on vectors."""

from __future__ import annotations

from edgecompress.compile import c_text
from edgecompress.compile.kernels.addition import Addition
from edgecompress.compile.kernels.vector_core import indented, loop
from edgecompress.compile.program import CKernel

LEAST = 16
"""Fewer numbers are no vector."""


def name(shape: Addition) -> str:
    """The kernel's name."""
    return f"neon_{shape.name}"


def build(shape: Addition) -> CKernel:
    """Write the kernel: (first, second, output, scalars)."""
    whole, rest = divmod(shape.elements, LEAST)
    parameters = ["const int8_t *restrict first", "const int8_t *restrict second", "int8_t *restrict output"]
    parameters += [f"int32_t {scalar}" for scalar in shape.scalars]
    lines = ["const words4 factor = (words4){0} + sum_multiplier, shift = (words4){0} - (sum_shift_less_1 + 1);"]
    if not shape.one_scale:
        lines += ["const words4 second_factor = (words4){0} + second_multiplier;"]
        lines += ["const words4 second_shift = (words4){0} - (second_shift_less_1 + 1);"]
    lines += ["const int32_t zero = twice_output_zero_plus_1 >> 1;"]
    lines += loop("i", whole, _sixteen(shape, f"i * {LEAST}u" if whole > 1 else "0u"))
    if rest:
        # The last vector begins earlier and computes some numbers again.
        lines += ["{", *indented(_sixteen(shape, f"{shape.elements - LEAST}u")), "}"]
    head = c_text.wrapped(f"KERNEL void {name(shape)}(", parameters)
    return CKernel(name=name(shape), source="\n".join([f"{head}) {{", *indented(lines), "}", ""]), workspaces=())


def _sixteen(shape: Addition, place: str) -> list[str]:
    """Add sixteen numbers from a place on."""
    lines = [
        f"const bytes16 a = load_bytes16(first + {place}), b = load_bytes16(second + {place});",
        "const halves8 a0 = less_zero(low_bytes(a), first_zero), a1 = less_zero(high_bytes(a), first_zero);",
        "const halves8 b0 = less_zero(low_bytes(b), second_zero), b1 = less_zero(high_bytes(b), second_zero);",
    ]
    lines += [_sum(shape, number) for number in range(4)]
    lines += [f"const words4 scaled{number} = scale_down(sum{number}, factor, shift);" for number in range(4)]
    lines += [f"const halves8 half{n} = narrow_words(scaled{2 * n}, scaled{2 * n + 1}, zero);" for n in range(2)]
    return [*lines, f"store_bytes16(output + {place}, narrow_halves_twice(half0, half1, low, high));"]


def _sum(shape: Addition, number: int) -> str:
    """Four numbers of the first operand times 2^19, and of the second one brought to its scale."""
    half, part = divmod(number, 2)
    shifted = ("low_shifted", "high_shifted")[part]
    if shape.one_scale:
        return f"const words4 sum{number} = {shifted}((a{half} >> 1) + (b{half} >> 1));"
    second = f"scale_down({shifted}(b{half}), second_factor, second_shift)"
    return f"const words4 sum{number} = {shifted}(a{half} >> 1) + {second};"
