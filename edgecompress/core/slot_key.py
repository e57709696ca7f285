"""The public half of the key that signs what is installed into slots: what a firmware is built with.

The file is PEM (RFC 7468) around a SubjectPublicKeyInfo (RFC 8410), as `edgecompress keys new` and openssl write it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from pathlib import Path

from edgecompress.core.errors import ConfigError

KEY_BYTES = 32
LARGEST_FILE = 4096
PREFIX = bytes.fromhex("302a300506032b6570032100")
"""RFC 8410, section 4: the DER of a SubjectPublicKeyInfo with the algorithm id-Ed25519, up to the key's own bytes."""

_BEGIN, _END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """An Ed25519 public key: 32 bytes."""

    raw: bytes

    @property
    def fingerprint(self) -> str:
        """How people tell keys apart: the SHA-256 of the 32 bytes, as ssh writes it."""
        digest = hashlib.sha256(self.raw).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def pem(self) -> str:
        """The text of its file."""
        return f"{_BEGIN}\n{base64.b64encode(PREFIX + self.raw).decode()}\n{_END}\n"


def load(path: Path) -> PublicKey:
    """Read a public key. Raises ConfigError when the file is not there, or holds anything else."""
    hint = f"`edgecompress keys new KEY` makes a key and, beside it, KEY.pub; {path} must be such a KEY.pub"
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE).decode("ascii")
    except OSError as error:
        raise ConfigError(f"cannot read the public key {path}: {error.strerror}", hint=hint) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no public key: it is no text", hint=hint) from error
    if "PRIVATE KEY" in text:
        raise ConfigError(f"{path} is a private key", hint=f"give the public one that lies beside it: {path}.pub")
    lines = [line.strip() for line in text.strip().splitlines()]
    if not lines or lines[0] != _BEGIN or lines[-1] != _END:
        raise ConfigError(f"{path} is no public key: it does not begin with {_BEGIN}", hint=hint)
    return PublicKey(raw=_key_of("".join(lines[1:-1]), path, hint))


def _key_of(code: str, path: Path, hint: str) -> bytes:
    try:
        der = base64.b64decode(code, validate=True)
    except binascii.Error as error:
        raise ConfigError(f"{path} is damaged: {error}", hint=hint) from error
    if len(der) != len(PREFIX) + KEY_BYTES or not der.startswith(PREFIX):
        raise ConfigError(f"{path} holds a public key of another kind than Ed25519", hint=hint)
    return der[len(PREFIX) :]
