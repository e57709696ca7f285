"""Layers that become vector kernels: what is matched in the graph, and the kernel and constants that it becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from tvm import relax

from edgecompress.compile.kernels import (
    half_widening,
    vector_attention,
    vector_depthwise,
    vector_elementwise,
    vector_pool,
    vector_product,
    vector_rows,
    vector_winograd,
)
from edgecompress.compile.kernels.half_widening import Widening
from edgecompress.compile.kernels.vector_attention import Attention
from edgecompress.compile.kernels.vector_core import Halves, VectorCore
from edgecompress.compile.kernels.vector_depthwise import Depthwise
from edgecompress.compile.kernels.vector_elementwise import Elementwise
from edgecompress.compile.kernels.vector_pool import Pool
from edgecompress.compile.kernels.vector_product import Product
from edgecompress.compile.kernels.vector_rows import LayerNorm, Softmax
from edgecompress.compile.kernels.vector_winograd import Winograd
from edgecompress.compile.kernels.vector_winograd_choice import Choice
from edgecompress.compile.program import CKernel
from edgecompress.core.bundle import HALF, WINOGRAD
from edgecompress.core.values import Array

Layer = Product | Winograd | Depthwise | Pool | Softmax | LayerNorm | Elementwise | Attention | Widening


@dataclass(frozen=True, kw_only=True)
class VectorLayer:
    """A kernel of our own that a call in the graph stands for."""

    op: str
    macs: int
    write: Callable[[str], CKernel]
    key: Layer
    """Layers of equal keys share a kernel."""


@dataclass
class VectorLayers:
    """The layers of one network, by the name that its graph calls them."""

    core: VectorCore
    winograd: Choice | None = None
    layers: dict[str, VectorLayer] = field(default_factory=dict)

    def add(self, layer: Layer) -> str:
        """Note a layer; return the name to call it by."""
        name = f"vector_layer_{len(self.layers)}"
        self.layers[name] = self._describe(layer)
        return name

    def choose_convolution(self, product: Product) -> Product | Winograd:
        """Choose the algorithm of a convolution."""
        return product if self.winograd is None else self.winograd.choose(product)

    def _describe(self, layer: Layer) -> VectorLayer:
        core = self.core
        if isinstance(layer, Product):
            op = "conv2d" if layer.window.height > 1 or layer.window.kernel != (1, 1) else "dense"
            return VectorLayer(
                op=_in(layer.halves, op),
                macs=layer.macs,
                write=lambda name: vector_product.kernel(name, layer, core),
                key=layer,
            )
        if isinstance(layer, Winograd):
            return VectorLayer(
                op=f"{WINOGRAD}{layer.results}_conv2d",
                macs=layer.product.macs,
                write=lambda name: vector_winograd.kernel(name, layer, core),
                key=layer,
            )
        if isinstance(layer, Depthwise):
            return VectorLayer(
                op=_in(layer.halves, "depthwise_conv2d"),
                macs=layer.macs,
                write=lambda name: vector_depthwise.kernel(name, layer, core),
                key=layer,
            )
        if isinstance(layer, Softmax):
            return VectorLayer(
                op="softmax", macs=0, write=lambda name: vector_rows.softmax(name, layer, core), key=layer
            )
        if isinstance(layer, LayerNorm):
            return VectorLayer(
                op="layer_norm", macs=0, write=lambda name: vector_rows.layer_norm(name, layer, core), key=layer
            )
        if isinstance(layer, Attention):
            return VectorLayer(
                op="attention",
                macs=layer.macs,
                write=lambda name: vector_attention.kernel(name, layer, core),
                key=layer,
            )
        if isinstance(layer, Elementwise):
            return VectorLayer(
                op="elementwise", macs=0, write=lambda name: vector_elementwise.kernel(name, layer, core), key=layer
            )
        if isinstance(layer, Widening):
            return VectorLayer(op="widen", macs=0, write=lambda name: half_widening.kernel(name, layer), key=layer)
        return VectorLayer(
            op=f"{layer.kind}_pool2d", macs=0, write=lambda name: vector_pool.kernel(name, layer, core), key=layer
        )

    def constants(self, layer: Product | Winograd | Depthwise, weights: Array, bias: Array | None) -> list[relax.Expr]:
        """Pack weights (outputs, inputs of a group, rows, columns) and biases for the layer's kernel."""
        packed: list[Array]
        if isinstance(layer, Depthwise):
            packed = [vector_depthwise.pack(weights, layer, self.core)]
            packed += [vector_depthwise.pack_bias(bias, layer, self.core)] if bias is not None else []
        elif isinstance(layer, Winograd):
            packed = [vector_winograd.pack(weights, layer, self.core)]
            packed += [vector_winograd.pack_bias(bias, self.core)] if bias is not None else []
        else:
            packed = [vector_product.pack(weights, layer, self.core)]
            packed += [vector_product.pack_bias(bias, layer, self.core)] if bias is not None else []
        return [relax.const(np.ascontiguousarray(values)) for values in packed]


def _in(halves: Halves | None, op: str) -> str:
    """An operator's name, which says so when it is computed in half precision."""
    return op if halves is None else f"{HALF}{op}"
