"""From sums in registers of x86-64 to int8: TFLite's double rounding on a register at a time, and the table it reads.

Where results below the output's zero point are limited to it anyway, how negative numbers are rounded cannot be seen:
then both roundings are one constant and one shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile.kernels.product import Product
from edgecompress.compile.kernels.vector_core import offset
from edgecompress.compile.kernels.x86_core import groups
from edgecompress.compile.quantized import INT8_MAX, INT8_MIN

Rounding = Literal["floor", "away", "any"]

COLUMNS: dict[Rounding, int] = {"floor": 5, "away": 6, "any": 4}
"""Words a channel: bias, multiplier, two for the constant of its product, shift, half; or bias, multiplier, shifts."""
OFFSET = 1 << 30
"""What makes sums, which are smaller, positive."""
LONGEST_SHIFT = 22
"""With a longer one the output's zero point would not fit beside a sum."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How sums are rounded, and whether results are limited to less than int8 holds."""

    rounding: Rounding
    limits: bool

    @property
    def suffix(self) -> str:
        """What it adds to a kernel's name."""
        return f"_{self.rounding}{'_limited' if self.limits else ''}"

    @property
    def columns(self) -> int:
        """Words of the table for a channel."""
        return COLUMNS[self.rounding]

    @property
    def scalars(self) -> tuple[str, ...]:
        """The int32 parameters that it reads."""
        return (*(("zero",) if self.rounding == "any" else ()), *(("low", "high") if self.limits else ()))

    def scalar_values(self, product: Product) -> list[int]:
        """The parameters for a layer."""
        zero = [product.output_zero] if self.rounding == "any" else []
        return [*zero, *([product.low, product.high] if self.limits else [])]


def choose(product: Product) -> Ending:
    """Choose the cheapest ending that is right for a layer."""
    used = [each.shift for each in product.multipliers if each.value]
    is_plain = all(-LONGEST_SHIFT <= shift <= -1 for shift in used) and bool((product.magnitudes < OFFSET).all())
    limits = (product.low, product.high) != (INT8_MIN, INT8_MAX)
    if not is_plain:
        return Ending(rounding="any", limits=limits)
    return Ending(rounding="floor" if product.low >= product.output_zero else "away", limits=limits)


def table(ending: Ending, product: Product, lanes: int, order: Sequence[int]) -> NDArray[np.int32]:
    """Lay out the columns of each register of channels, in this order: (register, column, channel).

    A channel beyond the last one has zeros.
    """
    columns = _any_columns(product) if ending.rounding == "any" else _plain_columns(ending, product)
    padded = np.pad(columns, ((0, 0), (0, max(0, max(order) + 1 - columns.shape[1]))))[:, list(order)]
    registers = padded.reshape(len(columns), -1, lanes).transpose(1, 0, 2)
    if ending.rounding != "any":
        registers = np.concatenate([_with_constants(each, lanes) for each in registers])
    return np.ascontiguousarray(registers).reshape(-1).astype(np.uint32).view(np.int32)


def _any_columns(product: Product) -> NDArray[np.int64]:
    shifts = np.array([each.shift if each.value else 0 for each in product.multipliers], np.int64)
    values = np.array([each.value for each in product.multipliers], np.int64)
    return np.stack([product.bias, values, np.maximum(shifts, 0), np.maximum(-shifts, 0)]) & 0xFFFFFFFF


def _plain_columns(ending: Ending, product: Product) -> NDArray[np.int64]:
    """Bias, multiplier, constant of 64 bits, shift, and half where rounding is a step of its own."""
    shifts = np.array([-each.shift if each.value else 1 for each in product.multipliers], np.int64)
    values = np.array([each.value for each in product.multipliers], np.int64)
    half = (np.int64(1) << (shifts - 1)) + (np.int64(product.output_zero) << shifts)
    constant = (1 - values) << 31
    columns = [product.bias + OFFSET, 2 * values]
    if ending.rounding == "floor":
        return np.stack([*columns, constant + (half << 32), shifts])
    return np.stack([*columns, constant, shifts, half])


def _with_constants(columns: NDArray[np.int64], lanes: int) -> NDArray[np.int64]:
    """Cut the constants of 64 bits into words, those of even channels first."""
    bias, multiplier, constant, *others = columns
    halves = np.stack([constant & 0xFFFFFFFF, constant >> 32 & 0xFFFFFFFF], axis=-1)
    words = [halves[0::2].reshape(lanes), halves[1::2].reshape(lanes)]
    return np.stack([bias, multiplier, *words, *(other & 0xFFFFFFFF for other in others)])[np.newaxis]


def scaled(ending: Ending, lanes: int, vector: int, sums: Sequence[str]) -> list[str]:
    """Bring the sums of one register of channels, of several pixels, to the output's scale; int32 still."""
    lines = [*constants(ending, lanes, f"table + {ending.columns * vector * lanes}" if vector else "table")]
    return [*lines, *(scaling(ending, lanes, each) for each in sums)]


def constants(ending: Ending, lanes: int, table: str, suffix: str = "") -> list[str]:
    """Load what scales one register of channels; its columns begin at `table`."""
    names = {
        "floor": ("bias", "multiplier", "even", "odd", "shift"),
        "away": ("bias", "multiplier", "even", "odd", "shift", "half"),
        "any": ("bias", "multiplier", "left", "right"),
    }[ending.rounding]
    return [
        f"const words{lanes} {name}{suffix} = read_words{lanes}({offset(table, column * lanes)});"
        for column, name in enumerate(names)
        if name != "bias"
    ]


def scaling(ending: Ending, lanes: int, sums: str, suffix: str = "") -> str:
    """The C statement that brings a register of sums to the output's scale."""
    if ending.rounding == "any":
        arguments = ", ".join(f"{name}{suffix}" for name in ("multiplier", "left", "right"))
        return f"{sums} = scale_any{lanes}({sums}, {arguments}, zero);"
    arguments = ", ".join(f"{name}{suffix}" for name in ("multiplier", "even", "odd"))
    high = f"high_products{lanes}({sums}, {arguments})"
    if ending.rounding == "floor":
        return f"{sums} = {high} >> shift{suffix};"
    return f"{sums} = round_away{lanes}({high}, half{suffix}, shift{suffix});"


def stored(ending: Ending, lanes: int, sums: Sequence[str], place: str, *, last: int = 0) -> list[str]:
    """Narrow and store the vectors of one pixel to `place`: `last` channels, or all of them where that is 0."""
    lines: list[str] = []
    for first, size in groups(len(sums)):
        value = f"narrow_{size}_words{lanes}({', '.join(sums[first : first + size])})"
        if ending.limits:
            value = f"limit_bytes{size * lanes}({value}, low, high)"
        count = min(size * lanes, last - first * lanes) if last else size * lanes
        if count <= 0:
            break
        name = f"bytes_{sums[first]}"
        lines += [f"const bytes{size * lanes} {name} = {value};"]
        lines += [f"memcpy({offset(place, first * lanes)}, &{name}, {count}u);"]
    return lines
