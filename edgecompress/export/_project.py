"""What is exported: a compiled network, the target that it was compiled for, and the name of its files and symbols."""

from __future__ import annotations

from dataclasses import dataclass

from edgecompress.core.bundle import Bundle, Manifest
from edgecompress.core.errors import ConfigError
from edgecompress.core.target import Target
from edgecompress.export import _names

VERSION = "1.0.0"
"""Of every exported library: its build id tells one from another."""


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
    def sentence(self) -> str:
        """What it is, on one line."""
        return f"The neural network {self.manifest.name} in C, compiled for {self.target.name}"

    def require_microcontroller(self, format_name: str) -> None:
        """Raise ConfigError for a network that was compiled for Linux."""
        if self.target.system == "linux":
            raise ConfigError(
                f"{self.manifest.name} was compiled for {self.target.name}, which runs Linux; "
                f"{format_name} is for microcontrollers",
                hint="export it --as cmake or --as make, or compile it for a microcontroller",
            )
