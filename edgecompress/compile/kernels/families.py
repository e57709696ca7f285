"""Kernel families, chosen by what the target can do: a family is one file an operation, with a function `choose`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from tvm import tirx

from edgecompress.compile.kernels import (
    addition,
    convolution,
    depthwise,
    dsp_convolution,
    dsp_depthwise,
    matrix_product,
    mve_addition,
    mve_convolution,
    mve_depthwise,
    neon_addition,
    neon_convolution,
    neon_depthwise,
    neon_matrix_product,
    thumb_convolution,
)
from edgecompress.compile.kernels.addition import Addition
from edgecompress.compile.kernels.matrix_product import MatrixProduct
from edgecompress.compile.kernels.product import Choose, Kernel, Product
from edgecompress.compile.program import CKernel

FAMILIES: Mapping[str, tuple[Choose, ...]] = {
    "mve": (mve_depthwise.choose, mve_convolution.choose),
    "dsp": (dsp_depthwise.choose, dsp_convolution.choose),
    "thumb1": (thumb_convolution.choose,),
    "dotprod": (neon_depthwise.family(16), neon_convolution.family(neon_convolution.DOT)),
    "aarch64": (neon_depthwise.family(16), neon_convolution.family(neon_convolution.PAIRS)),
    "neon": (neon_depthwise.family(8), neon_convolution.family(neon_convolution.PAIRS_32_BIT)),
}
"""Target feature or machine -> its kernels; the best family first. The first kernel that takes a layer gets it."""

GENERIC: tuple[Choose, ...] = (depthwise.choose, convolution.choose)


def choose(product: Product, features: Collection[str]) -> Kernel:
    """Choose the kernel of a layer on a target with these features."""
    candidates = [each for feature, family in FAMILIES.items() if feature in features for each in family]
    kernels = (candidate(product) for candidate in (*candidates, *GENERIC))
    return next(kernel for kernel in kernels if kernel is not None)


def choose_addition(
    shape: Addition, features: Collection[str]
) -> tuple[str, Callable[[Addition], tirx.PrimFunc | CKernel]]:
    """Choose the kernel of an addition: its name, and how to write it. All take the same arguments."""
    if "mve" in features:
        return mve_addition.name(shape), mve_addition.build
    if "neon" in features and shape.elements >= neon_addition.LEAST:
        return neon_addition.name(shape), neon_addition.build
    return shape.name, addition.build


def choose_matrix_product(
    shape: MatrixProduct, features: Collection[str]
) -> tuple[str, Callable[[MatrixProduct], tirx.PrimFunc | CKernel]]:
    """Choose the kernel of a product of computed matrices: its name, and how to write it. All take the same."""
    if "neon" in features and neon_matrix_product.fits(shape):
        return neon_matrix_product.name(shape), neon_matrix_product.build
    return shape.name, matrix_product.build
