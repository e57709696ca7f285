"""int8 addition on x86-64: a linear function of both numbers in 32 bits, where it gives what the two roundings give.

There are 65,536 pairs of numbers, so all of them are tried when a network is compiled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile import c_text
from edgecompress.compile.kernels.addition import Addition
from edgecompress.compile.kernels.product import Kernel
from edgecompress.compile.kernels.vector_core import indented, loop
from edgecompress.compile.kernels.x86_core import Core
from edgecompress.compile.program import CKernel
from edgecompress.compile.quantized import (
    ADD_LEFT_SHIFT,
    INT8_MAX,
    INT8_MIN,
    Multiplier,
    divide_by_power,
    multiply_high,
)

SCALARS = ("first_factor", "second_factor", "constant", "rounding", "shift", "low", "high")
LONGEST_SHIFT = 24
STEPS = (1, 4, 2, 1, 8, 2, 1, 1)
"""By how much the factors are changed in the search for a function that is right for all pairs."""
NEIGHBOURS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


@dataclass(frozen=True, kw_only=True)
class Sum:
    """An addition: zero points of the operands and of the output, factors of the second operand and of the sum."""

    zeros: tuple[int, int, int]
    second: Multiplier
    total: Multiplier

    def exact(self) -> NDArray[np.int64]:
        """What every pair of numbers gives (TFLite's Add), without limits: (256, 256)."""
        first = (np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int64) - self.zeros[0]) << (ADD_LEFT_SHIFT - 1)
        other = (np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int64) - self.zeros[1]) << ADD_LEFT_SHIFT
        scaled = divide_by_power(multiply_high(other, self.second.value), -self.second.shift)
        sums = multiply_high(first[:, np.newaxis] + scaled, self.total.value)
        return divide_by_power(sums, -self.total.shift) + self.zeros[2]

    def factors(self) -> tuple[float, float]:
        """How much the numbers of the operands count in the output's."""
        total = self.total.value / 2.0**31 * 2.0 ** (self.total.shift + ADD_LEFT_SHIFT)
        return total / 2, total * self.second.value / 2.0**31 * 2.0**self.second.shift


@dataclass(frozen=True, kw_only=True)
class Linear:
    """(x + rounding, less 1 where it `drops` and x is below 0) / 2^shift, x = first * a + second * b + constant."""

    first: int
    second: int
    constant: int
    rounding: int
    shift: int
    drops: bool


def linear(asked: Sum) -> Linear | None:
    """Find a linear function that gives the bytes of an addition for every pair of numbers, if there is one nearby.

    Factors are changed step by step for as long as the range of roundings that are right for all pairs becomes wider.
    """
    exact = asked.exact()
    shift = min(LONGEST_SHIFT, int(math.log2((2**31 - 1) / (np.abs(exact).max() + 256))))
    for drops in (False, True):
        best = _try(
            asked, exact, (round(asked.factors()[0] * 2**shift), round(asked.factors()[1] * 2**shift)), shift, drops
        )
        for step in STEPS:
            around = [(best.first + a * step, best.second + b * step) for a, b in NEIGHBOURS]
            best = max(
                [best, *(_try(asked, exact, factors, shift, drops) for factors in around)], key=lambda each: each.room
            )
            if best.room >= 0:
                return Linear(
                    first=best.first,
                    second=best.second,
                    constant=best.constant,
                    rounding=best.rounding,
                    shift=shift,
                    drops=drops,
                )
    return None


@dataclass(frozen=True, kw_only=True)
class _Tried:
    """Factors, and the least rounding that is right for them; `room` is how far up it may go, if not below 0."""

    first: int
    second: int
    constant: int
    rounding: int
    room: int


def _try(asked: Sum, exact: NDArray[np.int64], factors: tuple[int, int], shift: int, drops: bool) -> _Tried:
    numbers = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int64)
    constant = -asked.zeros[0] * factors[0] - asked.zeros[1] * factors[1]
    sums = numbers[:, np.newaxis] * factors[0] + numbers * factors[1] + constant
    sums -= (sums < 0) if drops else 0
    wanted = np.clip(exact, INT8_MIN, INT8_MAX) << shift
    least = int((wanted - sums)[exact > INT8_MIN].max(initial=-(2**62)))
    most = int((wanted - sums)[exact < INT8_MAX].min(initial=2**62)) + (1 << shift) - 1
    return _Tried(first=factors[0], second=factors[1], constant=constant, rounding=least, room=most - least)


def choose(core: Core, shape: Addition, asked: Sum, low: int, high: int) -> Kernel | None:
    """Take additions of a register of numbers and more for which there is a linear function."""
    found = linear(asked) if shape.elements >= 4 * core.lanes else None
    if found is None:
        return None
    return Kernel(
        name=_name(core, shape, found),
        build=lambda: build(core, shape, found),
        constants={},
        scalars=[*map(_as_int32, (found.first, found.second, found.constant, found.rounding)), found.shift, low, high],
    )


def _as_int32(value: int) -> int:
    """The int32 that is equal modulo 2^32: sums of such numbers are right wherever the whole sum fits."""
    return (value + 2**31) % 2**32 - 2**31


def _name(core: Core, shape: Addition, found: Linear) -> str:
    return f"x86_{core.lanes}_addition_{shape.elements}{'_drops' if found.drops else ''}"


def build(core: Core, shape: Addition, found: Linear) -> CKernel:
    """Write the kernel: (first, second, output, scalars)."""
    size = 4 * core.lanes
    whole, rest = divmod(shape.elements, size)
    parameters = ["const int8_t *restrict first", "const int8_t *restrict second", "int8_t *restrict output"]
    parameters += [f"int32_t {scalar}" for scalar in SCALARS]
    constant = "constant" if found.drops else "(int32_t)((uint32_t)constant + (uint32_t)rounding)"
    lines = [f"const int32_t start = {constant};"]
    lines += loop("i", whole, _register(core, found, f"i * {size}u" if whole > 1 else "0u"))
    if rest:
        # The last register begins earlier and computes some numbers again.
        lines += ["{", *indented(_register(core, found, f"{shape.elements - size}u")), "}"]
    kernel = _name(core, shape, found)
    head = c_text.wrapped(f"KERNEL void {kernel}(", parameters)
    return CKernel(name=kernel, source="\n".join([f"{head}) {{", *indented(lines), "}", ""]), workspaces=())


def _register(core: Core, found: Linear, place: str) -> list[str]:
    lanes = core.lanes
    lines = []
    for v in range(4):
        a, b = (f"widen_words{lanes}({operand} + {place} + {v * lanes})" for operand in ("first", "second"))
        lines.append(f"const {core.words} sum{v} = linear_sum{lanes}({a}, {b}, first_factor, second_factor, start);")
    each = [f"(sum{v} + (sum{v} >> 31) + rounding) >> shift" if found.drops else f"sum{v} >> shift" for v in range(4)]
    narrowed = f"in_order{lanes}(narrow_4_words{lanes}({', '.join(each)}))"
    lines.append(f"const bytes{4 * lanes} bytes = limit_bytes{4 * lanes}({narrowed}, low, high);")
    return [*lines, f"memcpy(output + {place}, &bytes, {4 * lanes}u);"]
