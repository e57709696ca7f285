"""Matrix products whose outputs share a multiplier and a shift: a table of biases alone (parts.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.memory import ALIGNMENT
from edgecompress.compile.parts import COLUMNS, Parts

LEAST_OUTPUTS = 32
"""With fewer, the function takes more than the table."""
MOST_OUTPUTS = 128
"""The table of a part lies in RAM."""


def choose(product: Product, family: Callable[[Product], Kernel]) -> tuple[Kernel, Parts] | None:
    """Cut a product with one scale into equal parts and choose their kernel; None when that saves nothing."""
    outputs = _outputs_of_a_part(product.outputs)
    if product.window.output_width * product.window.output_height > 1 or product.outputs < LEAST_OUTPUTS:
        return None
    kernels = [family(_part(product, first, outputs)) for first in range(0, product.outputs, outputs)]
    first = kernels[0]
    tables = [kernel.constants["table"] for kernel in kernels]
    if COLUMNS not in tables[0].shape:  # the family itself keeps biases alone
        return None
    by_row = tables[0].shape[-1] == COLUMNS
    biases, *columns = (np.concatenate([_columns(table, by_row)[i] for table in tables]) for i in range(COLUMNS))
    weights = [kernel.constants["weights"] for kernel in kernels]
    alike = all((kernel.name, kernel.scalars) == (first.name, first.scalars) for kernel in kernels)
    if not alike or any(np.ptp(column) for column in columns) or (len(kernels) > 1 and weights[0].nbytes % ALIGNMENT):
        return None
    parts = Parts(
        kernel=first.name,
        count=len(kernels),
        outputs=outputs,
        rows=tables[0].size // COLUMNS,
        weights_bytes=weights[0].nbytes,
        by_row=by_row,
    )
    constants = {"weights": np.concatenate([each.reshape(-1) for each in weights]), "bias": biases}
    scalars = [*first.scalars, *(int(column[0]) for column in columns)]
    return replace(first, constants=constants, scalars=scalars), parts


def _columns(
    table: np.ndarray[tuple[int, ...], np.dtype[np.int32]], by_row: bool
) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return table.reshape(-1, COLUMNS).T if by_row else table.reshape(COLUMNS, -1)


def _outputs_of_a_part(outputs: int) -> int:
    """The largest part of up to MOST_OUTPUTS that divides the outputs evenly."""
    return max(part for part in range(1, MOST_OUTPUTS + 1) if outputs % part == 0)


def _part(product: Product, first: int, count: int) -> Product:
    cut = slice(first, first + count)
    return replace(
        product,
        weights=product.weights[cut],
        bias=product.bias[cut],
        magnitudes=product.magnitudes[cut],
        multipliers=product.multipliers[cut],
    )
