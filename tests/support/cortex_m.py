"""The Cortex-M targets."""

from __future__ import annotations

from edgecompress.core import target as targets

CORES = tuple(name for name in targets.names() if targets.load(name).system == "bare")
