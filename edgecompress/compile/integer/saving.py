"""How layers may save flash: their outputs in parts, whose tables or weights are unpacked into RAM (compile/parts)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgecompress.compile.integer import in_place
from edgecompress.compile.integer.layers import Network, Product
from edgecompress.compile.kernels.codebook_product import Allowed

LEAST_ROOM = 5120
"""Bytes of RAM that unpacked weights may take at any layer; more where the network needs more at another one."""


@dataclass(frozen=True, kw_only=True)
class Saving:
    """What is allowed to save flash.

    `small`: also what costs many instructions, on matrix products. `least_pixels`: see `emit`; None for no codebooks.
    `free_bytes` are the RAM that is free while a layer runs, by the name of its output.
    """

    small: bool = False
    least_pixels: int | None = None
    free_bytes: Mapping[str, int] = field(default_factory=dict)

    def codebook(self, layer: Product) -> Allowed | None:
        """Say whether a layer may keep indices, and the RAM that it may unpack them into."""
        if self.least_pixels is None:
            return None
        room = max(self.free_bytes.get(layer.output.name, 0), LEAST_ROOM)
        return Allowed(least_pixels=self.least_pixels, room=room)


NOTHING = Saving()
"""No layer saves flash."""


def choose(network: Network, least_pixels: int | None, *, small: bool) -> Saving:
    """Work out what a network's layers may do."""
    live = in_place.live_bytes(network) if least_pixels is not None else []
    free = {layer.output.name: max(live) - bytes_ for layer, bytes_ in zip(network.layers, live, strict=False)}
    return Saving(small=small, least_pixels=least_pixels, free_bytes=free)
