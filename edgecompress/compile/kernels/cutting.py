"""Cuts a layer's output channels into equal parts that one kernel computes one after the other (compile/parts)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.parts import COLUMNS, OneScale, Parts
from edgecompress.core.values import Array

Cut = tuple[Kernel, Parts]


def cut(product: Product, family: Callable[[Product], Kernel], outputs: int) -> tuple[list[Kernel], Parts] | None:
    """Choose kernels for parts of so many outputs; None when they are not one function."""
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
        pixels=product.window.output_width * product.window.output_height,
    )
    return kernels, parts


def equal_parts(outputs: int, most: int) -> list[int]:
    """Sizes of at most so many outputs that cut all of them equally, the largest first."""
    return [part for part in range(min(most, outputs), 0, -1) if outputs % part == 0]


def one_scale(kernels: Sequence[Kernel]) -> tuple[dict[str, Array], list[int], OneScale] | None:
    """Say what is left of tables with one multiplier and shift: biases, the two scalars, and how a table lies."""
    tables = [kernel.constants["table"] for kernel in kernels]
    if COLUMNS not in tables[0].shape:  # the family itself keeps biases alone
        return None
    by_row = tables[0].shape[-1] == COLUMNS
    biases, *columns = (np.concatenate([_columns(table, by_row)[i] for table in tables]) for i in range(COLUMNS))
    if any(np.ptp(column) for column in columns):
        return None
    return {"bias": biases}, [int(column[0]) for column in columns], OneScale(by_row=by_row)


def constant_bytes(kernel: Kernel) -> int:
    """What a kernel's constants take."""
    return sum(values.nbytes for values in kernel.constants.values())


def _columns(table: Array, by_row: bool) -> Array:
    return table.reshape(-1, COLUMNS).T if by_row else table.reshape(COLUMNS, -1)


def _part(product: Product, first: int, count: int) -> Product:
    if count == product.outputs:
        return product
    cut = slice(first, first + count)
    return replace(
        product,
        weights=product.weights[cut],
        bias=product.bias[cut],
        magnitudes=product.magnitudes[cut],
        multipliers=product.multipliers[cut],
    )
