"""Matrix products for the smallest flash: cut into parts, whose table or weights are written into RAM (parts.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile import narrow
from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.memory import ALIGNMENT
from edgecompress.compile.parts import COLUMNS, OneScale, Parts
from edgecompress.core.values import Array

LEAST_OUTPUTS = 32
"""With fewer, the function takes more than the table."""
MOST_OUTPUTS = 128
"""The table of a part lies in RAM."""
MOST_WEIGHTS = 3072
"""So do the weights of a part, where they are packed: bytes."""
LEAST_SAVING = 1024
"""Bytes that packed weights must save: the functions take a part of it."""
LEAST_SHARE = 1 / 8
"""What they must save of a layer: unpacking weights takes more instructions than multiplying by them."""

END: NDArray[np.uint32] = np.zeros(1, np.uint32)
"""Ends packed weights: an array of C needs an element, and weights of zero take none."""

Cut = tuple[Kernel, Parts]


def choose(product: Product, family: Callable[[Product], Kernel]) -> Cut | None:
    """Cut a product so that it takes the fewest bytes, and choose the parts' kernel; None when that saves nothing."""
    if product.window.output_width * product.window.output_height > 1:
        return None
    plain = _with_one_scale(product, family)
    packed = _packed(product, family)
    if packed is None:
        return plain
    size = _bytes(family(product) if plain is None else plain[0])
    return packed if size - _bytes(packed[0]) >= max(LEAST_SAVING, LEAST_SHARE * size) else plain


def _with_one_scale(product: Product, family: Callable[[Product], Kernel]) -> Cut | None:
    """Keep the biases alone of a table with one multiplier and shift."""
    cut = _cut(product, family, MOST_OUTPUTS)
    if cut is None or product.outputs < LEAST_OUTPUTS:
        return None
    kernels, parts = cut
    table = _one_scale(kernels)
    if table is None or (len(kernels) > 1 and parts.weights_bytes % ALIGNMENT):
        return None
    constants, scalars, one_scale = table
    weights = np.concatenate([kernel.constants["weights"].reshape(-1) for kernel in kernels])
    kernel = replace(kernels[0], constants={"weights": weights, **constants}, scalars=[*kernels[0].scalars, *scalars])
    return kernel, replace(parts, one_scale=one_scale)


def _packed(product: Product, family: Callable[[Product], Kernel]) -> Cut | None:
    """Pack the weights of a part, and keep the biases alone where that is possible too."""
    cut = _cut(product, family, MOST_WEIGHTS // product.window.channels)
    if cut is None:
        return None
    kernels, parts = cut
    tables = np.concatenate([kernel.constants["table"].reshape(-1) for kernel in kernels])
    constants, scalars, one_scale = _one_scale(kernels) or ({"table": tables}, [], None)
    words, heads = zip(*(narrow.pack(kernel.constants["weights"]) for kernel in kernels), strict=True)
    weights = {"weights": np.concatenate([*words, END]), "heads": np.concatenate(heads)}
    kernel = replace(kernels[0], constants={**weights, **constants}, scalars=[*kernels[0].scalars, *scalars])
    return kernel, replace(parts, one_scale=one_scale, packed=True)


def _cut(product: Product, family: Callable[[Product], Kernel], most: int) -> tuple[list[Kernel], Parts] | None:
    """Choose kernels for equal parts of at most so many outputs; None when they are not one function."""
    outputs = max((part for part in range(1, most + 1) if product.outputs % part == 0), default=0)
    if not outputs:
        return None
    kernels = [family(_part(product, first, outputs)) for first in range(0, product.outputs, outputs)]
    first = kernels[0]
    if any((kernel.name, kernel.scalars) != (first.name, first.scalars) for kernel in kernels):
        return None
    parts = Parts(
        kernel=first.name,
        count=len(kernels),
        outputs=outputs,
        table_words=first.constants["table"].size,
        weights_bytes=first.constants["weights"].nbytes,
    )
    return kernels, parts


def _one_scale(kernels: Sequence[Kernel]) -> tuple[dict[str, Array], list[int], OneScale] | None:
    """Say what is left of tables with one multiplier and shift: biases, the two scalars, and how a table lies."""
    tables = [kernel.constants["table"] for kernel in kernels]
    if COLUMNS not in tables[0].shape:  # the family itself keeps biases alone
        return None
    by_row = tables[0].shape[-1] == COLUMNS
    biases, *columns = (np.concatenate([_columns(table, by_row)[i] for table in tables]) for i in range(COLUMNS))
    if any(np.ptp(column) for column in columns):
        return None
    return {"bias": biases}, [int(column[0]) for column in columns], OneScale(by_row=by_row)


def _bytes(kernel: Kernel) -> int:
    return sum(values.nbytes for values in kernel.constants.values())


def _columns(table: Array, by_row: bool) -> Array:
    return table.reshape(-1, COLUMNS).T if by_row else table.reshape(COLUMNS, -1)


def _part(product: Product, first: int, count: int) -> Product:
    cut = slice(first, first + count)
    return replace(
        product,
        weights=product.weights[cut],
        bias=product.bias[cut],
        magnitudes=product.magnitudes[cut],
        multipliers=product.multipliers[cut],
    )
