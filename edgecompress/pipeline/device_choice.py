"""Which device a stage uses, and how it is reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgecompress.core import plugins

if TYPE_CHECKING:
    from edgecompress.core.device import Device
    from edgecompress.core.target import Target


@dataclass(frozen=True, kw_only=True)
class DeviceChoice:
    """Which device to use instead of the target's own link, and what to hand to an emulator."""

    address: str | None = None
    emulator_args: tuple[str, ...] = ()

    def connect(self, chosen: Target) -> Device:
        """Reach the device: by the target's own link, or by an address like `qemu://` or `local://`."""
        link, _, address = (self.address or f"{chosen.link}://").partition("://")
        module = plugins.find("deploy", link, where="--device" if self.address else f"target {chosen.name}: link")
        device: Device = module.connect(chosen, address or None, emulator_args=self.emulator_args)
        return device
