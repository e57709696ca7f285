"""Kernel families, chosen by what the target can do: a family is one file an operation, with a function `choose`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from tvm import tirx

from edgecompress.compile.kernels import (
    addition,
    convolution,
    depthwise,
    dsp_convolution,
    dsp_depthwise,
    mve_addition,
    mve_convolution,
    mve_depthwise,
    neon_addition,
    neon_convolution,
    neon_depthwise,
    neon_grouped,
    neon_matrix_product,
    neon_pool,
    neon_softmax,
    neon_table,
    thumb_convolution,
    tuning,
    x86_addition,
    x86_family,
    x86_tiles_convolution,
)
from edgecompress.compile.kernels.addition import Addition
from edgecompress.compile.kernels.elementwise import Lookup
from edgecompress.compile.kernels.matrix_product import MatrixProduct
from edgecompress.compile.kernels.neon_tile import Core
from edgecompress.compile.kernels.pool import AveragePool, MaxPool, Mean
from edgecompress.compile.kernels.product import NO_BORDERS, Choose, Kernel, Product
from edgecompress.compile.kernels.softmax import Softmax
from edgecompress.compile.program import CKernel

Build = Callable[[], tirx.PrimFunc | CKernel]


def _neon(core: Core, channels: int) -> tuple[Choose, ...]:
    """The families of a core whose registers take so many channels of a depthwise convolution."""
    return neon_depthwise.family(channels), neon_convolution.family(core), neon_grouped.family(core)


FAMILIES: Mapping[str, tuple[Choose, ...]] = {
    "mve": (mve_depthwise.choose, mve_convolution.choose),
    "dsp": (dsp_depthwise.choose, dsp_convolution.choose),
    "thumb1": (thumb_convolution.choose,),
    "i8mm": (neon_depthwise.family(16), neon_convolution.family(neon_convolution.MATRIX)),
    "dotprod": _neon(neon_convolution.DOT, 16),
    "aarch64": _neon(neon_convolution.PAIRS, 16),
    **{feature: x86_family.products(core) for feature, core in x86_family.CORES.items()},
    "neon": _neon(neon_convolution.PAIRS_32_BIT, 8),
}
"""Target feature or machine -> its kernels; the best family first. The first kernel that takes a layer gets it."""

GENERIC: tuple[Choose, ...] = (depthwise.choose, convolution.choose)


OWN: Mapping[str, Mapping[type, Any]] = {
    "dotprod": {MatrixProduct: neon_matrix_product.DOT},
    "aarch64": {MatrixProduct: neon_matrix_product.WIDE, Lookup: neon_table},
    **{feature: x86_family.own(core) for feature, core in x86_family.CORES.items()},
    "neon": {
        MatrixProduct: neon_matrix_product.WIDE_32_BIT,
        Softmax: neon_softmax,
        MaxPool: neon_pool.MAX,
        AveragePool: neon_pool.AVERAGE,
        Mean: neon_pool.MEAN,
    },
}
"""Target feature or machine -> shape class -> what has `fits`, `name` and `build`; the best feature first."""


def choose(product: Product, features: Collection[str]) -> Kernel:
    """Choose the kernel of a layer on a target with these features."""
    if product.borders != NO_BORDERS:
        return bordered(product)
    candidates = [(feature, each) for feature, family in FAMILIES.items() if feature in features for each in family]
    candidates += [("generic", each) for each in GENERIC]
    kernels = ((feature, candidate(product)) for feature, candidate in candidates)
    depth = product.weights[0].size
    signature = f"family: {product.window.name()}, {product.outputs} channels of {depth}, {product.groups} groups"
    kernel = tuning.current().pick_algorithm(
        signature, ((feature, kernel) for feature, kernel in kernels if kernel is not None)
    )

    def build() -> tirx.PrimFunc | CKernel:
        tuning.current().note(signature)
        return kernel.build()

    return replace(kernel, build=build)


def bordered(product: Product) -> Kernel:
    """The kernel of a layer whose input or output lies inside its border: it is one of AMX, for those that can."""
    kernel = x86_tiles_convolution.choose(product)
    if kernel is None:
        raise ValueError("no kernel of it knows borders")
    return kernel


def choose_addition(
    shape: Addition, features: Collection[str]
) -> tuple[str, Callable[[Addition], tirx.PrimFunc | CKernel]]:
    """Choose the kernel of an addition: its name, and how to write it. All take the same arguments."""
    if "mve" in features:
        return mve_addition.name(shape), mve_addition.build
    if "neon" in features and shape.elements >= neon_addition.LEAST:
        return neon_addition.name(shape), neon_addition.build
    core = x86_family.core_of(features)
    if core is not None and x86_addition.fits(core, shape):
        return x86_addition.rounded_name(core, shape), partial(x86_addition.build_rounded, core)
    return shape.name, addition.build


def choose_linear_addition(
    shape: Addition, asked: x86_addition.Sum, bounds: tuple[int, int], features: Collection[str]
) -> Kernel | None:
    """Choose a kernel that adds by a linear function with scalars of its own; None where the target has none."""
    core = x86_family.core_of(features)
    return None if core is None else x86_addition.choose(core, shape, asked, *bounds)


def choose_own(shape: object, features: Collection[str]) -> tuple[str, Build] | None:
    """Choose a kernel of the target's own for a shape class: its name, and how to write it; None where there is none.

    It takes the arguments of the generic one.
    """
    for feature, kernels in OWN.items():
        module = kernels.get(type(shape)) if feature in features else None
        if module is not None and module.fits(shape):
            return module.name(shape), partial(module.build, shape)
    return None
