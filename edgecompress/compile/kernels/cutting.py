"""Cuts a layer's output channels into equal parts that one kernel computes one after the other (compile/parts)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.part_tables import COLUMNS, OneScale, TwoWords, two_words
from edgecompress.compile.parts import Parts
from edgecompress.core.values import Array

Cut = tuple[Kernel, Parts]
ROWS_AND_COLUMNS = 2
"""Axes of a table that no family packed."""


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
    found = _columns_of_parts(kernels)
    if found is None:
        return None
    (biases, *columns), by_row = found
    if any(np.ptp(column) for column in columns):
        return None
    bias = biases.astype(np.int32)
    return {"bias": bias}, [int(column[0]) for column in columns], OneScale(by_row=by_row)


def two_words_a_row(kernels: Sequence[Kernel]) -> tuple[dict[str, Array], list[int], TwoWords] | None:
    """Say what is left of tables whose bias and shift are one word, that there are no scalars, and how a table lies."""
    found = _columns_of_parts(kernels)
    words = None if found is None else two_words(found[0])
    if found is None or words is None:
        return None
    return {"table": words}, [], TwoWords(by_row=found[1])


def constant_bytes(kernel: Kernel) -> int:
    """What a kernel's constants take."""
    return sum(values.nbytes for values in kernel.constants.values())


def _columns_of_parts(kernels: Sequence[Kernel]) -> tuple[NDArray[np.int64], bool] | None:
    """Give biases, multipliers and shifts of all parts, and whether a table lies row by row.

    None where a family itself keeps biases alone, or packs its table.
    """
    tables = [kernel.constants["table"] for kernel in kernels]
    shape = tables[0].shape
    if len(shape) != ROWS_AND_COLUMNS or COLUMNS not in shape or tables[0].dtype != np.int32:
        return None
    by_row = shape[-1] == COLUMNS
    columns = [table.T if by_row else table for table in tables]
    return np.concatenate(columns, axis=1).astype(np.int64), by_row


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
