"""int8 softmax on x86-64: the arithmetic of softmax.py, a register of exponentials at a time."""

from __future__ import annotations

from dataclasses import dataclass

from edgecompress.compile import c_text
from edgecompress.compile.kernels.softmax import TFLITE_ZERO_POINT, Softmax
from edgecompress.compile.kernels.vector_core import indented, loop
from edgecompress.compile.kernels.x86_core import Core
from edgecompress.compile.program import CKernel
from edgecompress.compile.quantized import SOFTMAX_SUM_INTEGER_BITS

MOST_CLASSES = 2048
"""The exponentials of a row lie on the stack."""
DISTANCES = 256
"""How far an int8 number can be below another, and 0."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """The kernels of a core."""

    core: Core

    def fits(self, shape: Softmax) -> bool:
        """True for rows of whole groups of four registers, at TFLite's output scale."""
        return not shape.rescales and shape.classes % (4 * self.core.lanes) == 0 and shape.classes <= MOST_CLASSES

    def name(self, shape: Softmax) -> str:
        """The kernel's name."""
        return f"x86_{self.core.lanes}_{shape.name}"

    def build(self, shape: Softmax) -> CKernel:
        """Write the kernel: (logits, exponentials, output, workspace)."""
        parameters = ["const int8_t *restrict input", "const int32_t *restrict exponentials"]
        parameters += ["int8_t *restrict output", "int32_t *restrict table"]
        lines = [
            f"for (uint32_t i = 0; i < {DISTANCES}u; ++i) {{",
            f"  table[i] = i < {shape.table}u ? exponentials[i] : 0;",
            "}",
            *loop("row", shape.rows, self._row(shape)),
        ]
        head = c_text.wrapped(f"KERNEL void {self.name(shape)}(", parameters)
        text = "\n".join([f"{head}) {{", *indented(lines), "}", ""])
        work = 2 * shape.rows * shape.classes
        return CKernel(name=self.name(shape), source=text, workspaces=(4 * DISTANCES,), spreads=True, work=work)

    def _row(self, shape: Softmax) -> list[str]:
        lanes, words = self.core.lanes, self.core.words
        most_shift = SOFTMAX_SUM_INTEGER_BITS + 31 - 8
        return [
            f"const int8_t *const x = input + row * {shape.classes}u;",
            f"int8_t *const y = output + row * {shape.classes}u;",
            f"int32_t each[{shape.classes}];",
            f"uint8_t below[{shape.classes}];",
            "int8_t most = -128;",
            f"for (uint32_t i = 0; i < {shape.classes}u; ++i) {{",
            "  most = x[i] > most ? x[i] : most;",
            "}",
            f"for (uint32_t i = 0; i < {shape.classes}u; ++i) {{",
            "  below[i] = (uint8_t)(most - x[i]);",
            "}",
            f"{words} sums = {{0}};",
            f"for (uint32_t i = 0; i < {shape.classes}u; i += {lanes}u) {{",
            f"  const {words} found = exponentials{lanes}(table, below + i);",
            f"  write_words{lanes}(each + i, found);",
            "  sums += ((found >> 11) + 1) >> 1;",
            "}",
            "int32_t zeros;",
            f"const int32_t reciprocal = softmax_reciprocal(total_of{lanes}(sums), &zeros);",
            f"const {words} factor = ({words}){{0}} + reciprocal, left = {{0}};",
            # The least shift bounds what an output of 2^-8 can resolve.
            f"const {words} right = ({words}){{0}} + ({most_shift} - (zeros < 4 ? 4 : zeros));",
            f"for (uint32_t i = 0; i < {shape.classes}u; i += {4 * lanes}u) {{",
            *indented(self._results()),
            "}",
        ]

    def _results(self) -> list[str]:
        lanes = self.core.lanes
        lines = []
        for v in range(4):
            found = f"read_words{lanes}(each + i + {v * lanes})"
            lines.append(
                f"const {self.core.words} part{v} = "
                f"scale_any{lanes}({found}, factor, left, right, {TFLITE_ZERO_POINT});"
            )
        narrowed = f"narrow_4_words{lanes}({', '.join(f'part{v}' for v in range(4))})"
        return [*lines, f"write_words{lanes}(y + i, (words{lanes})in_order{lanes}({narrowed}));"]
