"""The keys that sign what is installed into slots."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecompress.core.slot_key import PublicKey
    from edgecompress.deploy._signing_key import SigningKey


def new_key(path: Path, passphrase: str | None, *, replace: bool) -> tuple[PublicKey, Path]:
    """Make a key; return its public half and where that lies."""
    from edgecompress.deploy import _signing_key

    return _signing_key.create(path, passphrase, replace=replace), _signing_key.public_path(path)


def read_key(path: Path, ask: Callable[[], str]) -> SigningKey:
    """Read a private key; `ask` is called when it has a passphrase."""
    from edgecompress.deploy import _signing_key

    return _signing_key.load(path, ask)


def public_half(path: Path, ask: Callable[[], str]) -> PublicKey:
    """Read the public key of a file of either kind; `ask` is called when it is a private one with a passphrase."""
    from edgecompress.core import slot_key
    from edgecompress.core.errors import ConfigError

    try:
        return slot_key.load(path)
    except ConfigError:
        if path.suffix == ".pub":
            raise
    return read_key(path, ask).public
