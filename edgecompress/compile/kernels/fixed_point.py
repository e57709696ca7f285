"""Fixed-point scaling in TIR: gemmlowp's double rounding, in as few instructions as it allows.

All results equal those of edgecompress.compile.quantized (multiply_high, divide_by_power) on the values that can occur.

A shift's amount must be a constant, a loaded value, a parameter, or clamped to what is possible: TVM 0.27 derives wrong
bounds for `x >> (n - 1)` with an unbounded n, and then drops clamps that are needed.
"""

from __future__ import annotations

from tvm import tirx

from edgecompress.compile.kernels.loops import Expr, int32, int64, let


def multiply_high(a: Expr, b: Expr) -> Expr:
    """Q0.31 product, rounding half up. `a` and `b` must not both be the least int32."""
    product = int64(a) * int64(b) + int64(1 << 30)
    return tirx.shift_right(product, int64(31)).astype("int32")


def multiply_doubled(doubled: Expr, b: Expr) -> Expr:
    """Q0.31 product of `doubled / 2` and `b`, rounding half up: the upper word of the product and its carry.

    Give loaded values: TVM spreads the widening over a sum, and three multiplications come of one.
    """
    product = int64(doubled) * int64(b)
    upper = tirx.shift_right(product, int64(32)).astype("int32")
    carry = tirx.bitwise_and(tirx.shift_right(product, int64(31)).astype("int32"), int32(1))
    return upper + carry


def divide_by_power(x: Expr, exponent_less_1: Expr, *, add: Expr = 1) -> Expr:
    """Divide by 2**exponent, rounding half away from zero; the exponent, given less 1, is at least 1.

    With `add` as 2 * n + 1, the result is greater by n: an offset costs nothing here.
    """
    away = let("away", x + tirx.shift_right(x, int32(31)))
    return tirx.shift_right(tirx.shift_right(away, int32(exponent_less_1)) + add, int32(1))


def divide_by_power_or_one(x: Expr, exponent: Expr) -> Expr:
    """Divide by 2**exponent, rounding half away from zero; the exponent may be 0."""
    x = let("x", x)
    # Unsigned, because an int32 has no 2**31.
    power = tirx.shift_left(tirx.const(1, "uint32"), int32(exponent).astype("uint32"))
    mask = let("mask", (power - tirx.const(1, "uint32")).astype("int32"))
    threshold = tirx.shift_right(mask, int32(1)) + (x < 0).astype("int32")
    return tirx.shift_right(x, int32(exponent)) + (tirx.bitwise_and(x, mask) > threshold).astype("int32")


def scale_down(doubled: Expr, value: Expr, exponent_less_1: Expr, *, add: Expr = 1) -> Expr:
    """Scale `doubled / 2`, below 2**30 in magnitude, by `value / 2**31 / 2**exponent`; see the two functions above."""
    return divide_by_power(let("product", multiply_doubled(doubled, value)), exponent_less_1, add=add)


def scale(x: Expr, value: Expr, shift: Expr) -> Expr:
    """Scale by `value / 2**31 * 2**shift` with a shift of either sign (TFLite's MultiplyByQuantizedMultiplier)."""
    left = tirx.max(int32(shift), int32(0))
    right = tirx.max(-int32(shift), int32(0))
    return divide_by_power_or_one(multiply_high(x * tirx.shift_left(int32(1), left), value), right)
