"""known_hosts files, read as OpenSSH reads them (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).

paramiko's own reader passes over `@revoked` lines, patterns and second keys of a type: a revoked key would be accepted.
Lines of certificate authorities (`@cert-authority`) are passed over here too, so that such a host is an unknown one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edgecompress.core.errors import StorageError

HASHED = "|1|"
SALT_BYTES = 20


class Verdict(Enum):
    """What known_hosts says of a key that a host shows."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(frozen=True, kw_only=True)
class HostKey:
    """A public key: its type (`ssh-ed25519`) and its bytes on the wire."""

    kind: str
    data: bytes

    @property
    def fingerprint(self) -> str:
        """The fingerprint that `ssh-keygen -l` prints."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.data).digest()).decode().rstrip("=")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One key of one file, for the hosts that its patterns name."""

    path: Path
    number: int
    revoked: bool
    patterns: tuple[str, ...]
    key: HostKey

    def names(self, host: str) -> bool:
        """True when a pattern names the host and none excludes it."""
        excluded = any(_matches(each[1:], host) for each in self.patterns if each.startswith("!"))
        return not excluded and any(_matches(each, host) for each in self.patterns if not each.startswith("!"))


def lines_for(host: str, files: Sequence[Path]) -> tuple[Line, ...]:
    """Return every line of the files that names the host (as `Endpoint.known_as` does)."""
    return tuple(line for path in files for line in _read(path) if line.names(host))


def judge(lines: Sequence[Line], key: HostKey) -> Verdict:
    """Say what a host's lines mean for the key that it shows."""
    if any(line.revoked and line.key == key for line in lines):
        return Verdict.REVOKED
    valid = [line for line in lines if not line.revoked]
    if any(line.key == key for line in valid):
        return Verdict.KNOWN
    return Verdict.CHANGED if valid else Verdict.UNKNOWN


def add(path: Path, host: str, key: HostKey) -> None:
    """Add a key to a file, which is replaced in one step. The name is hashed when the file's other names are.

    Raises StorageError when the file cannot be written.
    """
    final = path.resolve()
    try:
        final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = final.read_bytes() if final.exists() else b""
        name = _hash(host) if before.startswith(HASHED.encode()) or b"\n|1|" in before else host
        gap = b"" if not before or before.endswith(b"\n") else b"\n"
        line = f"{name} {key.kind} {base64.b64encode(key.data).decode()}\n".encode()
        _replace(final, before + gap + line)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def _replace(path: Path, content: bytes) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        with draft.open("xb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _read(path: Path) -> Iterator[Line]:
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#") or marker not in ("", "@revoked"):
            continue
        try:
            data = base64.b64decode(words[2], validate=True)
        except binascii.Error:
            continue
        patterns = tuple(words[0].split(","))
        yield Line(
            path=path,
            number=number,
            revoked=marker == "@revoked",
            patterns=patterns,
            key=HostKey(kind=words[1], data=data),
        )


def _matches(pattern: str, host: str) -> bool:
    if pattern.startswith(HASHED):
        return _matches_hash(pattern, host)
    wild = re.escape(pattern.lower()).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(wild, host, re.DOTALL) is not None


def _matches_hash(pattern: str, host: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in pattern.removeprefix(HASHED).split("|"))
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(_digest(salt, host), digest)


def _hash(host: str) -> str:
    salt = secrets.token_bytes(SALT_BYTES)
    return f"{HASHED}{base64.b64encode(salt).decode()}|{base64.b64encode(_digest(salt, host)).decode()}"


def _digest(salt: bytes, host: str) -> bytes:
    return hmac.new(salt, host.encode(), hashlib.sha1).digest()
