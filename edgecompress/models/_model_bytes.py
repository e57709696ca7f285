"""The bytes of a model file, of any format."""

from __future__ import annotations

from pathlib import Path

from edgecompress.core.errors import ModelError

FILE_BYTES_LIMIT = 2**31 - 1
"""Protobuf's own limit for one message, and that of a flatbuffer."""


def read_bytes(path: Path) -> bytes:
    """Read a file whole. Raises ModelError for what is no plain file, too large, or cannot be read."""
    if path.exists() and not path.is_file():
        raise ModelError(f"model {path} is not a file", hint=f"name the {path.suffix} file itself")
    try:
        size = path.stat().st_size
        if size > FILE_BYTES_LIMIT:
            raise ModelError(
                f"{path} has {size:,} bytes; a model may have {FILE_BYTES_LIMIT:,}",
                hint="no device takes a network of that size; export a smaller one",
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"model {path} does not exist") from error
    except OSError as error:
        raise ModelError(f"model {path} cannot be read: {error.strerror}") from error
