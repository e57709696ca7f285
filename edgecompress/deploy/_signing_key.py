"""The private half of the key that signs what is installed into slots: made, kept and used here only."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgecompress.core import files
from edgecompress.core.errors import ConfigError, StorageError
from edgecompress.core.slot_key import PublicKey

PRIVATE_MODE = 0o600
LARGEST_FILE = 16_384

Ask = Callable[[], str]
"""Asks a person for the passphrase of a key."""


class SigningKey:
    """An Ed25519 private key (RFC 8032). Its bytes are shown nowhere."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @property
    def public(self) -> PublicKey:
        """The half that firmwares are built with."""
        raw = self._key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return PublicKey(raw=raw)

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self._key.sign(message)


def public_path(path: Path) -> Path:
    """Where the public half of a key lies: beside it."""
    return path.with_name(f"{path.name}.pub")


def create(path: Path, passphrase: str | None, *, replace: bool) -> PublicKey:
    """Make a key, write it (PKCS #8 in PEM, mode 0600) and its public half beside it.

    Raises ConfigError when one of the files is there and may not be replaced, StorageError as core.files does.
    """
    for there in (path, public_path(path)):
        if there.exists() and not replace:
            raise ConfigError(
                f"{there} exists already",
                hint="a device takes only models of the key that its firmware was built with: keep that key; "
                "--force replaces it",
            )
    key = Ed25519PrivateKey.generate()
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    _write_secret(path, text)
    public = SigningKey(key).public
    files.write_whole(public_path(path), public.pem())
    return public


def load(path: Path, ask: Ask) -> SigningKey:
    """Read a key; `ask` is called when it has a passphrase.

    Raises ConfigError for a file that is not there, may be read by others or is no such key, or for a wrong passphrase.
    """
    text = _read_secret(path)
    try:
        return SigningKey(_as_ed25519(serialization.load_pem_private_key(text, None), path))
    except TypeError:
        passphrase = ask()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no_key(path) from error
    try:
        return SigningKey(_as_ed25519(serialization.load_pem_private_key(text, passphrase.encode()), path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"the passphrase of {path} is wrong, or the file is damaged") from error


def _as_ed25519(key: object, path: Path) -> Ed25519PrivateKey:
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path)
    return key


def _no_key(path: Path) -> ConfigError:
    return ConfigError(
        f"{path} holds no Ed25519 private key", hint="give the file that `edgecompress keys new` made, not its .pub"
    )


def _write_secret(path: Path, text: bytes) -> None:
    """Write a file that never was readable by others, whole or not at all."""
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def _read_secret(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(LARGEST_FILE)
    except OSError as error:
        raise ConfigError(
            f"cannot read the key {path}: {error.strerror}", hint="`edgecompress keys new KEY` makes one"
        ) from error
    if mode & 0o077:
        raise ConfigError(f"{path} may be read by others (mode {mode:04o})", hint=f"chmod 600 {path}")
    return text
