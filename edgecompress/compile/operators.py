"""Which operators can be compiled."""

from __future__ import annotations

from edgecompress.core.values import Model


def check(model: Model) -> None:
    """Raise ModelError that lists every operator that cannot be compiled."""
