"""int8 softmax in fixed point: exponentials from a table, the reciprocal of their sum by Newton's method.

Source: TensorFlow Lite, reference_ops::Softmax; gemmlowp, one_over_one_plus_x_for_x_in_0_1.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from edgecompress.compile.kernels import fixed_point
from edgecompress.compile.kernels.fixed_point import multiply_high
from edgecompress.compile.kernels.loops import Buffer, Expr, Function, clamp, int32, int64, let, loop, temporary
from edgecompress.compile.quantized import SOFTMAX_SUM_INTEGER_BITS

TFLITE_SCALE, TFLITE_ZERO_POINT = 1 / 256, -128
"""The only output quantization that TFLite knows."""

FINE_BITS = 24
"""Fraction bits of a probability before it is brought to any other output scale."""


@dataclass(frozen=True, kw_only=True)
class Softmax:
    """The shape class of a softmax. `table` is the length of the table of exponentials; `rescales` says that the output
    is not at TFLite's scale."""

    rows: int
    classes: int
    table: int
    rescales: bool

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"softmax_{self.rows}x{self.classes}_t{self.table}{'_rescaled' if self.rescales else ''}"

    @property
    def scalars(self) -> tuple[str, ...]:
        """The int32 parameters behind the buffers."""
        return ("multiplier", "shift_less_1", "output_zero") if self.rescales else ()


def build(shape: Softmax) -> tirx.PrimFunc:
    """Write the kernel: (logits, exponentials, output, scalars)."""
    function = Function()
    with function.body():
        logits = function.argument("input", shape.rows * shape.classes, "int8")
        table = function.argument("exponentials", shape.table, "int32")
        output = function.argument("output", shape.rows * shape.classes, "int8")
        scalars = {name: function.scalar(name) for name in shape.scalars}
        state = temporary("state", 5, "int32")  # largest logit, sum, its leading zeros, its reciprocal, half the sum
        with loop("row", shape.rows) as row:
            first = row * shape.classes
            state[0] = int32(-128)
            with loop("i", shape.classes) as i:
                state[0] = tirx.max(state[0], int32(logits[first + i]))
            state[1] = int32(0)
            with loop("i", shape.classes) as i:
                each = _exponential(shape, table, let("below", state[0] - int32(logits[first + i])))
                state[1] += fixed_point.divide_by_power(let("exponential", each), SOFTMAX_SUM_INTEGER_BITS - 1)
            state[2] = _leading_zeros(state[1])
            _store_reciprocal(state)
            with loop("i", shape.classes) as i:
                each = _exponential(shape, table, let("below", state[0] - int32(logits[first + i])))
                product = let("product", multiply_high(state[3], each))
                output[first + i] = _to_int8(product, state[2], scalars).astype("int8")
    return function.finish()


def _exponential(shape: Softmax, table: Buffer, below: Expr) -> Expr:
    """exp of how far a logit is below the largest, as Q0.31."""
    if shape.table == 256:
        return table[below]
    inside = table[tirx.min(below, int32(shape.table - 1))]
    return tirx.Select(below < shape.table, inside, int32(0))


def _leading_zeros(total: Expr) -> Expr:
    """Leading zero bits of the sum, 1 to 12: the largest exponential alone is 1.0, and the sum is positive."""
    least = 31 - SOFTMAX_SUM_INTEGER_BITS
    return sum((int64(total) < int64(1 << bits)).astype("int32") for bits in range(least + 1, 32))


def _store_reciprocal(state: Buffer) -> None:
    """state[3] = 1 / (the sum state[1], shifted left by state[2] to [1, 2)), as Q0.31.

    Three Newton steps from 48/17 - 32/17 d, in Q2.29. Every step is stored: TVM's simplifier puts the definition of a
    `let` in the place of its name, and each step names the one before it twice.
    """
    fraction = tirx.shift_left(int64(state[1]), int64(state[2])) - int64(1 << 31)
    state[4] = tirx.shift_right(fraction + int64(1 << 31), int64(1)).astype("int32")
    state[3] = int32(1515870810) + multiply_high(state[4], int32(-1010580540))
    for _ in range(3):
        state[1] = int32(1 << 29) - multiply_high(state[4], state[3])
        state[3] += multiply_high(state[3], state[1]) * 4
    state[3] = tirx.min(int64(state[3]) * int64(2), int64(2**31 - 1)).astype("int32")


def _to_int8(product: Expr, leading_zeros: Expr, scalars: dict[str, Expr]) -> Expr:
    """Bring reciprocal times exponential to the output's scale."""
    if not scalars:
        exponent = SOFTMAX_SUM_INTEGER_BITS + (31 - 8) - clamp(leading_zeros, 4, SOFTMAX_SUM_INTEGER_BITS)
        return clamp(fixed_point.divide_by_power(product, exponent - 1) + TFLITE_ZERO_POINT, -128, 127)
    exponent = SOFTMAX_SUM_INTEGER_BITS + (31 - FINE_BITS) - clamp(leading_zeros, 1, SOFTMAX_SUM_INTEGER_BITS)
    fine = let("fine", fixed_point.divide_by_power(product, exponent - 1))
    scaled = fixed_point.scale_down(fine * 2, scalars["multiplier"], scalars["shift_less_1"])
    return clamp(scaled + scalars["output_zero"], -128, 127)
