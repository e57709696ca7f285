"""What x86-64 offers for int8: registers, how they multiply, and which output channel each word of a register is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from edgecompress.compile.kernels.product import Product

Method = Literal["fours", "twos", "tiles"]
"""What multiplies: registers of words that hold four bytes or two halves of the depth, or tiles of AMX."""


@dataclass(frozen=True, kw_only=True)
class Core:
    """Vector registers of `lanes` words each, and what a word multiplies: four bytes of the depth or two halves.

    `wide`: the second factor lies as halves too, not as int8.
    """

    method: Method
    lanes: int
    registers: int
    wide: bool = False

    @property
    def unit(self) -> int:
        """Numbers of the depth in a word."""
        return 2 if self.method == "twos" else 4

    @property
    def element(self) -> str:
        """The C type of an image's numbers in the form in which they are multiplied."""
        return "int16_t" if self.method == "twos" else "int8_t"

    @property
    def element_bytes(self) -> int:
        """Bytes of such a number."""
        return 4 // self.unit

    @property
    def words(self) -> str:
        """The C type of a register."""
        return f"words{self.lanes}"

    def as_multiplied(self, product: Product) -> Product:
        """The layer on an image in the form in which it is multiplied: bytes without a sign are greater by 128."""
        if self.method != "fours":
            return product
        sums = product.weights.reshape(len(product.weights), -1).sum(axis=1, dtype=np.int64)
        return replace(product, bias=product.bias - 128 * sums)

    @property
    def weight(self) -> str:
        """The C type of the second factor's numbers."""
        return "int16_t" if self.wide else "int8_t"

    def load_weights(self, place: str) -> str:
        """The C text of a register of the second factor."""
        return f"{'widen_twos' if self.method == 'twos' and not self.wide else 'read_words'}{self.lanes}({place})"

    def dot(self, total: str, x: str, w: str) -> str:
        """The C statement that adds products to a sum."""
        return f"{total} = dot_{self.method}{self.lanes}({total}, {x}, {w});"


VNNI = Core(method="fours", lanes=16, registers=32)
TILES = Core(method="tiles", lanes=16, registers=32)
AVX2 = Core(method="twos", lanes=8, registers=16)


def groups(vectors: int) -> Iterator[tuple[int, int]]:
    """Cut vectors into fours, twos and ones, which are narrowed to bytes together: (first, size)."""
    first = 0
    while first < vectors:
        size = next(size for size in (4, 2, 1) if size <= vectors - first)
        yield first, size
        first += size


def channel_order(lanes: int, vectors: int) -> list[int]:
    """The output channel of each word of so many vectors; packing instructions work within 16 bytes."""
    order: list[int] = []
    for first, size in groups(vectors):
        for vector in range(size):
            order += [lanes * first + 4 * (size * (i // 4) + vector) + i % 4 for i in range(lanes)]
    return order
