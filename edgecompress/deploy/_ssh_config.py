"""What ~/.ssh/config and the system's ssh_config say about a host (ssh_config(5))."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgecompress.core.errors import ConfigError
from edgecompress.deploy._ssh_endpoint import SSH_PORT, Address, Endpoint, parse_address

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
USER_KNOWN_HOSTS = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
SYSTEM_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
DEEPEST_INCLUDE = 16
MOST_JUMPS = 8

_BLOCK = re.compile(r"\s*(host|match)\b", re.IGNORECASE)
_INCLUDE = re.compile(r"\s*include\s*[\s=]\s*(.+?)\s*$", re.IGNORECASE)


def endpoint(address: str, *, system_config: Path = SYSTEM_CONFIG) -> Endpoint:
    """Return what stands behind `ssh://ADDRESS`: the address itself first, then the user's file, then the system's.

    Raises UsageError for a malformed address, ConfigError for a damaged configuration.
    """
    config = _read_config(Path("~/.ssh/config").expanduser(), system_config)
    return _endpoint(config, parse_address(address), seen=())


def _endpoint(config: Any, address: Address, seen: tuple[str, ...], *, jumps: bool = True) -> Endpoint:
    if address.host in seen or len(seen) == MOST_JUMPS:
        raise ConfigError(
            f"~/.ssh/config: ProxyJump leads from {' to '.join([*seen, address.host])}",
            hint=f"a chain of jump hosts must end, after at most {MOST_JUMPS}",
        )
    options = _lookup(config, address.host)
    return Endpoint(
        host=options["hostname"],
        port=address.port or int(options.get("port", SSH_PORT)),
        user=address.user or options.get("user") or getpass.getuser(),
        identities=tuple(Path(name).expanduser() for name in options.get("identityfile", ())),
        known_hosts=_known_hosts(options),
        jump=_jump(config, options, (*seen, address.host)) if jumps else None,
        folder=address.folder,
        agent=options.get("identitiesonly", "no") != "yes",
        key_name=options.get("hostkeyalias"),
        alias=address.host,
    )


def _jump(config: Any, options: dict[str, Any], seen: tuple[str, ...]) -> Endpoint | None:
    """Return the last jump host, reached through the ones before it; the first one's own jump host counts too."""
    listed = options.get("proxyjump") or "none"
    if listed.lower() == "none":
        return None
    first, *others = (parse_address(name.strip().removeprefix("ssh://")) for name in listed.split(","))
    jump = _endpoint(config, first, seen)
    for each in others:
        hop = _endpoint(config, each, seen, jumps=False)
        jump = Endpoint(**{**vars(hop), "jump": jump})
    return jump


def _lookup(config: Any, host: str) -> dict[str, Any]:
    options: dict[str, Any] = dict(config.lookup(host))
    if options.get("proxycommand"):
        raise ConfigError(f"~/.ssh/config: {host} has a ProxyCommand", hint="only ProxyJump is understood: use that")
    return options


def _known_hosts(options: dict[str, Any]) -> tuple[Path, ...]:
    users = options.get("userknownhostsfile", USER_KNOWN_HOSTS)
    systems = options.get("globalknownhostsfile", SYSTEM_KNOWN_HOSTS)
    return tuple(Path(name).expanduser() for name in f"{users} {systems}".split() if name.lower() != "none")


def _read_config(*paths: Path) -> Any:
    import paramiko

    config = paramiko.SSHConfig()
    for path in paths:
        try:
            config.parse(list(_lines(path, "Host *", 0)))
        except paramiko.SSHException as error:
            raise ConfigError(f"{path} is damaged: {error}") from error
    return config


def _lines(path: Path, block: str, depth: int) -> Iterator[str]:
    """Give a file's lines with `Include` resolved; the block in which that stands goes on behind it."""
    if depth == DEEPEST_INCLUDE:
        raise ConfigError(f"{path}: Include is nested more than {DEEPEST_INCLUDE} deep", hint="does it include itself?")
    try:
        text = path.read_text(errors="surrogateescape")
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    for line in text.splitlines():
        include = _INCLUDE.match(line)
        if include is None:
            block = line if _BLOCK.match(line) else block
            yield line
            continue
        for pattern in include[1].split():
            for included in _included(pattern.strip('"'), path.parent):
                yield from _lines(included, block, depth + 1)
                yield block


def _included(pattern: str, beside: Path) -> list[Path]:
    whole = os.path.expanduser(pattern)  # noqa: PTH111 (a pattern, not a path)
    absolute = whole if whole.startswith("/") else str(beside / whole)
    return sorted(Path("/").glob(absolute.lstrip("/")))
