"""What is exported: a compiled network, the target that it was compiled for, and the name of its files and symbols."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from edgecompress.core.bundle import Bundle, Manifest
from edgecompress.core.errors import ConfigError
from edgecompress.core.target import Target
from edgecompress.export import _names

VERSION = "1.0.0"
"""Of every exported library: its build id tells one from another."""

LONGEST_NAME = 80
"""PlatformIO and CMSIS-Pack take descriptions of about 255 characters."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """A bundle on its way out."""

    bundle: Bundle
    target: Target

    @property
    def manifest(self) -> Manifest:
        """What the bundle says about itself."""
        return self.bundle.manifest

    @property
    def name(self) -> str:
        """What files and symbols begin with."""
        return _names.identifier(self.manifest.name)

    @property
    def short_name(self) -> str:
        """The network's own name, as far as descriptions have room for it."""
        return self.manifest.name[:LONGEST_NAME]

    @property
    def sentence(self) -> str:
        """What it is."""
        return f"The neural network {self.short_name} in C, compiled for {self.target.name[:LONGEST_NAME]}"

    @property
    def urn(self) -> str:
        """The build id as a URI (RFC 9562, 4): formats that ask for the address of a page get this."""
        return UUID(self.manifest.build_id).urn

    def require_microcontroller(self, format_name: str) -> None:
        """Raise ConfigError for a network that was compiled for Linux."""
        if self.target.system == "linux":
            raise ConfigError(
                f"{self.manifest.name} was compiled for {self.target.name}, which runs Linux; "
                f"{format_name} is for microcontrollers",
                hint="export it --as cmake or --as make, or compile it for a microcontroller",
            )
