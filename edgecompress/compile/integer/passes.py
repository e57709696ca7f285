"""Passes over the layers of an integer network."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from edgecompress.compile.integer.layers import Clamp, Layer, Network, Rescale


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


def drop_unused(network: Network) -> Network:
    """Leave out layers whose output nobody reads."""
    wanted = {spec.name for spec in network.outputs}
    kept: list[Layer] = []
    for layer in reversed(network.layers):
        if layer.output.name in wanted:
            wanted.update(value.name for value in layer.inputs)
            kept.append(layer)
    return dataclasses.replace(network, layers=tuple(reversed(kept)))
