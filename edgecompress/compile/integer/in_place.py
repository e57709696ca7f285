"""Which layers run in place: those that make the peak of the memory, as long as that lowers it."""

from __future__ import annotations

from edgecompress.compile.integer.layers import Addition, Chain, Convolution, Layer, Network
from edgecompress.compile.kernels import in_place


def choose(network: Network) -> dict[str, str]:
    """Name outputs and the inputs of their layers whose place they take, for the smallest sum of live bytes."""
    return lowest(network)[0]


def lowest(network: Network) -> tuple[dict[str, str], list[int]]:
    """Return what `choose` does, and the bytes that then live at each layer.

    One layer after another, the one at the peak first, until the peak is a layer that cannot run in place.
    """
    replaced = {i: _replaceable(network, i, layer) for i, layer in enumerate(network.layers)}
    able = {i for i, name in replaced.items() if name is not None}
    apart = live_bytes(network)
    chosen: set[int] = set()
    live = list(apart)
    best: tuple[frozenset[int], list[int]] = (frozenset(), list(live))
    while chosen < able:
        peak = max(range(len(live)), key=lambda i: (live[i], i in able - chosen))
        if peak not in able - chosen:
            break
        chosen.add(peak)
        live[peak] += _in_place_bytes(network.layers[peak])
        if max(live) < max(best[1]):
            best = (frozenset(chosen), list(live))
    places = {network.layers[i].output.name: name for i in best[0] if (name := replaced[i]) is not None}
    return places, best[1]


def _replaceable(network: Network, index: int, layer: Layer) -> str | None:
    """The input that the layer is the last to read, if its bands do not get in each other's way; or None."""
    kept = {spec.name for spec in network.outputs}
    kept |= {value.name for later in network.layers[index + 1 :] for value in later.inputs}
    free = [value.name for value in layer.inputs if value.name not in kept]
    return free[0] if free and _fits(layer) else None


def _fits(layer: Layer) -> bool:
    if isinstance(layer, Addition):
        names = [value.name for value in layer.inputs]
        return in_place.chunk(layer.output.elements) > 0 and len(set(names)) == len(names)
    if isinstance(layer, Chain):
        return layer.plan.fits_in_place(layer.stages[0].window.height)
    return isinstance(layer, Convolution) and in_place.fits(layer.window, len(layer.weights))


def _in_place_bytes(layer: Layer) -> int:
    """What a layer's output in the place of its input adds to the live bytes."""
    band = 0  # a chain's bands are there in any case
    if isinstance(layer, Convolution):
        band = in_place.band_bytes(layer.window)
    if isinstance(layer, Addition):
        band = in_place.chunk(layer.output.elements)
    return band - layer.output.elements


def live_bytes(network: Network) -> list[int]:
    """Sum the bytes that live at each layer when none is in place; inputs live to their last reader."""
    sizes = {spec.name: spec.byte_size for spec in network.inputs}
    first = dict.fromkeys(sizes, 0)
    last = dict.fromkeys((spec.name for spec in network.outputs), len(network.layers) - 1)
    for i, layer in enumerate(network.layers):
        sizes[layer.output.name] = layer.output.elements * (4 if layer.output.dtype == "float32" else 1)
        first.setdefault(layer.output.name, i)
        for value in layer.inputs:
            last[value.name] = max(last.get(value.name, 0), i)
    return [
        sum(size for name, size in sizes.items() if first[name] <= i <= last.get(name, first[name]))
        + (layer.plan.room if isinstance(layer, Chain) else 0)
        for i, layer in enumerate(network.layers)
    ]
