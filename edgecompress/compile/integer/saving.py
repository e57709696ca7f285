"""What layers of weighted sums are to save, and the RAM that each may use for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edgecompress.compile.integer import in_place
from edgecompress.compile.integer.layers import Network, Product
from edgecompress.compile.kernels.product_choice import Allowed, Currency
from edgecompress.core.values import Optimize

LEAST_ROOM = 3072
"""Bytes of RAM that any layer may use; more where the network needs more at another one."""
SHARE_OF_PEAK = 1 / 3
"""So may any layer use this share of the network's largest sum of live bytes."""
RESERVED = 4096
"""Bytes of RAM that are left to the runtime, the stack and what other workspaces take."""
LEAST_PIXELS = 48
"""In mode balanced, layers of fewer pixels do not unpack weights: that would be more than 5 % of their instructions."""


@dataclass(frozen=True, kw_only=True)
class Saving:
    """What a program saves; `least_pixels` as in Allowed. `room_bytes`: of RAM, by the name of a layer's output."""

    saves: Currency
    least_pixels: int | None = None
    room_bytes: Mapping[str, int] = field(default_factory=dict)

    def of(self, layer: Product) -> Allowed:
        """Say what a layer may do."""
        room = self.room_bytes.get(layer.output.name, LEAST_ROOM)
        return Allowed(saves=self.saves, room=room, least_pixels=self.least_pixels)

    def within(self, network: Network, ram_bytes: int | None) -> Saving:
        """Let each layer use the RAM that is free while it runs, and some more where the target has it."""
        live = in_place.live_bytes(network)
        peak = max(live, default=0)
        more = max(LEAST_ROOM, int(peak * SHARE_OF_PEAK))
        most = more + peak if ram_bytes is None else ram_bytes - RESERVED
        rooms = {
            layer.output.name: max(peak - bytes_, min(more, most - bytes_))
            for layer, bytes_ in zip(network.layers, live, strict=True)
        }
        return replace(self, room_bytes=rooms)


FLASH = Saving(saves="flash", least_pixels=1)
MODES: Mapping[Optimize, Saving] = {
    "size": FLASH,
    "balanced": Saving(saves="both", least_pixels=LEAST_PIXELS),
    "speed": Saving(saves="instructions"),
}
"""Mode ram has no entry: its layers take the kernels that need the least of it."""
