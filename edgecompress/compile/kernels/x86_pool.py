"""int8 pooling on x86-64, a register of channels at a time, a shorter one where channels are few.

Numbers are summed in 32 bits: four registers of sums for one of channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from edgecompress.compile.c_x86_isa import LANES
from edgecompress.compile.kernels.pool import AveragePool, MaxPool, Mean
from edgecompress.compile.kernels.pool_loops import Kind, Means, Registers, Windows
from edgecompress.compile.kernels.vector_core import loop, offset
from edgecompress.compile.kernels.x86_core import Core

QUARTERS = range(4)


@dataclass(frozen=True, kw_only=True)
class _X86:
    """What pool_loops asks of registers, by the functions of c_x86; registers of `lanes` words."""

    lanes: int
    together: int

    @property
    def prefix(self) -> str:
        return f"x86_{self.lanes}"

    @property
    def size(self) -> int:
        return 4 * self.lanes

    def begin(self, kind: Kind, v: int) -> list[str]:
        if kind == "max":
            return [f"bytes{self.size} most{v} = (bytes{self.size}){{0}} + INT8_MIN;"]
        sums = ", ".join(f"sum{v}_{quarter} = {{0}}" for quarter in QUARTERS)
        return [f"words{self.lanes} {sums};"]

    def take(self, kind: Kind, v: int, place: str) -> list[str]:
        if kind == "max":
            return [f"most{v} = most_bytes{self.size}(most{v}, read_bytes{self.size}({place}));"]
        places = [offset(place, quarter * self.lanes) for quarter in QUARTERS]
        return [f"sum{v}_{quarter} += widen_words{self.lanes}({at});" for quarter, at in enumerate(places)]

    def store(self, kind: Kind, v: int, place: str) -> list[str]:
        if kind == "max":
            return [self._written(f"most{v}", place)]
        return [
            self._narrowed([f"average_of{self.lanes}(sum{v}_{quarter}, half, share)" for quarter in QUARTERS], place)
        ]

    def image(self, shape: Mean, vectors: int) -> list[str]:
        words = f"words{self.lanes}"
        lines = [
            f"const {words} none = {{0}}, factor = none + multiplier;",
            f"const {words} left = none + (shift > 0 ? shift : 0), right = none + (shift < 0 ? -shift : 0);",
        ]
        lines += [line for v in range(vectors) for line in self.begin("average", v)]
        taken = [line for v in range(vectors) for line in self.take("average", v, offset("a", v * self.size))]
        return [*lines, *loop("pixel", shape.pixels, [*taken, f"a += {shape.channels};"])]

    def mean(self, v: int, place: str) -> list[str]:
        scaled = f"scale_any{self.lanes}(sum{v}_{{}} + zeros, factor, left, right, output_zero)"
        return [self._narrowed([scaled.format(quarter) for quarter in QUARTERS], place)]

    def _narrowed(self, quarters: list[str], place: str) -> str:
        return self._written(f"in_order{self.lanes}(narrow_4_words{self.lanes}({', '.join(quarters)}))", place)

    def _written(self, value: str, place: str) -> str:
        return f"write_words{self.lanes}({place}, (words{self.lanes})limit_bytes{self.size}({value}, low, high));"


def _registers(core: Core, channels: int) -> Registers | None:
    lanes = max((each for each in LANES if each <= core.lanes and 4 * each <= channels), default=None)
    return None if lanes is None else _X86(lanes=lanes, together=core.registers // 8)


def families(core: Core) -> Mapping[type, Windows | Means]:
    """Shape class -> its kernels on a core."""
    registers = partial(_registers, core)
    return {
        MaxPool: Windows(kind="max", registers=registers),
        AveragePool: Windows(kind="average", registers=registers),
        Mean: Means(registers=registers),
    }
