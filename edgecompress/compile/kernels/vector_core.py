"""What a core offers for vectors of floats, and what kernels do with results before they store them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from edgecompress.compile.c_text import float_literal
from edgecompress.core.target import Target

DEFAULT_L1_BYTES = 32 * 1024
"""The level 1 data cache of a core whose profile names none: the least that Cortex-A72, A76 and x86-64 have."""
DEFAULT_L2_BYTES = 512 * 1024
"""The level 2 cache of a core whose profile names none: what a small Cortex-A, or one core of a larger one, has."""


@dataclass(frozen=True, kw_only=True)
class VectorCore:
    """Vector registers of a core: `width` numbers each, floats or, with `half`, halves (c_half.py).

    `fused`: multiply-accumulates are fused multiply-adds. `by_lane`: they take one number of a register as a factor.
    """

    width: int
    registers: int
    fused: bool
    by_lane: bool
    l1_bytes: int = DEFAULT_L1_BYTES
    l2_bytes: int = DEFAULT_L2_BYTES
    half: bool = False

    @property
    def vec(self) -> str:
        """The vector type in C (c_vector.py, c_half.py)."""
        return f"half{self.width}" if self.half else f"vec{self.width}"

    @property
    def number(self) -> str:
        """The type in C of a number in memory."""
        return "uint16_t" if self.half else "float"

    @property
    def number_bytes(self) -> int:
        """What a number takes."""
        return 2 if self.half else 4

    def of_halves(self) -> VectorCore:
        """The same registers with twice as many numbers."""
        return replace(self, width=2 * self.width, half=True)

    @property
    def is_wide(self) -> bool:
        """True where factors come from memory and there are 32 registers (AVX-512)."""
        return self.registers == 32 and not self.by_lane

    def call(self, function: str, *arguments: str) -> str:
        """Call a function of c_vector.py."""
        return f"{function}_{self.vec}({', '.join(arguments)})"

    def accumulate(self, total: str, a: str, b: str) -> str:
        """The statement `total += a * b`."""
        return f"{total} = {self.call('fused' if self.fused else 'separate', total, a, b)};"


def of(target: Target) -> VectorCore | None:
    """The vector unit of a Linux target, or None where there is none that is known."""
    features = set(target.features)
    fused = "fma" in features
    l1_bytes = target.caches.l1_data_bytes if target.caches else DEFAULT_L1_BYTES
    l2_bytes = (target.caches.l2_bytes if target.caches else None) or DEFAULT_L2_BYTES
    if target.system != "linux":
        return None
    if target.machine == "aarch64" and "neon" in features:
        return VectorCore(width=4, registers=32, fused=True, by_lane=True, l1_bytes=l1_bytes, l2_bytes=l2_bytes)
    if "neon" in features:
        return VectorCore(width=4, registers=16, fused=fused, by_lane=False, l1_bytes=l1_bytes, l2_bytes=l2_bytes)
    if "avx512" in features:
        return VectorCore(width=16, registers=32, fused=fused, by_lane=False, l1_bytes=l1_bytes, l2_bytes=l2_bytes)
    if "avx2" in features:
        return VectorCore(width=8, registers=16, fused=fused, by_lane=False, l1_bytes=l1_bytes, l2_bytes=l2_bytes)
    if target.machine == "x86_64":
        return VectorCore(width=4, registers=16, fused=fused, by_lane=False, l1_bytes=l1_bytes, l2_bytes=l2_bytes)
    return None


@dataclass(frozen=True, kw_only=True)
class Finish:
    """What becomes of a sum, which starts from the bias: another tensor of the same shape is added, then limits."""

    adds: bool = False
    low: float | None = None
    high: float | None = None

    def statements(self, core: VectorCore, sums: str, other: str) -> list[str]:
        """Finish one vector of sums; `other` is the vector to add."""
        lines = [f"{sums} = {core.call('add', sums, other)};"] if self.adds else []
        for order, limit in (("max", self.low), ("min", self.high)):
            if limit is not None:
                value = core.call("splat", float_literal(int(np.float32(limit).view(np.int32))))
                lines.append(f"{sums} = {core.call(f'limit_{order}', sums, value)};")
        return lines


PLAIN = Finish()
"""Sums as they are."""


@dataclass(frozen=True, kw_only=True)
class Halves:
    """Of a layer that multiplies halves: whether the image that it `reads`, and what it `writes`, are halves too.

    `span` products are summed as halves.
    """

    reads: bool
    writes: bool
    span: int


def loop(variable: str, count: int, body: list[str]) -> list[str]:
    """A loop from 0 to `count`; one that runs once is a block."""
    if count > 1:
        return [f"for (uint32_t {variable} = 0; {variable} < {count}u; ++{variable}) {{", *indented(body), "}"]
    is_read = any(re.search(rf"\b{variable}\b", line) for line in body)
    declared = [f"const uint32_t {variable} = 0;"] if is_read else []
    return ["{", *indented([*declared, *body]), "}"] if count else []


def indented(lines: list[str]) -> list[str]:
    """One level further in."""
    return [f"  {line}" for line in lines]


def terms(base: str, *products: tuple[str, int]) -> str:
    """An address: the base plus index times step for each product that is not 0."""
    texts = [base]
    for index, step in products:
        if step and index not in ("0", ""):
            texts.append(index if step == 1 else f"{index} * {step}u")
    return " + ".join(texts)


def offset(base: str, distance: int) -> str:
    """An address: the base and a number of floats."""
    return f"{base} + {distance}" if distance else base
