"""Whether a convolution takes Winograd's filters, and which: the fewest predicted instructions, bytes weighed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edgecompress.compile.kernels import half_sums, tuning, vector_product, vector_sums, vector_winograd
from edgecompress.compile.kernels.vector_core import VectorCore
from edgecompress.compile.kernels.vector_product import Product
from edgecompress.compile.kernels.vector_winograd import Plan, Winograd
from edgecompress.compile.winograd import FILTERS
from edgecompress.core.target import Target
from edgecompress.core.values import Optimize

LEAST_GAIN = 0.9
"""Winograd's filters lose some accuracy: they are taken for a tenth of the instructions, not for less."""

READING_A_BYTE = 0.125
"""What a byte of weights from memory costs, in multiply-accumulates by single numbers. One core reads some 3 bytes a
cycle (a Cortex-A72 with LPDDR4, a desktop), in which it executes one or two instructions, each on a whole vector."""

_READING_A_BYTE_WIDE = 0.5
"""The same for AVX-512, in halves of a cycle: one core of a server reads some 14 bytes a nanosecond, partly ahead."""

_PRICES: Mapping[Optimize, float | None] = {"speed": 0.0, "balanced": 16.0, "size": None, "ram": None}
"""Instructions that a byte must save. ResNet8's first blocks save 16 to 31 by F(4, 3) and F(2, 3), its last one 1 to 3,
and 260 kB are too many for that; ResNet18's first blocks save 24 to 57, its last one 2."""

_SHARE = 4
"""Weights may grow by a quarter of a device's RAM, or of the flash that it grants: a program lies in both."""

_INPUT_TILE = {2: 70, 4: 335, 6: 755}
_OUTPUT_TILE = {2: 45, 4: 205, 6: 550}
"""Instructions of a transform for one vector of a tile, counted on a Cortex-A72."""

_TRANSFORMS_WIDE = {2: 500, 4: 1100, 6: 4500}
"""Both transforms for one vector of a tile with AVX-512, in halves of a cycle (two multiply-adds are one cycle), as the
layers of ResNet8 and ResNet18 took on a server: rows of 64 bytes far from each other miss the level 1 cache."""


@dataclass(kw_only=True)
class Choice:
    """What a network's convolutions may become.

    A byte by which the weights grow must save `price` instructions. `spare_bytes` is how much they may still grow,
    where that is limited.
    """

    core: VectorCore
    price: float = 0.0
    spare_bytes: int | None = None

    def choose(self, product: Product) -> Product | Winograd:
        """Choose the algorithm of a convolution."""
        if not vector_winograd.fits(product) or product.window.channels < self.core.width:
            return product  # channels that fill no vector would be transformed as if they did
        number_bytes = 2 if product.halves else 4
        plain = number_bytes * product.depth.products * product.outputs
        direct = LEAST_GAIN * (_direct(product, self.core) + _reading(plain, self.core))
        ways: list[tuple[float, int, Product | Winograd]] = [(direct, 0, product)]
        for results in FILTERS:
            layer = Winograd(product=replace(product, halves=None), results=results)
            weights = vector_winograd.weight_bytes(product, results)
            more = weights - plain
            cost = _winograd(layer, self.core) + _reading(weights, self.core) + self.price * more
            if self.spare_bytes is None or more <= self.spare_bytes:
                ways.append((cost, more, layer))
        ways.sort(key=lambda way: way[0])
        labelled = ((_label(layer), (grown, layer)) for _, grown, layer in ways)
        grown, found = tuning.current().pick_algorithm(signature(product), labelled)
        if self.spare_bytes is not None:
            self.spare_bytes -= grown
        return found


def signature(layer: Product | Winograd) -> str:
    """What a convolution's choice is called."""
    product = layer.product if isinstance(layer, Winograd) else layer
    return f"algorithm: {product.window.name()}, {product.outputs} channels, {product.groups} groups"


def _label(layer: Product | Winograd) -> str:
    return f"F({layer.results}, 3)" if isinstance(layer, Winograd) else "direct"


def price(target: Target, optimize: Optimize) -> float | None:
    """What a byte of weights costs when a network is compiled to save this, or None where no filter is used."""
    return None if target.system != "linux" or target.exact_float else _PRICES[optimize]


def of(target: Target, core: VectorCore, price: float | None) -> Choice | None:
    """What the convolutions of a network on this target may become, at a price, or nothing else without one."""
    if price is None:
        return None
    limits = [limit for limit in (target.ram_limit_bytes, target.flash_limit_bytes) if limit is not None]
    return Choice(core=core, price=price, spare_bytes=min(limits) // _SHARE if limits else None)


def _reading(weights: int, core: VectorCore) -> float:
    """The cost of weights: what fits half of the level 2 cache stays there."""
    a_byte = _READING_A_BYTE_WIDE if core.is_wide else READING_A_BYTE * core.width
    return a_byte * max(weights - core.l2_bytes // 2, 0)


def _direct(product: Product, core: VectorCore) -> float:
    product, tile = vector_product.plan(product, core)
    window = product.window
    if product.halves:
        row = half_sums.row_cost(
            core.of_halves(), tile, window.output_width, product.outputs, product.depth, product.halves.span
        )
    else:
        row = vector_sums.row_cost(core, tile, window.output_width, product.outputs, product.depth)
    return window.output_height / tile.rows * row


def _winograd(layer: Winograd, core: VectorCore) -> float:
    plan = Plan(layer, core)
    tiles = layer.rows * layer.columns
    wide = _TRANSFORMS_WIDE[layer.results] / 2
    inputs = -(-plan.channels // core.width) * (wide if core.is_wide else _INPUT_TILE[layer.results])
    outputs = plan.vectors * (wide if core.is_wide else _OUTPUT_TILE[layer.results])
    bands = layer.rows / plan.band_rows
    band_tiles = plan.band_rows * layer.columns
    products = layer.points * vector_sums.row_cost(core, plan.tile, band_tiles, plan.outputs, plan.depth)
    return tiles * (inputs + outputs) + bands * products
