"""The requantisation table that the Helium kernels read: a column of biases, one of multipliers, one of shifts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile.kernels.product import Product


def scales_up(product: Product) -> bool:
    """True when some factor is 1/2 or more: such a shift is not to the right."""
    return any(each.shift > -1 for each in product.multipliers if each.value)


def table(product: Product) -> NDArray[np.int32]:
    """Lay out (bias, multiplier, shift) by column; a shift is to the left, -1 or less unless the product scales up."""
    values = [each.value for each in product.multipliers]
    shifts = [each.shift if each.value else -1 for each in product.multipliers]
    return np.stack([product.bias, values, shifts]).astype(np.int32)
