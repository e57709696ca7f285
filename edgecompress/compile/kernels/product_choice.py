"""Which kernel computes a layer of weighted sums where its weights have few values or many zeros, by what is saved."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from edgecompress.compile import codebook
from edgecompress.compile.kernels import codebook_product, costs, small_product, sparse_product
from edgecompress.compile.kernels.cutting import constant_bytes
from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.parts import Parts

Family = Callable[[Product], Kernel]
Currency = Literal["instructions", "flash", "both"]
"""What a choice saves; `both`: the product of the two."""
LEAST_GAIN = 0.03
"""The share of a layer's instructions that another kernel must save: they are estimated."""


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """What a layer may do: what it is to save, and the bytes of RAM that it may unpack weights or gather pixels into.

    `least_pixels`: fewer share no unpacked weights (None: no layer has indices). The more pixels share them, the less
    counts the unpacking among a layer's instructions.
    """

    saves: Currency
    room: int
    least_pixels: int | None


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A kernel, the parts that it computes if it is called for several, and about how many instructions they take."""

    kernel: Kernel
    parts: Parts | None = None
    instructions: float | None = None


def choose(product: Product, family: Family, features: Collection[str], allowed: Allowed) -> Candidate:
    """Choose the candidate that costs least; the ordinary kernel where none is better."""
    core = costs.core(features)
    plain = Candidate(kernel=family(product), instructions=None if core is None else costs.dense(product, core))
    others = [_indexed(product, family, core, allowed), *_sparse(product, plain, core, allowed)]
    if allowed.saves == "flash":
        others.append(_small(product, family))
    candidates = [plain, *(each for each in others if each is not None)]
    return min(candidates, key=lambda each: _cost(each, plain, allowed.saves))


def _cost(candidate: Candidate, plain: Candidate, saves: Currency) -> tuple[float, float]:
    """What a candidate costs; then, where that decides nothing, its instructions."""
    size = constant_bytes(candidate.kernel)
    if candidate.instructions is None or plain.instructions is None:
        return size, 0
    instructions = candidate.instructions
    if candidate is not plain:
        instructions += LEAST_GAIN * plain.instructions
    return {"flash": size, "instructions": instructions, "both": instructions * size}[saves], instructions


def _indexed(product: Product, family: Family, core: costs.Core | None, allowed: Allowed) -> Candidate | None:
    """Keep weights as indices."""
    pixels = product.window.output_width * product.window.output_height
    if allowed.least_pixels is None or pixels < allowed.least_pixels:
        return None
    found = codebook_product.choose(product, family, allowed.room)
    if found is None:
        return None
    kernel, parts = found
    bits = codebook.width(product.weights)
    instructions = None if core is None or bits is None else costs.indexed(product, bits, core)
    return Candidate(kernel=kernel, parts=parts, instructions=instructions)


def _sparse(product: Product, plain: Candidate, core: costs.Core | None, allowed: Allowed) -> list[Candidate]:
    """Skip weights of zero; where flash is saved, if that saves enough of it."""
    found: list[Candidate] = []
    for pixels in sparse_product.sizes(product, allowed.room):
        kernel = sparse_product.choose(product, pixels)
        if kernel is None or (core is None and allowed.saves != "flash"):
            continue
        saved = constant_bytes(plain.kernel) - constant_bytes(kernel)
        if allowed.saves == "flash" and saved < sparse_product.LEAST_SAVING:
            continue
        instructions = None if core is None else costs.sparse(product, pixels, core)
        found.append(Candidate(kernel=kernel, instructions=instructions))
    return found


def _small(product: Product, family: Family) -> Candidate | None:
    """Write tables or weights into RAM part by part."""
    found = small_product.choose(product, family)
    return None if found is None else Candidate(kernel=found[0], parts=found[1])
