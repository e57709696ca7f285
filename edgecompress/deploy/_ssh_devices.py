"""What can be done to a board behind SSH besides deploying to it: trust it, look at it, go back to an older version."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from edgecompress.core.errors import UsageError
from edgecompress.deploy import _ssh_config
from edgecompress.deploy import _ssh_known_hosts as known_hosts
from edgecompress.deploy._probe import Facts, probe
from edgecompress.deploy._ssh_connection import read_host_key
from edgecompress.deploy._ssh_endpoint import HINT
from edgecompress.deploy._ssh_host_key import refuse_unless_known
from edgecompress.deploy._ssh_known_hosts import HostKey, Verdict
from edgecompress.deploy._ssh_lock import Holder, Lock, held, unlock
from edgecompress.deploy._ssh_models import ModelFolder, Version, folder_name
from edgecompress.deploy._ssh_site import Site


@dataclass(frozen=True, kw_only=True)
class OfferedKey:
    """The key that a host shows, under its name in known_hosts, and whether it is known already."""

    host: str
    key: HostKey
    is_known: bool


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """A model's version that was made current, and the one that it replaced."""

    model: str
    current: Version
    replaced: Version


class RemoteBoard:
    """A board at an `ssh://` address. Nothing is connected before it is asked."""

    def __init__(self, address: str) -> None:
        """Raises UsageError for another address, ConfigError when ~/.ssh/config is damaged."""
        scheme, separator, rest = address.partition("://")
        if scheme != "ssh" or not separator:
            raise UsageError(f"{address!r} is no SSH address", hint=HINT)
        self._endpoint = _ssh_config.endpoint(rest)

    def offered_key(self) -> OfferedKey:
        """Ask the host for its key. Raises WrongDeviceError when another is known for it, or this one is revoked."""
        key = read_host_key(self._endpoint)
        lines = known_hosts.lines_for(self._endpoint.known_as, self._endpoint.known_hosts)
        is_known = known_hosts.judge(lines, key) is not Verdict.UNKNOWN
        if is_known:
            refuse_unless_known(self._endpoint, key)
        return OfferedKey(host=self._endpoint.known_as, key=key, is_known=is_known)

    def trust(self, offered: OfferedKey) -> str:
        """Add the key to the user's known_hosts; return that file's path."""
        path = self._endpoint.known_hosts[0]
        known_hosts.add(path, offered.host, offered.key)
        return str(path)

    def look(self) -> Facts:
        """Probe the board as a deployment would."""
        with self._site() as site:
            return probe(site.board, os.fsdecode(site.folder))

    def versions(self) -> dict[str, tuple[Version, ...]]:
        """List the models in the address's folder, each with its versions, newest first."""
        with self._site() as site:
            return {name: ModelFolder(site, name.encode()).versions() for name in _models(site)}

    def roll_back(self, model: str | None) -> Rollback:
        """Make a model's version before the current one current. `model` may be left out where there is only one."""
        with self._site() as site:
            name = _choose(site, model)
            folder = ModelFolder(site, name.encode())
            with held(Lock(site.files, folder.lock_path, Holder.this_process())):
                current, replaced = folder.roll_back()
            return Rollback(model=name, current=current, replaced=replaced)

    def remove_locks(self, model: str | None) -> dict[str, str]:
        """Remove the lock of a model, or of all; return who held them."""
        with self._site() as site:
            names = _models(site) if model is None else (_choose(site, model),)
            holders = {name: unlock(site.files, ModelFolder(site, name.encode()).lock_path) for name in names}
            return {name: holder for name, holder in holders.items() if holder is not None}

    @contextmanager
    def _site(self) -> Iterator[Site]:
        site = Site.open(self._endpoint)
        try:
            yield site
        finally:
            site.close()


def _models(site: Site) -> tuple[str, ...]:
    names = site.files.names(site.folder)
    return tuple(name for name in names if site.files.names(site.folder + b"/" + name.encode() + b"/versions"))


def _choose(site: Site, model: str | None) -> str:
    there = _models(site)
    listed = f"there is: {', '.join(there)}" if there else "nothing was deployed to this folder"
    if model is None:
        if len(there) == 1:
            return there[0]
        raise UsageError(f"{site.shown} has {len(there)} models in that folder: which one?", hint=f"--model; {listed}")
    name = folder_name(model).decode()
    if name not in there:
        raise UsageError(f"{site.shown} has no model {model!r} in that folder", hint=listed)
    return name
