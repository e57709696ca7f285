"""The requantisation table that the Helium kernels read: a column of biases, one of multipliers, one of shifts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile.kernels.product import Product


def table(product: Product) -> NDArray[np.int32]:
    """Lay out (bias, multiplier, shift) by column; a shift is what VRSHL shifts left by, -1 or less."""
    values = [each.value for each in product.multipliers]
    shifts = [min(each.shift, -1) for each in product.multipliers]
    return np.stack([product.bias, values, shifts]).astype(np.int32)
