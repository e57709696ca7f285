"""Samples as they were read, before anything was checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgecompress.core.values import Array

BYTES_LIMIT = 4 * 2**30
"""More bytes of samples are refused: a few bytes of zip can ask for gigabytes."""


@dataclass(frozen=True, kw_only=True)
class Raw:
    """An array for every input, by its name, and the labels or None."""

    inputs: Mapping[str, Array]
    labels: Array | None
