"""Matrix products with one scale: a C function that calls a kernel for one part of the outputs after the other.

Kernels read (bias, multiplier, shift) of every output from a table. Where all outputs have one multiplier and shift,
only the biases lie in flash; the table of a part is written before its outputs are computed.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgecompress.compile import c_text
from edgecompress.compile.program import CKernel

COLUMNS = 3


@dataclass(frozen=True, kw_only=True)
class Parts:
    """How outputs are cut for `kernel`, which reads `rows` of the table and `weights_bytes`, and makes `outputs`.

    The table lies row by row (`by_row`), or column by column.
    """

    kernel: str
    count: int
    outputs: int
    rows: int
    weights_bytes: int
    by_row: bool

    @property
    def name(self) -> str:
        """The name of the function that goes through the parts, with all that it depends on."""
        return f"one_scale_{self.kernel}_x{self.count}"

    def wrap(self, kernel: CKernel) -> CKernel:
        """Write the function: biases are in the table's place, and multiplier and shift follow the kernel's scalars."""
        parameters = c_text.parameters(kernel.source)
        names = [each.split()[-1].lstrip("*") for each in parameters]
        arguments = [
            names[0],
            f"{names[1]} + part * {self.weights_bytes}u",
            "table",
            f"{names[3]} + part * {self.outputs}u",
        ]
        arguments += names[4:]
        scalars_end = len(parameters) - len(kernel.workspaces)
        parameters[scalars_end:scalars_end] = ["int32_t multiplier", "int32_t shift"]
        parameters[2] = "const int32_t *bias"
        at = [
            f"i * {COLUMNS}u + {column}u" if self.by_row else f"i + {column * self.rows}u" for column in range(COLUMNS)
        ]
        source = (
            f"{c_text.wrapped(f'KERNEL void {self.name}(', [*parameters, 'int32_t *table'])}) {{\n"
            f"  for (uint32_t i = 0; i < {self.rows}u; ++i) {{\n"
            f"    table[{at[1]}] = multiplier;\n"
            f"    table[{at[2]}] = shift;\n"
            "  }\n"
            f"  for (uint32_t part = 0; part < {self.count}u; ++part) {{\n"
            f"    for (uint32_t i = 0; i < {self.rows}u; ++i) {{\n"
            f"      table[{at[0]}] = bias[part * {self.rows}u + i];\n"
            "    }\n"
            f"    {kernel.name}({', '.join(arguments)});\n"
            "  }\n}\n"
        )
        workspaces = (*kernel.workspaces, self.rows * COLUMNS * 4)
        return CKernel(name=self.name, source=source, workspaces=workspaces, calls=(kernel.name,))
