"""Packages that only some of the work needs: an optional extra of this package brings them."""

from __future__ import annotations

import importlib.util

from edgecompress.core.errors import MissingToolError


def require_training(module: str = "torch") -> None:
    """Raise MissingToolError when the Python package `module`, one of those that training needs, is not installed."""
    if importlib.util.find_spec(module) is None:
        raise MissingToolError(
            f"training needs the Python package {module}, which is not installed",
            hint="pip install 'edgecompress[train]'",
        )
