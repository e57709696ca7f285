"""Copies of a part of an int8 tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from tvm import tirx

from edgecompress.compile.kernels.loops import Expr, Function, loop


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The shape class: on axis i of `shape`, `extents[i]` elements from `begins[i]` on, `steps[i]` apart."""

    shape: tuple[int, ...]
    begins: tuple[int, ...]
    extents: tuple[int, ...]
    steps: tuple[int, ...]

    SCALARS: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """The kernel's name."""
        axes = zip(self.shape, self.begins, self.extents, self.steps, strict=True)
        parts = (
            f"{extent}" if whole == extent else f"{whole}at{begin}to{extent}{_by(step)}"
            for whole, begin, extent, step in axes
        )
        return f"slice_{'x'.join(parts)}"


def _by(step: int) -> str:
    return "" if step == 1 else f"by{step}" if step > 0 else f"back{-step}"


def build(shape: Slice) -> tirx.PrimFunc:
    """Write the kernel: (input, output)."""
    function = Function()
    with function.body():
        source = function.argument("input", math.prod(shape.shape), "int8")
        output = function.argument("output", math.prod(shape.extents), "int8")

        def visit(axis: int, read: Expr, write: Expr) -> None:
            if axis == len(shape.shape):
                output[write] = source[read]
                return
            with loop(f"axis_{axis}", shape.extents[axis]) as i:
                place = shape.begins[axis] + i * shape.steps[axis]
                visit(axis + 1, read * shape.shape[axis] + place, write * shape.extents[axis] + i)

        visit(0, 0, 0)
    return function.finish()
