"""Which chains of a network multiply halves, and whether their results are kept as halves.

Half precision is spent where it saves most for what it costs: the sum of the squared errors of all layers (measured,
half_losses.py) may not pass a budget. For a price of error each layer takes the way that is cheapest, and the price is
the least with which the budget holds.

A tensor that nothing but such products read is stored as halves: they would round it anyway. All others stay floats,
so that what is added, pooled or normalised loses nothing.
"""

from __future__ import annotations

import bisect
import copy
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tvm import relax

from edgecompress.compile.floating import vector_products
from edgecompress.compile.floating.vector_chains import Chain, operands_of
from edgecompress.compile.frontend import bindings
from edgecompress.compile.half_losses import Loss, carry
from edgecompress.compile.kernels.vector_core import Halves
from edgecompress.compile.kernels.vector_product import Product
from edgecompress.compile.kernels.vector_winograd_choice import Choice
from edgecompress.core.values import Array

BUDGET = 6e-4
"""What is spent of the 1e-3 that is stated: other inputs than those that the losses were measured on differ more."""

SPANS = (16, 8)
"""Products that are summed as halves, of convolutions and matrix products (kernels/half_sums.py)."""
_A_FLOAT = 0.30
"""Instructions of a multiply-accumulate of floats on a Cortex-A76; `_a_half` gives those of halves."""
_LARGEST = 65504.0
_LEAST = 2.0**-10
"""Weights whose largest is smaller would lose bits of their own: halves have fewer below 2^-14."""
_MOST_TAPS = 25
"""A depthwise convolution sums all its taps as halves."""
_PRICES, _STEPS = (1.0, 1e30), 4096
"""Prices of a squared error of 1, in instructions, that are tried: each is 1.7 % above the one before it."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a chain multiplies halves: `span` products are summed as halves, and weights' errors are `carried` on."""

    span: int
    carried: bool


@dataclass(frozen=True, kw_only=True)
class _Offer:
    """A way, what it takes in instructions, and the square of its error. Without a way: floats."""

    way: Way | None
    instructions: float
    error: float


class HalfChains:
    """The chains of one network that multiply halves."""

    def __init__(self, main: relax.Function, ways: Mapping[relax.Var, Way]) -> None:
        self._ways = ways
        self._others: set[relax.Var] = set(operands_of(main.body.body))
        self._readers: dict[relax.Var, int] = defaultdict(int)
        for binding in bindings(main):
            for number, operand in enumerate(operands_of(binding.value)):
                self._readers[operand] += 1
                if binding.var not in self._ways or number > 0:
                    self._others.add(operand)

    def halves(self, chain: Chain, *, reads: bool) -> Halves | None:
        """How a chain multiplies halves, if it does; `reads`: its image is one of halves."""
        way = self._ways.get(chain.head.var)
        result = chain.last.var
        writes = self._readers[result] > 0 and result not in self._others
        return None if way is None else Halves(reads=reads, writes=writes, span=way.span)

    def rounded(self, chain: Chain, weights: Array) -> Array:
        """Round the weights (outputs, ...) of a chain that multiplies halves."""
        if self._ways[chain.head.var].carried:
            return carry(weights.reshape(len(weights), -1)).reshape(weights.shape)
        return weights.astype(np.float16).astype(np.float64)


def find(
    main: relax.Function,
    chains: Sequence[Chain],
    winograd: Choice | None,
    losses: Mapping[str, Loss],
    origin: Mapping[str, Sequence[str]],
) -> HalfChains:
    """Choose the chains that multiply halves; those that Winograd's filters compute stay floats."""
    offers: dict[relax.Var, list[_Offer]] = {}
    filters = copy.copy(winograd)
    for chain in chains:
        known = [losses[label] for label in origin.get(chain.head.var.name, ()) if label in losses]
        product = vector_products.of(chain) if known else None
        if product is None or not _is_able(chain, product):
            continue
        product = replace(product, halves=Halves(reads=True, writes=False, span=SPANS[0]))
        if filters is None or isinstance(filters.choose(product), Product):
            offers[chain.head.var] = _offers(product, known[0])
    chosen = _choose(offers, BUDGET**2)
    return HalfChains(main, {head: offer.way for head, offer in chosen.items() if offer.way is not None})


def _choose(offers: Mapping[relax.Var, Sequence[_Offer]], budget: float) -> dict[relax.Var, _Offer]:
    """Take an offer of each chain, so that all errors together keep within the budget, for the fewest instructions."""

    def at(price: float) -> dict[relax.Var, _Offer]:
        return {
            head: min(each, key=lambda offer: offer.instructions + (price * offer.error if offer.error else 0.0))
            for head, each in offers.items()
        }

    def holds(price: float) -> bool:
        return sum(offer.error for offer in at(price).values()) <= budget

    prices = np.geomspace(*_PRICES, _STEPS)
    fitting = bisect.bisect_left(prices, True, key=holds)
    return at(prices[fitting] if fitting < len(prices) else math.inf)


def _offers(product: Product, loss: Loss) -> list[_Offer]:
    """Floats, and the ways in halves.

    A sum of n products is rounded n times, and each time by what has been summed: (n + 1) / 2 times the error of one
    product that is rounded, which is the error of its rounded input.
    """
    depth, macs = product.depth.products, product.macs
    of_weights = min(loss.weights, loss.carried)
    unit = max(loss.inputs**2, of_weights**2 / 2)
    found = [_Offer(way=None, instructions=_A_FLOAT * macs, error=0.0)]
    for span in (depth,) if vector_products.is_depthwise(product) else SPANS:
        error = loss.inputs**2 + of_weights**2 + unit * (min(span, depth) + 1) / 2
        way = Way(span=span, carried=loss.carried < loss.weights)
        found.append(_Offer(way=way, instructions=_a_half(span) * macs, error=error))
    return found


def _a_half(span: int) -> float:
    """Instructions of a multiply-accumulate: of eight lanes, with loads, and four that widen a sum after each span."""
    return (1.2 + 4 / span) / 8


def _is_able(chain: Chain, product: Product) -> bool:
    """Weights must be halves that lose no more than a half does."""
    if vector_products.is_depthwise(product) and product.depth.products > _MOST_TAPS:
        return False
    return _LEAST <= float(np.max(np.abs(vector_products.weights(chain)), initial=0.0)) <= _LARGEST
