"""All int8 kernels of an x86-64 core, as kernels/families.py asks for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from edgecompress.compile.kernels import (
    x86_convolution,
    x86_depthwise,
    x86_lookup,
    x86_matrix_product,
    x86_pool,
    x86_quantize,
    x86_softmax,
    x86_tiles_convolution,
)
from edgecompress.compile.kernels.elementwise import Dequantize, Lookup, Quantize
from edgecompress.compile.kernels.matrix_product import MatrixProduct
from edgecompress.compile.kernels.product import Choose
from edgecompress.compile.kernels.softmax import Softmax
from edgecompress.compile.kernels.x86_core import AVX2, TILES, VNNI, Core

CORES = {"amx": TILES, "vnni": VNNI, "avx2": AVX2}
"""Target feature -> its core; the best feature first."""


def core_of(features: Collection[str]) -> Core | None:
    """The best core of a target with these features, if it is one of these."""
    return next((core for feature, core in CORES.items() if feature in features), None)


def products(core: Core) -> tuple[Choose, ...]:
    """The kernels of layers of weighted sums."""
    if core.method == "tiles":
        return (x86_tiles_convolution.choose,)
    return (x86_depthwise.family(core), x86_convolution.family(core))


def own(core: Core) -> Mapping[type, Any]:
    """Shape class -> what has `fits`, `name` and `build`."""
    return {
        Dequantize: x86_quantize.DequantizeFamily(core=core),
        Lookup: x86_lookup.Family(core=core),
        MatrixProduct: x86_matrix_product.Family(core=replace(core, method="twos", wide=True)),
        Quantize: x86_quantize.QuantizeFamily(core=core),
        Softmax: x86_softmax.Family(core=core),
        **x86_pool.families(core),
    }
