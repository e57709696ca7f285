"""int8 addition on x86-64: a linear function of both numbers in 32 bits, where it gives what the two roundings give.

There are 65,536 pairs of numbers, so all of them are tried when a network is compiled. What is no such function is
rounded twice, as elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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

SCALARS = ("first_factor", "second_factor", "constant", "shift", "low", "high")
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


_MOST_PARTS = 16
"""Parts of an addition that threads take."""


@dataclass(frozen=True, kw_only=True)
class Linear:
    """(first * a + second * b + constant) / 2^shift. `room`: how far up the constant may go; below 0, it is wrong."""

    first: int
    second: int
    constant: int
    shift: int
    room: int


def linear(asked: Sum) -> Linear | None:
    """Find a linear function that gives the bytes of an addition for every pair of numbers, if there is one nearby.

    Factors are changed step by step for as long as the range of constants that are right for all pairs becomes wider.
    """
    exact = asked.exact()
    shift = min(LONGEST_SHIFT, int(math.log2((2**31 - 1) / (np.abs(exact).max() + 256))))
    first, second = (round(factor * 2**shift) for factor in asked.factors())
    best = _with_constant(exact, first, second, shift)
    for step in STEPS:
        around = [(best.first + a * step, best.second + b * step) for a, b in NEIGHBOURS]
        others = (_with_constant(exact, *factors, shift) for factors in around)
        best = max([best, *others], key=lambda each: each.room)
        if best.room >= 0:
            return best
    return None


def _with_constant(exact: NDArray[np.int64], first: int, second: int, shift: int) -> Linear:
    """The least constant that is right for these factors, if one is."""
    numbers = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int64)
    missing = (np.clip(exact, INT8_MIN, INT8_MAX) << shift) - numbers[:, np.newaxis] * first - numbers * second
    least = int(missing[exact > INT8_MIN].max(initial=-(2**62)))
    most = int(missing[exact < INT8_MAX].min(initial=2**62)) + (1 << shift) - 1
    return Linear(first=first, second=second, constant=least, shift=shift, room=most - least)


def choose(core: Core, shape: Addition, asked: Sum, low: int, high: int) -> Kernel | None:
    """Take additions of a register of numbers and more for which there is a linear function."""
    found = linear(asked) if fits(core, shape) else None
    if found is None:
        return None
    constant = (found.constant + 2**31) % 2**32 - 2**31  # equal modulo 2^32: the whole sum fits
    return Kernel(
        name=f"x86_{core.lanes}_linear_{shape.name}",
        build=lambda: build(core, shape),
        constants={},
        scalars=[found.first, found.second, constant, found.shift, low, high],
    )


def fits(core: Core, shape: Addition) -> bool:
    """True for a register of numbers and more."""
    return shape.elements >= 4 * core.lanes


def build(core: Core, shape: Addition) -> CKernel:
    """Write the kernel: (first, second, output, scalars)."""
    lanes = core.lanes
    sums = [f"linear_sum{lanes}(a{v}, b{v}, first_factor, second_factor, constant) >> shift" for v in range(4)]
    return written(core, shape, f"x86_{lanes}_linear_{shape.name}", SCALARS, [], sums)


def rounded_name(core: Core, shape: Addition) -> str:
    """The name of the kernel that rounds twice."""
    return f"x86_{core.lanes}_rounded_{shape.name}"


def build_rounded(core: Core, shape: Addition) -> CKernel:
    """Write the kernel that does as kernels/addition.py: the same arguments, for what is no linear function."""
    lanes, words = core.lanes, core.words
    start = [
        f"const {words} left = {{0}}, factor = left + sum_multiplier, shift = left + (sum_shift_less_1 + 1);",
        "const int32_t zero = twice_output_zero_plus_1 >> 1;",
    ]
    second = f"((b{{v}} - second_zero) << {ADD_LEFT_SHIFT - 1})"
    if not shape.one_scale:
        start.append(f"const {words} second_factor = left + second_multiplier;")
        start.append(f"const {words} second_shift = left + (second_shift_less_1 + 1);")
        shifted = f"(b{{v}} - second_zero) << {ADD_LEFT_SHIFT}"
        second = f"scale_words{lanes}({shifted}, second_factor, left, second_shift)"
    first = f"((a{{v}} - first_zero) << {ADD_LEFT_SHIFT - 1})"
    whole = f"scale_any{lanes}({first} + {second}, factor, left, shift, zero)"
    sums = [whole.format(v=v) for v in range(4)]
    return written(core, shape, rounded_name(core, shape), shape.scalars, start, sums)


def written(
    core: Core, shape: Addition, kernel: str, scalars: Sequence[str], start: list[str], sums: Sequence[str]
) -> CKernel:
    """Write a kernel that makes four registers of sums of the numbers a0 .. a3 and b0 .. b3."""
    size = 4 * core.lanes
    whole, rest = divmod(shape.elements, size)
    parameters = ["const int8_t *restrict first", "const int8_t *restrict second", "int8_t *restrict output"]
    parameters += [f"int32_t {scalar}" for scalar in scalars]
    parts = max(each for each in range(1, _MOST_PARTS + 1) if whole % each == 0)
    turns = whole // parts
    index = " + ".join([*([f"part * {turns * size}u"] if parts > 1 else []), *([f"i * {size}u"] if turns > 1 else [])])
    body = loop("i", turns, _register(core, sums, index or "0u"))
    lines = [*start, *(loop("part", parts, body) if parts > 1 else body)]
    if rest:
        # The last register begins earlier and computes some numbers again.
        lines += ["{", *indented(_register(core, sums, f"{shape.elements - size}u")), "}"]
    head = c_text.wrapped(f"KERNEL void {kernel}(", parameters)
    return CKernel(
        name=kernel,
        source="\n".join([f"{head}) {{", *indented(lines), "}", ""]),
        workspaces=(),
        spreads=not start,
        work=shape.elements,
    )


def _register(core: Core, sums: Sequence[str], place: str) -> list[str]:
    lanes = core.lanes
    lines = []
    for v in range(4):
        a, b = (f"widen_words{lanes}({operand} + {place} + {v * lanes})" for operand in ("first", "second"))
        lines.append(f"const {core.words} a{v} = {a}, b{v} = {b};")
    lines += [f"const {core.words} sum{v} = {each};" for v, each in enumerate(sums)]
    narrowed = f"in_order{lanes}(narrow_4_words{lanes}(sum0, sum1, sum2, sum3))"
    lines.append(f"const bytes{4 * lanes} bytes = limit_bytes{4 * lanes}({narrowed}, low, high);")
    return [*lines, f"memcpy(output + {place}, &bytes, {4 * lanes}u);"]
