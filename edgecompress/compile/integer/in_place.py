"""Which layers run in place: those that make the peak of the memory, as long as that lowers it."""

from __future__ import annotations

from edgecompress.compile.integer.layers import Convolution, Layer, Network
from edgecompress.compile.kernels import in_place


def choose(network: Network) -> frozenset[str]:
    """Name the outputs that take the place of their layer's input, for the smallest sum of live bytes.

    One layer after another, the one at the peak first, until the peak is a layer that cannot run in place.
    """
    able = {i for i, layer in enumerate(network.layers) if _can(network, i, layer)}
    chosen: set[int] = set()
    best: tuple[int, frozenset[int]] = (max(_live(network, chosen), default=0), frozenset())
    while chosen < able:
        live = _live(network, chosen)
        peak = max(range(len(live)), key=lambda i: (live[i], i in able - chosen))
        if peak not in able - chosen:
            break
        chosen.add(peak)
        best = min(best, (max(_live(network, chosen)), frozenset(chosen)), key=lambda found: found[0])
    return frozenset(network.layers[i].output.name for i in best[1])


def _can(network: Network, index: int, layer: Layer) -> bool:
    """True when the layer is the last to read its input, and its bands do not get in each other's way."""
    if not isinstance(layer, Convolution) or not in_place.fits(layer.window, len(layer.weights)):
        return False
    source = layer.inputs[0].name
    if source in {spec.name for spec in network.outputs}:
        return False
    return all(value.name != source for later in network.layers[index + 1 :] for value in later.inputs)


def _live(network: Network, chosen: set[int]) -> list[int]:
    """The bytes that live at each layer, inputs to their last reader, with these layers in place."""
    sizes = {spec.name: spec.byte_size for spec in network.inputs}
    first = dict.fromkeys(sizes, 0)
    last = dict.fromkeys((spec.name for spec in network.outputs), len(network.layers) - 1)
    for i, layer in enumerate(network.layers):
        sizes[layer.output.name] = layer.output.elements * (4 if layer.output.dtype == "float32" else 1)
        first.setdefault(layer.output.name, i)
        for value in layer.inputs:
            last[value.name] = max(last.get(value.name, 0), i)
    live = [
        sum(size for name, size in sizes.items() if first[name] <= i <= last.get(name, first[name]))
        for i in range(len(network.layers))
    ]
    for i in chosen:
        layer = network.layers[i]
        if isinstance(layer, Convolution):
            live[i] += in_place.band_bytes(layer.window) - layer.output.elements
    return live
