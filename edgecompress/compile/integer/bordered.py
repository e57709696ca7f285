"""Convolutions write their results inside the border that the next one sees around them: no image is copied for it.

For kernels of AMX, which read an image with its border in memory (kernels/x86_tiles_convolution.py).
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping

from edgecompress.compile.integer.layers import Convolution, Layer, Network, Value
from edgecompress.compile.kernels import x86_image, x86_tiles_convolution
from edgecompress.compile.kernels.product import Borders
from edgecompress.compile.kernels.window import Window
from edgecompress.core.bundle import Inside

FEATURE = "amx"
"""Of targets whose kernels know borders."""


def join(network: Network, features: Collection[str]) -> Network:
    """Let convolutions write for the convolution that is the only one to read their results."""
    if FEATURE not in features:
        return network
    readers = Counter(value.name for layer in network.layers for value in layer.inputs)
    readers.update(spec.name for spec in network.outputs)
    makers = {
        layer.output.name: layer
        for layer in network.layers
        if isinstance(layer, Convolution) and readers[layer.output.name] == 1 and _can(layer)
    }
    images: dict[str, Window] = {}
    for layer in network.layers:
        maker = makers.get(layer.inputs[0].name)
        if maker is not None and isinstance(layer, Convolution) and _can(layer) and _sees_border(layer, maker):
            images[maker.output.name] = layer.window
    layers = tuple(_with_borders(layer, images) for layer in network.layers)
    known = dict(network.onnx_values)
    known |= {name: known[name].model_copy(update={"inside": _rows(images[name])}) for name in known.keys() & images}
    return dataclasses.replace(network, layers=layers, onnx_values=known)


def _can(layer: Convolution) -> bool:
    """True for what a kernel with tiles computes, row by row."""
    return x86_tiles_convolution.fits(layer.window, layer.weights, layer.groups) and (
        layer.window.flattened() == layer.window
    )


def _sees_border(layer: Convolution, maker: Convolution) -> bool:
    """True when the maker can write the border: it fills it with its own zero point, and a reader may have another."""
    made = (maker.window.output_height, maker.window.output_width, len(maker.weights))
    window = layer.window
    is_same_image = (window.height, window.width, window.channels) == made
    return window.is_padded and is_same_image and layer.inputs[0].zero_point == maker.output.zero_point


def _rows(window: Window) -> Inside:
    row_bytes = window.width * window.channels
    first = x86_image.first(window)
    return Inside(first=first, step=window.row_elements, rows=window.height, row_bytes=row_bytes)


def _with_borders(layer: Layer, images: Mapping[str, Window]) -> Layer:
    if not isinstance(layer, Convolution):
        return layer
    source, output = layer.inputs[0], layer.output
    borders = Borders(reads=source.name in images, writes=images.get(output.name))
    inputs = (_inside(source, images),)
    return dataclasses.replace(layer, borders=borders, inputs=inputs, output=_inside(output, images))


def _inside(value: Value, images: Mapping[str, Window]) -> Value:
    """The value as it lies in memory: inside its border, where it has one."""
    if value.name not in images:
        return value
    return dataclasses.replace(value, shape=(x86_tiles_convolution.image_bytes(images[value.name]),))
