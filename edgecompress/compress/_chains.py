"""Chains of layers that stand for one: built like the layer they replace, and filled with given weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgecompress.compress._ranks import Values

if TYPE_CHECKING:
    from torch import Tensor, nn


def weights_of(layer: nn.Module) -> Values:
    """The weights of a layer as doubles."""
    weights: Values = layer.weight.detach().numpy().astype(np.float64)  # type: ignore[operator]
    return weights


def pointwise(inputs: int, outputs: int, *, bias: bool) -> nn.Conv2d:
    """A 1x1 convolution."""
    from torch import nn

    return nn.Conv2d(inputs, outputs, 1, bias=bias)


def windowed(like: nn.Conv2d, inputs: int, outputs: int, *, groups: int = 1) -> nn.Conv2d:
    """A convolution with the window, stride, padding and dilation of another one, and no bias."""
    from torch import nn

    window = {
        "kernel_size": like.kernel_size,
        "stride": like.stride,
        "padding": like.padding,
        "dilation": like.dilation,
    }
    return nn.Conv2d(inputs, outputs, groups=groups, bias=False, **window)  # type: ignore[arg-type]


def filled(layers: tuple[nn.Module, ...], weights: tuple[Values, ...], bias: Tensor | None) -> nn.Sequential:
    """Chain the layers with these weights, and with the bias (0 for none) in the last one."""
    import torch
    from torch import nn

    with torch.no_grad():
        for layer, values in zip(layers, weights, strict=True):
            into: Tensor = layer.weight  # type: ignore[assignment]
            into.copy_(torch.from_numpy(values.astype(np.float32)).reshape(into.shape))
        last: Tensor = layers[-1].bias  # type: ignore[assignment]
        last.copy_(torch.zeros_like(last) if bias is None else bias)
    return nn.Sequential(*layers)
