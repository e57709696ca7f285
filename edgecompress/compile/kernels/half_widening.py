"""Halves as floats, for a layer that computes with floats."""

from __future__ import annotations

from dataclasses import dataclass

from edgecompress.compile import c_text
from edgecompress.compile.kernels.vector_core import indented, loop
from edgecompress.compile.program import CKernel

_MOST_PARTS = 16


@dataclass(frozen=True, kw_only=True)
class Widening:
    """A tensor of so many halves that becomes one of floats."""

    count: int


def kernel(name: str, layer: Widening) -> CKernel:
    """Write the kernel: (x, y). Threads take a part each."""
    parts = max(each for each in range(1, _MOST_PARTS + 1) if layer.count % each == 0)
    size = layer.count // parts
    body = loop("part", parts, [f"widen_halves(y + part * {size}u, x + part * {size}u, {size}u);"])
    head = c_text.wrapped(f"KERNEL void {name}(", ["const uint16_t *restrict x", "float *restrict y"])
    source = "\n".join([f"{head}) {{", *indented(body), "}", ""])
    return CKernel(name=name, source=source, workspaces=(), spreads=True, work=layer.count)
