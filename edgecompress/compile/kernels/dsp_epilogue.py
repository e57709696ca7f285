"""The end of a layer of weighted sums on a core with the DSP extension, as c_dsp's microkernels take it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile import quantized
from edgecompress.compile.c_dsp import Ending
from edgecompress.compile.kernels.product import Product
from edgecompress.compile.quantized import INT8_MAX, INT8_MIN, Multiplier

SUM_LIMIT = 2**29
"""Below it in magnitude, a sum can be doubled before the multiplication and after it."""


def settled(product: Product) -> Product | None:
    """Make sums that are too large to be doubled small, or return None.

    Converters give a channel with next to no weights a bias of up to 2**30. Such a channel comes to one int8 number
    whatever its input; it gets weights of zero and the bias that gives this number at a factor of 1/4.
    """
    limits = [2 * SUM_LIMIT if by.shift < 0 else SUM_LIMIT >> by.shift for by in product.multipliers]
    large = np.flatnonzero(product.magnitudes >= limits)
    if not large.size:
        return product
    weights, bias, magnitudes = product.weights.copy(), product.bias.copy(), product.magnitudes.copy()
    multipliers = list(product.multipliers)
    for channel in large:
        constant = _constant(product, int(channel))
        if constant is None:
            return None
        weights[channel], bias[channel], multipliers[channel] = 0, 4 * constant, Multiplier(value=2**30, shift=-1)
        magnitudes[channel] = abs(bias[channel])
    return replace(product, weights=weights, bias=bias, magnitudes=magnitudes, multipliers=tuple(multipliers))


def ending(product: Product) -> Ending:
    """Say which microkernels a product needs."""
    return Ending(
        scales_up=any(by.shift >= 0 and by.value > 0 for by in product.multipliers),
        shared=not product.is_depthwise and len(set(product.multipliers)) == 1,
        clamps=(product.low, product.high) != (INT8_MIN, INT8_MAX),
    )


def scalars(product: Product) -> list[int]:
    """The parameters: the value beyond the edge where there is one, then Ending.scalars."""
    first, end = product.multipliers[0], ending(product)
    values = {
        "rounding": 2 * product.output_zero + 1,
        "multiplier": first.value,
        "shifts": shifts(first),
        "low": product.low,
        "high": product.high,
    }
    zero = [product.input_zero] if product.window.is_padded else []
    return [*zero, *(values[name] for name in end.scalars)]


def table(product: Product) -> NDArray[np.int32]:
    """A row for each channel, as c_dsp's dsp_requantise reads it: of it, Ending.columns."""
    values = [by.value for by in product.multipliers]
    rows = np.stack([2 * product.bias, values, [shifts(by) for by in product.multipliers]], axis=1)
    return rows[:, : ending(product).columns].astype(np.int32)


def shifts(by: Multiplier) -> int:
    """Pack the shifts. A factor that is not scaled down is scaled up by 2 after the product and down again."""
    if by.shift < 0 or by.value == 0:
        return max(-by.shift - 1, 0)
    return by.shift << 8 | 1 << 16


def _constant(product: Product, channel: int) -> int | None:
    """What a channel comes to less the zero point, if that is the same for the least sum and the largest."""
    spread = 128 * np.abs(product.weights[channel].astype(np.int64)).sum()
    ends = product.bias[channel] + np.array([-spread, spread])
    least, largest = quantized.scale(ends, product.multipliers[channel])
    return int(least) if least == largest else None
