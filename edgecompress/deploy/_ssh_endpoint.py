"""Where a board answers SSH, and with which keys: what an address and the user's configuration come to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from edgecompress.core.errors import UsageError

SSH_PORT = 22
DEFAULT_FOLDER = "edgecompress"
HINT = "an address looks like ssh://pi@raspberrypi.local, ssh://pi@[fe80::1]:2222/~/models or ssh://ALIAS"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One host that answers SSH. Nothing in it was looked up on the network yet.

    `identities` are private keys to offer; none means the user's own ~/.ssh/id_*. The first of `known_hosts` is the one
    that `trust` adds to. `folder` on the board is absolute or relative to the user's home. `agent` says whether the SSH
    agent's keys are offered too; `key_name` is what the host is called in known_hosts when that is another name
    (HostKeyAlias), and `alias` what the user calls it where ~/.ssh/config says what that means.
    """

    host: str
    port: int = SSH_PORT
    user: str
    identities: tuple[Path, ...] = ()
    known_hosts: tuple[Path, ...]
    jump: Endpoint | None = None
    folder: str = DEFAULT_FOLDER
    agent: bool = True
    key_name: str | None = None
    alias: str | None = None

    @property
    def shown(self) -> str:
        """The endpoint in words: user, host and, when it is not 22, port."""
        return f"{self.user}@{host_and_port(self.host, self.port)}"

    @property
    def url(self) -> str:
        """The address that reaches it again."""
        host = self.alias or self.host
        bracketed = f"[{host}]" if ":" in host else host
        return f"ssh://{self.user}@{bracketed}" + ("" if self.port == SSH_PORT else f":{self.port}")

    @property
    def known_as(self) -> str:
        """The name of its key in known_hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
        return self.key_name or host_and_port(self.host.lower(), self.port)


@dataclass(frozen=True, kw_only=True)
class Address:
    """The parts of `[user@]host[:port][/path]`."""

    user: str | None
    host: str
    port: int | None
    folder: str = DEFAULT_FOLDER


def host_and_port(host: str, port: int) -> str:
    """Write a host as known_hosts does: bare on port 22, else `[host]:port`."""
    return host if port == SSH_PORT else f"[{host}]:{port}"


def parse_address(text: str) -> Address:
    """Read what stands behind `ssh://`. Raises UsageError when there is no host or no sensible port.

    `/~/models` is a folder under the user's home, `/srv/models` an absolute one; `%0A` and the like stand for bytes.
    """
    authority, slash, path = text.partition("/")
    user, at, rest = authority.rpartition("@")
    host, port = _split_port(rest, text)
    if not host or (at and not user):
        raise UsageError(f"ssh://{text} names no {'user' if host else 'host'}", hint=HINT)
    return Address(user=user or None, host=host, port=port, folder=_folder(slash + path, text))


def _split_port(text: str, whole: str) -> tuple[str, int | None]:
    host, port = text, ""
    if text.startswith("["):
        host, _, after = text[1:].partition("]")
        if after and not after.startswith(":"):
            raise UsageError(f"ssh://{whole}: {after!r} cannot follow the host", hint=HINT)
        port = after[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not port:
        return host, None
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise UsageError(f"ssh://{whole}: {port!r} is no port; a port is 1 to 65535", hint=HINT)
    return host, int(port)


def _folder(path: str, whole: str) -> str:
    folder = os.fsdecode(unquote_to_bytes(os.fsencode(path))).rstrip("/")
    if "\0" in folder:
        raise UsageError(f"ssh://{whole}: a folder's name cannot hold a zero byte", hint=HINT)
    if folder in ("", "/~"):
        return DEFAULT_FOLDER
    return folder.removeprefix("/~/") if folder.startswith("/~/") else folder
