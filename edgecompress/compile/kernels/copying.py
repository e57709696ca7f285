"""Copies of a whole tensor of any type, as C text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgecompress.compile.program import CKernel


@dataclass(frozen=True, kw_only=True)
class Copy:
    """The shape class: so many bytes."""

    bytes: int

    SCALARS: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"copy_{self.bytes}_bytes"


def build(shape: Copy) -> CKernel:
    """Write the kernel: (input, output)."""
    source = (
        f"KERNEL void {shape.name}(const void *restrict input, void *restrict output) {{\n"
        f"  memcpy(output, input, {shape.bytes}u);\n"
        "}\n"
    )
    return CKernel(name=shape.name, source=source, workspaces=())
