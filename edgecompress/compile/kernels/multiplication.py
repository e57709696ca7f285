"""int8 multiplication of two tensors: the product of both, less their zero points, scaled to the output.

Source: TensorFlow Lite, reference_integer_ops::Mul.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tvm import tirx

from edgecompress.compile.kernels import fixed_point
from edgecompress.compile.kernels.loops import Expr, Function, clamp, int32, let, loop


@dataclass(frozen=True, kw_only=True)
class Multiplication:
    """The shape class of `rows` rows of `run` elements times as many (`repeats` False), or times one row.

    `scales_up`: the factor of the products is 1 or more.
    """

    rows: int
    run: int
    repeats: bool
    scales_up: bool

    SCALARS: ClassVar[tuple[str, ...]] = (
        "first_zero",
        "second_zero",
        "multiplier",
        "shift",
        "output_zero",
        "low",
        "high",
    )

    @property
    def name(self) -> str:
        """The kernel's name."""
        kind = "multiplication_by_row" if self.repeats else "multiplication"
        return f"{kind}_{self.rows}x{self.run}{'_up' if self.scales_up else ''}"


def build(shape: Multiplication) -> tirx.PrimFunc:
    """Write the kernel: (first, second, output, scalars)."""
    function = Function()
    with function.body():
        first = function.argument("first", shape.rows * shape.run, "int8")
        second = function.argument("second", shape.run if shape.repeats else shape.rows * shape.run, "int8")
        output = function.argument("output", shape.rows * shape.run, "int8")
        scalars = {name: function.scalar(name) for name in shape.SCALARS}
        with loop("row", shape.rows) as row, loop("i", shape.run) as i:
            at = row * shape.run + i
            factor = int32(second[i if shape.repeats else at]) - scalars["second_zero"]
            product = let("product", (int32(first[at]) - scalars["first_zero"]) * factor)
            scaled = let("scaled", _scaled(product, scalars, scales_up=shape.scales_up))
            output[at] = clamp(scaled + scalars["output_zero"], scalars["low"], scalars["high"]).astype("int8")
    return function.finish()


def _scaled(product: Expr, scalars: dict[str, Expr], *, scales_up: bool) -> Expr:
    if scales_up:
        return fixed_point.scale(product, scalars["multiplier"], scalars["shift"])
    return fixed_point.scale_down(let("doubled", product * 2), scalars["multiplier"], -scalars["shift"] - 1)
