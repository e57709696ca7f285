"""int8 addition: both operands are brought to a common scale with 20 more bits, added, and scaled to the output.

Source: TensorFlow Lite, reference_integer_ops::Add.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from edgecompress.compile.kernels import fixed_point
from edgecompress.compile.kernels.loops import Function, clamp, int32, loop, temporary
from edgecompress.compile.quantized import ADD_LEFT_SHIFT, Multiplier, multiplier

UNROLL = 4


@dataclass(frozen=True, kw_only=True)
class Addition:
    """The shape class of an addition. The first operand is the one with the larger scale (`one_scale`: both have)."""

    elements: int
    one_scale: bool

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"addition_{self.elements}{'_one_scale' if self.one_scale else ''}"

    @property
    def scalars(self) -> tuple[str, ...]:
        """The int32 parameters behind the buffers."""
        second = () if self.one_scale else ("second_multiplier", "second_shift_less_1")
        total = ("sum_multiplier", "sum_shift_less_1", "twice_output_zero_plus_1")
        return ("first_zero", "second_zero", *second, *total, "low", "high")

    def scalar_values(
        self, zeros: tuple[int, int, int], second: Multiplier, total: Multiplier, low: int, high: int
    ) -> list[int]:
        """The parameters for a layer; the zero points are those of the operands and the output."""
        scaling = [] if self.one_scale else [second.value, max(-second.shift - 1, 0)]
        return [*zeros[:2], *scaling, total.value, -total.shift - 1, 2 * zeros[2] + 1, low, high]


def multipliers(larger: float, smaller: float, output: float) -> tuple[Multiplier, Multiplier]:
    """The factors of the second operand (the one with the smaller scale) and of the sum.

    The first operand's factor is 1/2 always, an exact shift. Raises ValueError when the output's scale is so small that
    the sum would have to be scaled up.
    """
    second = multiplier(smaller / (2 * larger))
    total = multiplier(2 * larger / (2**ADD_LEFT_SHIFT * output))
    if total.shift > -1:
        raise ValueError(f"an output scale of {output:g} is too small for operands at {larger:g}")
    return second, total


def build(shape: Addition) -> tirx.PrimFunc:
    """Write the kernel: (first, second, output, scalars)."""
    function = Function()
    with function.body():
        first = function.argument("first", shape.elements, "int8")
        second = function.argument("second", shape.elements, "int8")
        output = function.argument("output", shape.elements, "int8")
        scalars = {name: function.scalar(name) for name in shape.scalars}
        unroll = max(step for step in range(1, UNROLL + 1) if shape.elements % step == 0)
        with loop("i", shape.elements // unroll) as i:
            for u in range(unroll):
                at = i * unroll + u
                sums = temporary("sums", 2, "int32")
                sums[0] = (int32(first[at]) - scalars["first_zero"]) * 2**ADD_LEFT_SHIFT
                sums[1] = (int32(second[at]) - scalars["second_zero"]) * 2 ** (ADD_LEFT_SHIFT + 1)
                if shape.one_scale:
                    sums[0] += tirx.shift_right(sums[1], int32(1))
                else:
                    scaled = fixed_point.scale_down(
                        sums[1], scalars["second_multiplier"], scalars["second_shift_less_1"]
                    )
                    sums[0] += scaled * 2
                rounding = scalars["twice_output_zero_plus_1"]
                total = fixed_point.scale_down(
                    sums[0], scalars["sum_multiplier"], scalars["sum_shift_less_1"], add=rounding
                )
                output[at] = clamp(total, scalars["low"], scalars["high"]).astype("int8")
    return function.finish()
