"""What ships beside the Python code: inside the installed package, or beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

import edgecompress

PACKAGE = Path(edgecompress.__file__).parent


def folder(name: str) -> Path:
    """The folder `targets` or `device_runtime`."""
    packaged = PACKAGE / name
    return packaged if packaged.is_dir() else PACKAGE.parent / name
