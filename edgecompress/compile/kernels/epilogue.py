"""The end of every layer that sums products: int32 accumulator to int8 output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from edgecompress.compile.kernels import fixed_point
from edgecompress.compile.kernels.loops import Buffer, Expr, clamp, int32
from edgecompress.compile.quantized import INT8_MAX, INT8_MIN, Multiplier


@dataclass(frozen=True, kw_only=True)
class Epilogue:
    """How a shape class ends: bias, fixed-point scaling, output zero point and clamp.

    A table gives each channel a row (bias, multiplier, shift). `scales_up` allows factors of 1/2 and more. Without it
    the accumulators stay below 2**30 in magnitude, the bias is stored doubled, the shift is a right one less 1, and the
    output's zero point is part of the rounding constant.
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
        zero = "output_zero" if self.scales_up else "rounding"
        return (zero, "low", "high") if self.clamps else (zero,)

    def scalar_values(self, zero_point: int, low: int, high: int) -> list[int]:
        """The parameters for a layer."""
        zero = zero_point - (0 if self.clamps else INT8_MIN)
        start = zero if self.scales_up else 2 * zero + 1
        return [start, low, high] if self.clamps else [start]

    def table(self, bias: NDArray[np.int64], multipliers: Sequence[Multiplier]) -> NDArray[np.int32]:
        """Lay out the rows."""
        shifts = [each.shift if self.scales_up else max(-each.shift - 1, 0) for each in multipliers]
        values = [each.value for each in multipliers]
        return np.stack([bias if self.scales_up else 2 * bias, values, shifts], axis=1).astype(np.int32)

    def apply(
        self, sums: Buffer, indices: Sequence[int], table: Buffer, channel: Expr, scalars: Mapping[str, Expr]
    ) -> list[Expr]:
        """Bring some accumulators, all of one channel, to int8."""
        bias, multiplier, shift = (table[channel * self.COLUMNS + column] for column in range(self.COLUMNS))
        zero = scalars[self.scalars[0]]
        results = []
        for i in indices:
            if self.scales_up:
                sums[i] += bias
                scaled = fixed_point.scale(sums[i], multiplier, shift) + zero
            else:
                sums[i] = sums[i] * 2 + bias
                scaled = fixed_point.scale_down(sums[i], multiplier, shift, add=zero)
            results.append(self._bounded(scaled, scalars))
        return results

    def _bounded(self, scaled: Expr, scalars: Mapping[str, Expr]) -> Expr:
        """Limit to the clamp; to int8 by way of 0 … 255, which a Cortex-M does in one instruction even in a loop."""
        if self.clamps:
            return clamp(scaled, scalars["low"], scalars["high"]).astype("int8")
        return (tirx.min(tirx.max(scaled, int32(0)), int32(255)) + INT8_MIN).astype("int8")


PLAIN = Epilogue()
"""The cheapest."""


def choose(multipliers: Sequence[Multiplier], magnitudes: NDArray[np.int64], low: int, high: int) -> Epilogue:
    """Choose the cheapest epilogue that is right for these factors, accumulators (largest magnitudes) and bounds."""
    needs_up = any(each.shift > -1 for each in multipliers if each.value) or bool((magnitudes >= 2**30).any())
    return Epilogue(scales_up=needs_up, clamps=(low, high) != (INT8_MIN, INT8_MAX))
