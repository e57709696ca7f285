"""Kernel families, chosen by what the target can do: a family is one file an operation, with a function `choose`."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from edgecompress.compile.kernels import convolution, depthwise, dsp_convolution, mve_convolution, mve_depthwise
from edgecompress.compile.kernels.product import Choose, Kernel, Product

FAMILIES: Mapping[str, tuple[Choose, ...]] = {
    "mve": (mve_depthwise.choose, mve_convolution.choose),
    "dsp": (dsp_convolution.choose,),
}
"""Target feature -> its kernels; the best family first. The first kernel that takes a layer gets it."""

GENERIC: tuple[Choose, ...] = (depthwise.choose, convolution.choose)


def choose(product: Product, features: Collection[str]) -> Kernel:
    """Choose the kernel of a layer on a target with these features."""
    candidates = [each for feature, family in FAMILIES.items() if feature in features for each in family]
    kernels = (candidate(product) for candidate in (*candidates, *GENERIC))
    return next(kernel for kernel in kernels if kernel is not None)
