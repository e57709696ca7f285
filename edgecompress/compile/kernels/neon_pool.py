"""int8 pooling on Cortex-A, sixteen channels at a time. Numbers are summed in 16 bits, and by the image in 32."""

from __future__ import annotations

from dataclasses import dataclass

from edgecompress.compile.kernels.pool import Mean
from edgecompress.compile.kernels.pool_loops import Kind, Means, Registers, Windows
from edgecompress.compile.kernels.vector_core import loop, offset

PIXELS_A_SUM = 256
HALVES = ("low", "high")


@dataclass(frozen=True, kw_only=True)
class _Neon:
    """What pool_loops asks of registers, by the functions of c_neon."""

    prefix: str = "neon"
    size: int = 16
    together: int = 4

    def begin(self, kind: Kind, v: int) -> list[str]:
        if kind == "max":
            return [f"bytes16 most{v} = (bytes16){{0}} + INT8_MIN;"]
        return [f"halves8 low{v} = {{0}}, high{v} = {{0}};"]

    def take(self, kind: Kind, v: int, place: str) -> list[str]:
        load = f"load_bytes16({place})"
        if kind == "max":
            return [f"most{v} = larger_bytes16(most{v}, {load});"]
        return [f"{half}{v} = add_{half}_bytes({half}{v}, {load});" for half in HALVES]

    def store(self, kind: Kind, v: int, place: str) -> list[str]:
        if kind == "max":
            return [f"store_bytes16({place}, bounded_bytes16(most{v}, low, high));"]
        zeros, lines = "(words4){0}", []
        for half in HALVES:
            parts = ", ".join(f"average_of(add_{part}_halves({zeros}, {half}{v}), half, share)" for part in HALVES)
            lines.append(f"const halves8 {half}_mean{v} = narrow_words({parts}, 0);")
        return [*lines, _narrowed(v, place)]

    def image(self, shape: Mean, vectors: int) -> list[str]:
        """Sums of 256 pixels in 16 bits, then in 32."""
        names = [f"{half}{v}" for v in range(vectors) for half in HALVES]
        lines = ["const words4 factor = (words4){0} + multiplier, shifts = (words4){0} + shift;"]
        lines += [f"words4 {part}_{name} = (words4){{0}} + zeros;" for name in names for part in HALVES]
        whole, rest = divmod(shape.pixels, PIXELS_A_SUM)
        for count, pixels in ((whole, PIXELS_A_SUM), (1, rest)):
            if not count or not pixels:
                continue
            body = [line for v in range(vectors) for line in self.begin("average", v)]
            taken = [line for v in range(vectors) for line in self.take("average", v, offset("a", v * self.size))]
            body += loop("pixel", pixels, [*taken, f"a += {shape.channels};"])
            body += [f"{part}_{name} = add_{part}_halves({part}_{name}, {name});" for name in names for part in HALVES]
            lines += loop("sum", count, body)
        return lines

    def mean(self, v: int, place: str) -> list[str]:
        lines = []
        for half in HALVES:
            parts = ", ".join(f"scale_either({part}_{half}{v}, factor, shifts)" for part in HALVES)
            lines.append(f"const halves8 {half}_mean{v} = narrow_words({parts}, output_zero);")
        return [*lines, _narrowed(v, place)]


def _narrowed(v: int, place: str) -> str:
    return f"store_bytes16({place}, narrow_halves_twice(low_mean{v}, high_mean{v}, low, high));"


def _registers(channels: int) -> Registers | None:
    neon = _Neon()
    return neon if channels >= neon.size else None


MAX, AVERAGE = Windows(kind="max", registers=_registers), Windows(kind="average", registers=_registers)
MEAN = Means(registers=_registers)
