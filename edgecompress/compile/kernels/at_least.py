"""Whether some int8 number of a tensor reaches a bound, as C text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgecompress.compile.program import CKernel


@dataclass(frozen=True, kw_only=True)
class AtLeast:
    """The shape class: so many numbers."""

    elements: int

    SCALARS: ClassVar[tuple[str, ...]] = ("bound",)

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"at_least_{self.elements}"


def build(shape: AtLeast) -> CKernel:
    """Write the kernel: (input, output, bound)."""
    source = (
        f"KERNEL void {shape.name}(const int8_t *restrict input, bool *restrict output, int32_t bound) {{\n"
        "  bool reached = false;\n"
        f"  for (uint32_t i = 0; i < {shape.elements}u; ++i) {{\n"
        "    reached = reached || input[i] >= bound;\n"
        "  }\n"
        "  *output = reached;\n"
        "}\n"
    )
    return CKernel(name=shape.name, source=source, workspaces=())
