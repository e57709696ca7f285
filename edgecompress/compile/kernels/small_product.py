"""Matrix products for the smallest flash: cut into parts, whose table or weights are written into RAM (parts.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile import c_text, narrow
from edgecompress.compile.kernels.cutting import Cut, constant_bytes, cut, equal_parts, one_scale
from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.memory import ALIGNMENT
from edgecompress.compile.narrow import Blocks
from edgecompress.compile.parts import Parts

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


def choose(product: Product, family: Callable[[Product], Kernel]) -> Cut | None:
    """Cut a product so that it takes the fewest bytes, and choose the parts' kernel; None when that saves nothing."""
    if product.window.output_width * product.window.output_height > 1 or product.groups > 1:
        return None
    plain = _with_one_scale(product, family)
    packed = _packed(product, family)
    if packed is None:
        return plain
    size = constant_bytes(family(product) if plain is None else plain[0])
    return packed if size - constant_bytes(packed[0]) >= max(LEAST_SAVING, LEAST_SHARE * size) else plain


def _with_one_scale(product: Product, family: Callable[[Product], Kernel]) -> Cut | None:
    """Keep the biases alone of a table with one multiplier and shift."""
    found = _largest(product, family, MOST_OUTPUTS)
    if found is None or product.outputs < LEAST_OUTPUTS:
        return None
    kernels, parts = found
    table = one_scale(kernels)
    if table is None or (len(kernels) > 1 and parts.weights_bytes % ALIGNMENT):
        return None
    constants, scalars, layout = table
    weights = np.concatenate([kernel.constants["weights"].reshape(-1) for kernel in kernels])
    kernel = replace(kernels[0], constants={"weights": weights, **constants}, scalars=[*kernels[0].scalars, *scalars])
    return kernel, replace(parts, table=layout)


def _packed(product: Product, family: Callable[[Product], Kernel]) -> Cut | None:
    """Pack the weights of a part, and keep the biases alone where that is possible too."""
    found = _largest(product, family, MOST_WEIGHTS // int(product.weights[0].size))
    if found is None:
        return None
    kernels, parts = found
    tables = np.concatenate([kernel.constants["table"].reshape(-1) for kernel in kernels])
    constants, scalars, layout = one_scale(kernels) or ({"table": tables}, [], None)
    words, heads = zip(*(narrow.pack(kernel.constants["weights"]) for kernel in kernels), strict=True)
    weights = {"weights": np.concatenate([*words, END]), "heads": np.concatenate(heads)}
    kernel = replace(kernels[0], constants={**weights, **constants}, scalars=[*kernels[0].scalars, *scalars])
    ctype = c_text.TYPES[str(kernels[0].constants["weights"].dtype)]
    return kernel, replace(parts, table=layout, packing=Blocks(weights_bytes=parts.weights_bytes, ctype=ctype))


def _largest(product: Product, family: Callable[[Product], Kernel], most: int) -> tuple[list[Kernel], Parts] | None:
    """Cut into the largest equal parts of at most so many outputs."""
    sizes = equal_parts(product.outputs, most)
    return cut(product, family, sizes[0]) if sizes else None
