"""Passes over the layers of an integer network."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from edgecompress.compile.integer.layers import Clamp, Convolution, Layer, Network, Padding, Rescale


def fuse_clamps(network: Network) -> Network:
    """Let a layer clamp its own output, where a stand-alone activation at the same scale is all that reads it.

    This keeps every byte: symmetric activations come as quantize, dequantize, Relu, quantize with one scale.
    """
    readers = Counter(value.name for layer in network.layers for value in layer.inputs)
    made: dict[str, int] = {}
    layers: list[Layer] = []
    for layer in network.layers:
        maker = made.get(layer.inputs[0].name)
        if maker is not None and readers[layer.inputs[0].name] == 1 and _only_clamps(layer):
            layers[maker] = _with_clamp(layers[maker], layer)
            made[layer.output.name] = maker
            continue
        if hasattr(layer, "clamp"):
            made[layer.output.name] = len(layers)
        layers.append(layer)
    return dataclasses.replace(network, layers=tuple(layers))


def _only_clamps(layer: Layer) -> bool:
    source, output = layer.inputs[0], layer.output
    same = (source.scale, source.zero_point) == (output.scale, output.zero_point)
    return isinstance(layer, Rescale) and same


def _with_clamp(maker: Any, activation: Any) -> Layer:
    low = max(maker.clamp.low, activation.clamp.low)
    high = min(maker.clamp.high, activation.clamp.high)
    nodes = (*maker.nodes, *activation.nodes)
    fused: Layer = dataclasses.replace(maker, output=activation.output, clamp=Clamp(low=low, high=high), nodes=nodes)
    return fused


def fold_pads(network: Network) -> Network:
    """Let convolutions see zeros beyond the edge themselves, where a Pad puts them there.

    The Pad stays; drop_unused takes it when nobody else reads what it makes.
    """
    borders = {layer.output.name: layer for layer in network.layers if isinstance(layer, Padding) and _is_border(layer)}
    layers = tuple(
        _with_border(layer, borders[layer.inputs[0].name])
        if isinstance(layer, Convolution) and layer.inputs[0].name in borders
        else layer
        for layer in network.layers
    )
    return dataclasses.replace(network, layers=layers)


def _is_border(layer: Padding) -> bool:
    """True for zeros around the rows and columns of an image."""
    is_image = len(layer.widths) == 4 and layer.widths[0] == layer.widths[3] == (0, 0)
    return is_image and layer.fill == layer.inputs[0].zero_point


def _with_border(layer: Convolution, border: Padding) -> Convolution:
    """The convolution of the image without its border; as it is where a window would lie on the border alone."""
    window = layer.window
    image = border.inputs[0]
    (above, below), (left, right) = border.widths[1:3]
    added = (above, left, below, right)
    padding = tuple(own + more for own, more in zip(window.padding, added, strict=True))
    reach = [dilation * (taps - 1) for dilation, taps in zip(window.dilation, window.kernel, strict=True)]
    if (window.height, window.width) != border.output.shape[1:3] or any(
        zeros > most for zeros, most in zip(padding, (*reach, *reach), strict=True)
    ):
        return layer
    top, start, bottom, end = padding
    wider = dataclasses.replace(window, height=image.shape[1], width=image.shape[2], padding=(top, start, bottom, end))
    return dataclasses.replace(layer, inputs=(image,), window=wider, nodes=(*border.nodes, *layer.nodes))


def drop_unused(network: Network) -> Network:
    """Leave out layers whose output nobody reads."""
    wanted = {spec.name for spec in network.outputs}
    kept: list[Layer] = []
    for layer in reversed(network.layers):
        if layer.output.name in wanted:
            wanted.update(value.name for value in layer.inputs)
            kept.append(layer)
    return dataclasses.replace(network, layers=tuple(reversed(kept)))
