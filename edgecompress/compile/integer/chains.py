"""Which layers run row by row, for the smallest peak of the memory: convolutions and pools around the peak."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

from edgecompress.compile.integer import in_place
from edgecompress.compile.integer.layers import AveragePool, Chain, Convolution, Layer, MaxPool, Network, Windowed
from edgecompress.compile.kernels import row_chain
from edgecompress.compile.memory import ALIGNMENT

LONGEST = 6
"""Layers of a chain: longer ones gained nothing on the networks tried, and cost time to try."""


def fuse(network: Network) -> Network:
    """Make chains of layers as long as that lowers the peak of the live bytes; the other layers stay as they are.

    One chain after another, each around the peak that is left; of all possible ones, that with the lowest bytes.
    """
    best, live = network, in_place.lowest(network)[1]
    while live:
        found = min(
            ((in_place.lowest(each)[1], each) for each in _with_a_chain(best, live.index(max(live)))),
            key=lambda candidate: sorted(candidate[0], reverse=True),
            default=None,
        )
        if found is None or sorted(found[0], reverse=True) >= sorted(live, reverse=True):
            break
        live, best = found
    return _without_useless(best, max(live, default=0))


def _with_a_chain(network: Network, peak: int) -> Iterator[Network]:
    """Give the network with each chain that includes the layer at the peak."""
    layers = network.layers
    for begin in range(max(peak - LONGEST + 1, 0), peak + 1):
        for end in range(max(peak, begin + 1), min(begin + LONGEST, len(layers))):
            chain = _chain(network, begin, end)
            if chain is not None:
                yield dataclasses.replace(network, layers=(*layers[:begin], chain, *layers[end + 1 :]))


def _chain(network: Network, begin: int, end: int) -> Chain | None:
    """Join these layers, or return None when some value between them is read elsewhere too."""
    layers = network.layers[begin : end + 1]
    stages = [stage for layer in layers for stage in _stages(layer)]
    if not all(_stages(layer) for layer in layers):
        return None
    readers = [value.name for layer in network.layers for value in layer.inputs]
    readers += [spec.name for spec in network.outputs]
    for maker, reader in itertools.pairwise(layers):
        if reader.inputs[0].name != maker.output.name or readers.count(maker.output.name) > 1:
            return None
    return Chain(
        inputs=layers[0].inputs,
        output=layers[-1].output,
        nodes=tuple(node for layer in layers for node in layer.nodes),
        stages=tuple(stages),
    )


def _stages(layer: Layer) -> tuple[Windowed, ...]:
    """The layers that a layer can be in a chain: none when it cannot be in one."""
    if isinstance(layer, Chain):
        return layer.stages
    if not isinstance(layer, Convolution | AveragePool | MaxPool) or not row_chain.can_link(layer.window):
        return ()
    top, _, bottom, _ = layer.window.padding
    if isinstance(layer, AveragePool) and (top or bottom):  # its kernel counts the rows that lie on the image
        return ()
    row_bytes = layer.output.elements // layer.window.output_height
    return (layer,) if row_bytes % ALIGNMENT == 0 else ()


def _without_useless(network: Network, peak: int) -> Network:
    """Take the chains apart again that the peak does not need."""
    for chain in [layer for layer in network.layers if isinstance(layer, Chain)]:
        apart = [each for layer in network.layers for each in (layer.stages if layer is chain else (layer,))]
        without = dataclasses.replace(network, layers=tuple(apart))
        if max(in_place.lowest(without)[1]) <= peak:
            network = without
    return network
