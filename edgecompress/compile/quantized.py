"""The arithmetic of the TFLite int8 quantization specification, on numpy integers.

Real numbers that scale an accumulator become a Q0.31 multiplier and a power of two; kernels/fixed_point.py applies them
with gemmlowp's double rounding, so that every core gives the same bytes. What can be computed before the network runs
(multipliers, tables) is computed here.

Source: TensorFlow Lite 8-bit quantization specification; B. Jacob et al. 2018, "Quantization and training of neural
networks for efficient integer-arithmetic-only inference"; gemmlowp fixedpoint.h for the exponential.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.core.values import Arithmetic

INT8_MIN, INT8_MAX = -128, 127
INT32_MAX = 2**31 - 1

ADD_LEFT_SHIFT = 20
"""How far the operands of an addition are shifted up before they are brought to one scale."""

SOFTMAX_INTEGER_BITS = 5
"""The exponential's argument has this many integer bits: below -32 it counts as zero."""

SOFTMAX_SUM_INTEGER_BITS = 12
"""The sum of exponentials is Q12.19, enough for 4096 classes."""


@dataclass(frozen=True, kw_only=True)
class Multiplier:
    """A factor `value / 2**31 * 2**shift`, with `value` in [2**30, 2**31) or zero."""

    value: int
    shift: int


def multiplier(factor: float) -> Multiplier:
    """Split a factor of zero or more into Q0.31 significand and exponent, rounding half away from zero.

    A factor below 2**-32 becomes zero, as in TFLite. Raises ValueError for a factor that no int32 can be scaled by.
    """
    if not (math.isfinite(factor) and factor >= 0):
        raise ValueError(f"an accumulator cannot be scaled by {factor}")
    significand, shift = math.frexp(factor)
    value = math.floor(significand * 2**31 + 0.5)
    if value == 2**31:
        value, shift = 2**30, shift + 1
    if shift < -31:
        return Multiplier(value=0, shift=0)
    if shift > 31:
        raise ValueError(f"an accumulator cannot be scaled by {factor:g}: the limit is 2**31")
    return Multiplier(value=value, shift=shift)


def accumulator_factors(input_scale: float, weight_scales: NDArray[np.float32], output_scale: float) -> list[float]:
    """What brings accumulators to the output's scale: one factor an output channel, in double precision.

    tflite-micro works this out in double precision for fully connected layers too; TensorFlow Lite itself does not.
    """
    return [float(np.float64(input_scale) * np.float64(scale) / np.float64(output_scale)) for scale in weight_scales]


def multiply_high(a: NDArray[np.int64] | int, b: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """Multiply two Q0.31 numbers, rounding half up (gemmlowp's SaturatingRoundingDoublingHighMul)."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    return np.asarray(np.minimum((product + (1 << 30)) >> 31, INT32_MAX), np.int64)


def divide_by_power(x: NDArray[np.int64] | int, exponent: int) -> NDArray[np.int64]:
    """Divide by 2**exponent, rounding half away from zero (gemmlowp's RoundingDivideByPOT)."""
    value = np.asarray(x, np.int64)
    if exponent == 0:
        return value
    halfway = (1 << (exponent - 1)) - (value < 0)
    return np.asarray((value + halfway) >> exponent, np.int64)


def multiply_by_power(x: NDArray[np.int64] | int, exponent: int) -> NDArray[np.int64]:
    """Multiply by 2**exponent, saturating to int32."""
    return np.asarray(np.clip(np.asarray(x, np.int64) << exponent, -INT32_MAX - 1, INT32_MAX), np.int64)


def scale(x: NDArray[np.int64], by: Multiplier) -> NDArray[np.int64]:
    """Scale by a multiplier (TFLite's MultiplyByQuantizedMultiplier)."""
    return divide_by_power(multiply_high(x << max(by.shift, 0), by.value), max(-by.shift, 0))


def mean_multiplier(input_scale: float, output_scale: float, count: int) -> Multiplier:
    """What brings a sum of `count` numbers to their mean at the output's scale (TFLite's QuantizedMeanOrSum)."""
    factor = multiplier(float(np.float64(input_scale) / np.float64(output_scale)))
    shift = min(count.bit_length() - 1, 32, 31 + factor.shift)
    return Multiplier(value=(factor.value << shift) // count, shift=factor.shift - shift)


def onnx_rescale_table(
    source: tuple[float, int], target: tuple[float, int], bounds: tuple[int, int]
) -> NDArray[np.int8]:
    """What -128 … 127 become at another (scale, zero point), limited to `bounds`: as ONNX defines it.

    Dequantize and quantize in single precision with ties to even. TFLite's double rounding is one off for up to a
    quarter of the numbers where the scales are close.
    """
    (scale_in, zero_in), (scale_out, zero_out) = source, target
    real = np.arange(INT8_MIN - zero_in, INT8_MAX + 1 - zero_in).astype(np.float32) * np.float32(scale_in)
    numbers = np.rint(real / np.float32(scale_out)) + np.float32(zero_out)
    return np.asarray(np.clip(numbers, *bounds).astype(np.int8))


def tflite_rescale_table(
    source: tuple[float, int], target: tuple[float, int], bounds: tuple[int, int]
) -> NDArray[np.int8]:
    """The same as TFLite's Requantize computes it."""
    (scale_in, zero_in), (scale_out, zero_out) = source, target
    numbers = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int64) - zero_in
    scaled = scale(numbers, multiplier(float(np.float64(scale_in) / np.float64(scale_out)))) + zero_out
    return np.asarray(np.clip(scaled, *bounds).astype(np.int8))


RESCALE_TABLES: Mapping[Arithmetic, Callable[..., NDArray[np.int8]]] = {
    "onnx": onnx_rescale_table,
    "tflite": tflite_rescale_table,
}


def folded_bias(
    bias: NDArray[np.int64], weights: NDArray[np.int8], input_zero_point: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Move the input's zero point into the bias: sum((x - zero) w) + bias = sum(x w) + bias - zero * sum(w).

    `weights` has the output channel first. The second result is, for each channel, the largest magnitude that the
    accumulator can reach with any int8 input, at any point of the sum.
    """
    taps = weights.reshape(len(weights), -1).astype(np.int64)
    folded = bias - input_zero_point * taps.sum(axis=1)
    return folded, np.abs(folded) + 128 * np.abs(taps).sum(axis=1)


def softmax_exponentials(input_scale: float) -> NDArray[np.int32]:
    """Tabulate exp(-d * scale) as Q0.31 for every difference d = 0, 1, … of two int8 logits; zero beyond the end."""
    factor = min(float(np.float32(input_scale)) * 2.0 ** (31 - SOFTMAX_INTEGER_BITS), 2.0**31 - 1)
    scaling = multiplier(factor)
    left_shift = max(scaling.shift, 0)
    reach = math.floor((2.0**SOFTMAX_INTEGER_BITS - 1) * 2.0 ** (31 - SOFTMAX_INTEGER_BITS) / 2.0**left_shift)
    differences = -np.arange(min(reach, 255) + 1, dtype=np.int64)
    return exponential(multiply_high(differences << left_shift, scaling.value)).astype(np.int32)


def exponential(x: NDArray[np.int64]) -> NDArray[np.int64]:
    """Compute exp(x) as Q0.31 for x in Q5.26, zero or negative (gemmlowp's exp_on_negative_values).

    exp of the part in [-1/4, 0) is a Taylor polynomial of fourth order around -1/8; every set bit of the rest
    multiplies it with a constant.
    """
    fraction_bits = 31 - SOFTMAX_INTEGER_BITS
    quarter = 1 << (fraction_bits - 2)
    fraction = (x & (quarter - 1)) - quarter
    result = _exponential_near_zero(multiply_by_power(fraction, SOFTMAX_INTEGER_BITS))
    rest = fraction - x
    for exponent in range(-2, SOFTMAX_INTEGER_BITS):
        constant = round(math.exp(-(2.0**exponent)) * 2**31)
        set_bit = (rest >> (fraction_bits + exponent)) & 1
        result = np.where(set_bit == 1, multiply_high(result, constant), result)
    return np.asarray(np.where(x == 0, INT32_MAX, result), np.int64)


def _exponential_near_zero(a: NDArray[np.int64]) -> NDArray[np.int64]:
    """exp(a) for a in [-1/4, 0), both Q0.31."""
    at_minus_eighth = 1895147668  # exp(-1/8)
    third = 715827883  # 1/3
    x = a + (1 << 28)
    x2 = multiply_high(x, x)
    x3 = multiply_high(x2, x)
    x4_over_4 = divide_by_power(multiply_high(x2, x2), 2)
    tail = divide_by_power(multiply_high(x4_over_4 + x3, third) + x2, 1)
    return at_minus_eighth + multiply_high(at_minus_eighth, x + tail)
