"""Functions of one int8 number on x86-64: shuffles look up a register of numbers at a time in a table of 256."""

from __future__ import annotations

from dataclasses import dataclass

from edgecompress.compile import c_text
from edgecompress.compile.kernels.elementwise import Lookup
from edgecompress.compile.kernels.vector_core import indented, loop
from edgecompress.compile.kernels.x86_core import Core
from edgecompress.compile.program import CKernel

NUMBERS_A_TURN = 8192
"""What a thread takes at a time."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """The kernels of a core."""

    core: Core

    def fits(self, shape: Lookup) -> bool:
        """True when there is a whole register, and more numbers than the table has."""
        return shape.elements >= 512

    def name(self, shape: Lookup) -> str:
        """The kernel's name."""
        return f"x86_{self.core.lanes}_{shape.name}"

    def build(self, shape: Lookup) -> CKernel:
        """Write the kernel: (input, table of the results for -128 … 127, output)."""
        size = 4 * self.core.lanes
        turns, rest = divmod(shape.elements, NUMBERS_A_TURN)
        first = f"turn * {NUMBERS_A_TURN}u"
        lines = loop("turn", turns, self._numbers(first if turns > 1 else "0u", NUMBERS_A_TURN))
        if rest >= size:
            lines += ["{", *indented(self._numbers(f"{turns * NUMBERS_A_TURN}u", rest)), "}"]
        if rest % size:  # the last register begins earlier and looks up some numbers again
            lines += ["{", *indented([*self._steps(), self._register(f"{shape.elements - size}u")]), "}"]
        parameters = ["const int8_t *restrict input", "const int8_t *restrict table", "int8_t *restrict output"]
        head = c_text.wrapped(f"KERNEL void {self.name(shape)}(", parameters)
        text = "\n".join([f"{head}) {{", *indented(lines), "}", ""])
        return CKernel(name=self.name(shape), source=text, workspaces=(), spreads=True, work=shape.elements)

    def _steps(self) -> list[str]:
        lanes = self.core.lanes
        return [f"bytes{4 * lanes} steps[16];", f"table_steps{lanes}(steps, table);"]

    def _numbers(self, first: str, count: int) -> list[str]:
        size = 4 * self.core.lanes
        whole = count // size * size
        head = f"for (uint32_t i = {first}; i < {first} + {whole}u; i += {size}u) {{"
        return [*self._steps(), head, f"  {self._register('i')}", "}"]

    def _register(self, place: str) -> str:
        lanes = self.core.lanes
        numbers = f"(bytes{4 * lanes})read_words{lanes}(input + {place})"
        return f"write_words{lanes}(output + {place}, (words{lanes})look_up{lanes}(steps, {numbers}));"
