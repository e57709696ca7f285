"""The end of every layer that sums products: int32 accumulator to int8 output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile.kernels import fixed_point
from edgecompress.compile.kernels.loops import Buffer, Expr, clamp
from edgecompress.compile.quantized import Multiplier


class Row(NamedTuple):
    """What a channel's accumulator starts with and is scaled by."""

    bias: Expr
    multiplier: Expr
    shift: Expr


class Epilogue:
    """Bias, fixed-point scaling, output zero point and clamp, from a table with one row a channel.

    A row is (bias, multiplier, shift). `scales_up` allows factors of 1/2 and more; without it the shift column holds
    the right shift less 1, and the accumulators stay below 2**30 in magnitude.
    """

    COLUMNS: ClassVar[int] = 3
    SCALARS: ClassVar[tuple[str, ...]] = ("output_zero", "low", "high")

    def __init__(self, table: Buffer, scalars: Mapping[str, Expr], *, scales_up: bool) -> None:
        self._table = table
        self._scalars = scalars
        self._scale = fixed_point.scale if scales_up else fixed_point.scale_down

    def row(self, channel: Expr) -> Row:
        """Read a channel's row."""
        first = channel * self.COLUMNS
        return Row(self._table[first], self._table[first + 1], self._table[first + 2])

    def apply(self, total: Expr, row: Row) -> Expr:
        """Requantise an accumulator to int8."""
        zero, low, high = (self._scalars[name] for name in self.SCALARS)
        return clamp(self._scale(total, row.multiplier, row.shift) + zero, low, high).astype("int8")


def scales_up(multipliers: Sequence[Multiplier], magnitudes: NDArray[np.int64]) -> bool:
    """True when a channel needs the general scaling: a factor of 1/2 or more, or an accumulator of 2**30 or more."""
    return any(each.shift > -1 for each in multipliers if each.value) or bool((magnitudes >= 2**30).any())


def table(bias: NDArray[np.int64], multipliers: Sequence[Multiplier], *, scales_up: bool) -> NDArray[np.int32]:
    """Lay out the rows that `Epilogue` reads."""
    shifts = [each.shift if scales_up else max(-each.shift - 1, 0) for each in multipliers]
    values = [each.value for each in multipliers]
    return np.stack([bias, values, shifts], axis=1).astype(np.int32)
