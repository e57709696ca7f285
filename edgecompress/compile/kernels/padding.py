"""A tensor with a number around it: the whole output gets the number, then the input its place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from tvm import tirx

from edgecompress.compile.kernels.loops import Expr, Function, loop

Width = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Padding:
    """The shape class of a padding: extents of the input, and for each how many are added before and behind."""

    extents: tuple[int, ...]
    widths: tuple[Width, ...]

    SCALARS: ClassVar[tuple[str, ...]] = ("fill",)

    @property
    def name(self) -> str:
        """The kernel's name."""
        parts = (
            f"{before}_{extent}_{behind}" for extent, (before, behind) in zip(self.extents, self.widths, strict=True)
        )
        return f"padding_{'x'.join(parts)}"


def merged(extents: tuple[int, ...], widths: tuple[Width, ...]) -> Padding:
    """Take axes together as long as nothing is added along the inner one."""
    groups: list[tuple[int, Width]] = []
    for extent, width in zip(reversed(extents), reversed(widths), strict=True):
        if (extent, width) == (1, (0, 0)):
            continue
        if groups and groups[-1][1] == (0, 0):
            inner = groups.pop()[0]
            groups.append((extent * inner, (width[0] * inner, width[1] * inner)))
        else:
            groups.append((extent, width))
    ordered = groups[::-1]
    return Padding(extents=tuple(extent for extent, _ in ordered), widths=tuple(width for _, width in ordered))


def build(shape: Padding) -> tirx.PrimFunc:
    """Write the kernel: (input, output, number to fill with)."""
    sizes = [before + extent + behind for extent, (before, behind) in zip(shape.extents, shape.widths, strict=True)]
    function = Function()
    with function.body():
        source = function.argument("input", math.prod(shape.extents), "int8")
        output = function.argument("output", math.prod(sizes), "int8")
        fill = function.scalar("fill")
        with loop("i", math.prod(sizes)) as i:
            output[i] = fill.astype("int8")

        def visit(axis: int, read: Expr, write: Expr) -> None:
            if axis == len(sizes):
                output[write] = source[read]
                return
            with loop(f"axis_{axis}", shape.extents[axis]) as i:
                place = write * sizes[axis] + shape.widths[axis][0] + i
                visit(axis + 1, read * shape.extents[axis] + i, place)

        visit(0, 0, 0)
    return function.finish()
