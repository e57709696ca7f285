"""The end of every layer that sums products: int32 accumulator to int8 output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile.kernels import fixed_point
from edgecompress.compile.kernels.loops import Buffer, Expr, clamp, let
from edgecompress.compile.quantized import INT8_MAX, INT8_MIN, Multiplier


@dataclass(frozen=True, kw_only=True)
class Epilogue:
    """How a shape class ends: bias, fixed-point scaling, output zero point and clamp.

    A table gives each channel a row (bias, multiplier, shift). `scales_up` allows factors of 1/2 and more. Without it
    the accumulators stay below 2**30 in magnitude, the bias is stored doubled and the shift is to the right, less 1.
    `clamps` says that the output is limited to less than int8 holds.
    """

    scales_up: bool = False
    clamps: bool = False

    COLUMNS: ClassVar[int] = 3

    @property
    def suffix(self) -> str:
        """What it adds to a kernel's name."""
        return f"{'_up' if self.scales_up else ''}{'_clamped' if self.clamps else ''}"

    @property
    def scalars(self) -> tuple[str, ...]:
        """The int32 parameters it needs."""
        zero = "output_zero" if self.scales_up else "twice_output_zero_plus_1"
        return (zero, "low", "high") if self.clamps else (zero,)

    def scalar_values(self, zero_point: int, low: int, high: int) -> list[int]:
        """The parameters for a layer."""
        zero = zero_point if self.scales_up else 2 * zero_point + 1
        return [zero, low, high] if self.clamps else [zero]

    def table(self, bias: NDArray[np.int64], multipliers: Sequence[Multiplier]) -> NDArray[np.int32]:
        """Lay out the rows."""
        shifts = [each.shift if self.scales_up else max(-each.shift - 1, 0) for each in multipliers]
        values = [each.value for each in multipliers]
        return np.stack([bias if self.scales_up else 2 * bias, values, shifts], axis=1).astype(np.int32)

    def apply(self, totals: Sequence[Expr], table: Buffer, channel: Expr, scalars: Mapping[str, Expr]) -> list[Expr]:
        """Bring some accumulators of one channel to int8."""
        first = channel * self.COLUMNS
        bias, multiplier, shift = (
            let(name, table[first + i]) for i, name in enumerate(("bias", "multiplier", "shift"))
        )
        zero = scalars[self.scalars[0]]
        low, high = (scalars["low"], scalars["high"]) if self.clamps else (INT8_MIN, INT8_MAX)
        results = []
        for total in totals:
            if self.scales_up:
                scaled = fixed_point.scale(total + bias, multiplier, shift) + zero
            else:
                product = fixed_point.multiply_doubled(total * 2 + bias, multiplier)
                scaled = fixed_point.divide_by_power(let("product", product), shift, add=zero)
            results.append(clamp(scaled, low, high).astype("int8"))
        return results


def choose(multipliers: Sequence[Multiplier], magnitudes: NDArray[np.int64], low: int, high: int) -> Epilogue:
    """Choose the cheapest epilogue that is right for these factors, accumulators (largest magnitudes) and bounds."""
    needs_up = any(each.shift > -1 for each in multipliers if each.value) or bool((magnitudes >= 2**30).any())
    return Epilogue(scales_up=needs_up, clamps=(low, high) != (INT8_MIN, INT8_MAX))
