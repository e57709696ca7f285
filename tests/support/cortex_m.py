"""The Cortex-M cores, by one emulated board of each."""

from __future__ import annotations

from edgecompress.core import target as targets

CORES = tuple(name for name in targets.names() if name == "microbit" or name.startswith(("mps2", "mps3")))
