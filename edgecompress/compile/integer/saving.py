"""What layers of weighted sums are to save, and the RAM that each may use for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edgecompress.compile.integer import in_place
from edgecompress.compile.integer.layers import Network, Product
from edgecompress.compile.kernels.product_choice import Allowed, Currency
from edgecompress.core.values import Optimize

LEAST_ROOM = 5120
"""Bytes of RAM that any layer may unpack weights into; more where the network needs more at another one."""
LEAST_PIXELS = 48
"""In mode balanced, layers of fewer pixels do not unpack weights: that would be more than 5 % of their instructions."""


@dataclass(frozen=True, kw_only=True)
class Saving:
    """What a program saves; `least_pixels` as in Allowed. `free_bytes`: of RAM, by the name of a layer's output."""

    saves: Currency
    least_pixels: int | None = None
    free_bytes: Mapping[str, int] = field(default_factory=dict)

    def of(self, layer: Product) -> Allowed:
        """Say what a layer may do."""
        room = max(self.free_bytes.get(layer.output.name, 0), LEAST_ROOM)
        return Allowed(saves=self.saves, room=room, least_pixels=self.least_pixels)

    def within(self, network: Network) -> Saving:
        """Let each layer use what RAM is free while it runs."""
        live = in_place.live_bytes(network)
        free = {layer.output.name: max(live) - bytes_ for layer, bytes_ in zip(network.layers, live, strict=True)}
        return replace(self, free_bytes=free)


FLASH = Saving(saves="flash", least_pixels=1)
MODES: Mapping[Optimize, Saving] = {
    "size": FLASH,
    "balanced": Saving(saves="both", least_pixels=LEAST_PIXELS),
    "speed": Saving(saves="instructions"),
}
"""Mode ram has no entry: its layers take the kernels that need the least of it."""
