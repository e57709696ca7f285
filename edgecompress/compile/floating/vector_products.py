"""Chains as layers: the shapes of their products, and their weights as the kernels' packing takes them."""

from __future__ import annotations

import numpy as np
from tvm import relax

from edgecompress.compile.floating.vector_chains import Chain, operator, shape
from edgecompress.compile.kernels.vector_core import Finish
from edgecompress.compile.kernels.vector_product import Product
from edgecompress.compile.kernels.window import Window
from edgecompress.core.values import Array


def is_convolution(chain: Chain) -> bool:
    """True for a chain that starts at a convolution, false for a matrix product."""
    return operator(chain.head.value) == "relax.nn.conv2d"


def of(chain: Chain) -> Product | None:
    """The product that a chain starts with, of an image with channels last; None for a window that kernels lack."""
    return _convolution(chain) if is_convolution(chain) else _matrix_product(chain)


def is_depthwise(product: Product) -> bool:
    """True for a convolution of each channel by itself."""
    return product.groups == product.outputs == product.window.channels > 1


def weights(chain: Chain) -> Array:
    """A chain's weights (outputs, inputs of a group, rows, columns), scaled in float64 if at all."""
    values: Array = chain.head.value.args[1].value.numpy()
    if not is_convolution(chain):
        values = values.T[:, :, None, None]
    return values if chain.scale is None else values * chain.scale[:, None, None, None]


def window(extents: tuple[int, ...], layout: str, kernel: tuple[int, ...], call: relax.Call) -> Window:
    """The window of a convolution or pooling."""
    height, width, channels = extents[1:] if layout == "NHWC" else (*extents[2:], extents[1])
    strides, dilation, padding = (
        tuple(int(number) for number in numbers)
        for numbers in (call.attrs.strides, call.attrs.dilation, call.attrs.padding)
    )
    return Window(
        height=height,
        width=width,
        channels=channels,
        kernel=(kernel[0], kernel[1]),
        stride=(strides[0], strides[1]),
        dilation=(dilation[0], dilation[1]),
        padding=(padding[0], padding[1], padding[2], padding[3]),
    )


def _convolution(chain: Chain) -> Product | None:
    call = chain.head.value
    batch, outputs, *extents = shape(chain.last.var)
    seen = window(shape(call.args[0]), str(call.attrs.data_layout), shape(call.args[1])[2:], call)
    if (seen.output_height, seen.output_width) != tuple(extents):
        return None
    return Product(
        window=seen,
        outputs=outputs,
        groups=int(call.attrs.groups),
        batch=batch,
        has_bias=chain.bias is not None,
        finish=_finish(chain),
    )


def _matrix_product(chain: Chain) -> Product:
    *rows, inputs = shape(chain.head.value.args[0])
    return Product(
        window=Window(height=1, width=int(np.prod(rows)), channels=inputs, kernel=(1, 1)),
        outputs=shape(chain.head.value.args[1])[1],
        has_bias=chain.bias is not None,
        finish=_finish(chain),
    )


def _finish(chain: Chain) -> Finish:
    return Finish(adds=chain.other is not None, low=chain.low, high=chain.high)
