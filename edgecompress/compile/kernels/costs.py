"""About how many instructions layers of weighted sums take on a Cortex-M: enough to choose a kernel by.

Measured with benchmarks/sparse_break_even.py on emulated Cortex-M4, M3 and M0+. Cores with Helium have no entry: there
a product takes a sixth of an instruction, and no kernel that takes weights one by one is faster.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from edgecompress.compile.kernels.product import Product


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Instructions of a kernel for each pixel: for a product, for a step of the sum, for an output."""

    product: float
    step: float
    output: float

    def of(self, pixels: int, products: int, steps: int, outputs: int) -> float:
        """The instructions of a layer; `products` are those of one pixel."""
        return pixels * (products * self.product + steps * self.step + outputs * self.output)


@dataclass(frozen=True, kw_only=True)
class Core:
    """What kernels take on a kind of core: for many pixels and for one; `sparse` by the pixels of a turn.

    `unpack` is what a weight takes that is kept as an index, `pair` what one of the table of pairs takes.
    """

    dense: Cost
    dense_vector: Cost
    sparse: dict[int, Cost]
    unpack: float
    pair: float = 3.5


CORES = {
    "thumb1": Core(
        dense=Cost(product=3.33, step=3.8, output=35),
        dense_vector=Cost(product=3.22, step=0, output=126),
        sparse={
            1: Cost(product=11, step=0, output=101),
            4: Cost(product=6, step=5, output=95),
            8: Cost(product=5.1, step=4.8, output=88),
        },
        unpack=4,
    ),
    "dsp": Core(
        dense=Cost(product=0.75, step=1.7, output=16),
        dense_vector=Cost(product=0.875, step=0, output=40),
        sparse={
            1: Cost(product=5.5, step=0, output=31),
            4: Cost(product=2.3, step=2.6, output=14),
            8: Cost(product=1.75, step=2.6, output=10.5),
        },
        unpack=2,
    ),
    "": Core(
        dense=Cost(product=1.9, step=1.65, output=13),
        dense_vector=Cost(product=2.48, step=0, output=29),
        sparse={
            1: Cost(product=8, step=0, output=40),
            4: Cost(product=3.3, step=2.65, output=30),
            8: Cost(product=2.75, step=2.65, output=27.5),
        },
        unpack=2.5,
    ),
}
"""Feature -> cores that have it; no feature: those without."""


def core(features: Collection[str]) -> Core | None:
    """The kind of core with these features; None for one with vectors, whose products cost next to nothing."""
    if "mve" in features:
        return None
    return CORES[next((feature for feature in CORES if feature in features), "")]


def dense(product: Product, core: Core) -> float:
    """About the instructions of the ordinary kernel."""
    pixels, steps = _pixels(product), int(product.weights[0].size)
    cost = core.dense_vector if pixels == 1 else core.dense
    return cost.of(pixels, steps * product.outputs, steps, product.outputs)


def indexed(product: Product, bits: int, core: Core) -> float:
    """About the instructions when weights are kept as indices."""
    return dense(product, core) + int(product.weights.size) * core.unpack + core.pair * float(4**bits)


def sparse(product: Product, at_once: int, core: Core) -> float:
    """About the instructions of the sparse kernel that takes so many pixels at once; some of a row it takes twice."""
    window = product.window.flattened()
    pixels = window.output_height * -(-window.output_width // at_once) * at_once
    kept = int(np.count_nonzero(product.weights))
    return core.sparse[at_once].of(pixels, kept, int(product.weights[0].size), product.outputs)


def _pixels(product: Product) -> int:
    return product.window.output_width * product.window.output_height
