"""Functions of one int8 number on 64-bit Cortex-A: TBL looks up sixteen numbers at a time in a table of 256."""

from __future__ import annotations

from edgecompress.compile.kernels.elementwise import Lookup
from edgecompress.compile.kernels.vector_core import indented, loop
from edgecompress.compile.program import CKernel

STEP = 16
QUARTERS = (
    "const table64 a = load_table64(table + 128), b = load_table64(table + 192);",
    "const table64 c = load_table64(table), d = load_table64(table + 64);",
)
"""Of the values of -128 … 127, those of 0 … 63, 64 … 127, -128 … -65, -64 … -1: the order of bytes without a sign."""
NUMBERS_A_TURN = 4096
"""What a thread takes at a time."""


def fits(shape: Lookup) -> bool:
    """True when there is a whole vector."""
    return shape.elements >= STEP


def name(shape: Lookup) -> str:
    """The kernel's name."""
    return f"neon_{shape.name}"


def build(shape: Lookup) -> CKernel:
    """Write the kernel: (input, table of the results for -128 … 127, output)."""
    turns, rest = divmod(shape.elements, NUMBERS_A_TURN)
    turn = [f"const uint32_t first = turn * {NUMBERS_A_TURN}u;", *_numbers("first", NUMBERS_A_TURN)]
    lines = loop("turn", turns, turn)
    if rest >= STEP:
        lines += ["{", *indented(_numbers(f"{turns * NUMBERS_A_TURN}u", rest)), "}"]
    if rest % STEP:  # the last vector begins earlier and looks up some numbers again
        lines += ["{", *indented([*QUARTERS, _sixteen(f"{shape.elements - STEP}u")]), "}"]
    head = (
        f"KERNEL void {name(shape)}(\n    const int8_t *restrict input, const int8_t *restrict table, "
        "int8_t *restrict output) {"
    )
    text = "\n".join([head, *indented(lines), "}", ""])
    return CKernel(name=name(shape), source=text, workspaces=(), spreads=True, work=shape.elements)


def _numbers(first: str, count: int) -> list[str]:
    """Look up as many whole vectors as there are."""
    whole = count // STEP * STEP
    head = f"for (uint32_t i = {first}; i < {first} + {whole}u; i += {STEP}u) {{"
    return [*QUARTERS, head, f"  {_sixteen('i')}", "}"]


def _sixteen(place: str) -> str:
    return f"store_bytes16(output + {place}, look_up_bytes16(a, b, c, d, load_bytes16(input + {place})));"
