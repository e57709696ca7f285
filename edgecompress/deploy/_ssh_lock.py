"""A lock on the board against two deployers: a symbolic link whose target says who holds it.

symlink(2) fails when the name exists and appears whole or not at all, so that a lock always tells its holder. A lock
left behind is broken only when it is certain that its holder has ended: a process of this very machine that is gone.
"""

from __future__ import annotations

import getpass
import logging
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edgecompress.core.errors import StorageError, UnreachableError
from edgecompress.deploy._ssh_files import Files, shown

logger = logging.getLogger(__name__)

SEPARATOR = "|"
ATTEMPTS = 3

_at_work: set[str] = set()
"""The tokens of this process's own deployments that are not over."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A process that deploys. `system` tells machines and containers apart, `started` processes of the same number."""

    user: str
    host: str
    system: str
    pid: int
    started: str
    since: str
    token: str

    @classmethod
    def this_process(cls) -> Holder:
        """Begin a deployment of this process, with a token that no other has. It ends with `retire`."""
        holder = cls(
            user=getpass.getuser(),
            host=socket.gethostname(),
            system=_system(),
            pid=os.getpid(),
            started=_started(os.getpid()) or "",
            since=datetime.now(UTC).isoformat(timespec="seconds"),
            token=secrets.token_hex(8),
        )
        _at_work.add(holder.token)
        return holder

    def retire(self) -> None:
        """Say that this deployment is over; a lock that it could not remove may be broken."""
        _at_work.discard(self.token)

    @classmethod
    def read(cls, text: str) -> Holder | None:
        """Read what `write` wrote; None for anything else."""
        parts = text.split(SEPARATOR)
        if len(parts) != 7 or not parts[3].isdigit():
            return None
        user, host, system, pid, started, since, token = parts
        return cls(user=user, host=host, system=system, pid=int(pid), started=started, since=since, token=token)

    def write(self) -> str:
        """Write the holder in one line."""
        parts = (self.user, self.host, self.system, str(self.pid), self.started, self.since, self.token)
        return SEPARATOR.join(part.replace(SEPARATOR, "_") for part in parts)

    @property
    def has_ended(self) -> bool:
        """True when it is certain: it ran on this machine, since its last start, and its process is gone or done."""
        here = (self.host, self.system) == (socket.gethostname(), _system())
        if not here or not self.system:
            return False
        if _started(self.pid) != self.started:
            return True
        return self.pid == os.getpid() and self.token not in _at_work


class Lock:
    """Held by one holder from `take` to `release`; another connection of the same holder still holds it."""

    def __init__(self, files: Files, path: bytes, holder: Holder) -> None:
        self._files = files
        self._path = path
        self.holder = holder

    def take(self) -> None:
        """Take the lock. Raises UnreachableError, naming the holder, when another deployment is under way."""
        for _ in range(ATTEMPTS):
            refusal = self._try()
            if refusal is None:
                return
            text = self._files.link_target(self._path)
            if text is None:  # it was released meanwhile, or the folder cannot be written
                continue
            holder = Holder.read(text)
            if holder is not None and holder.token == self.holder.token:
                return
            if holder is None or not holder.has_ended:
                raise self._held_by(holder)
            logger.warning("the deployment of process %d on this machine has ended: its lock is removed", holder.pid)
            self._files.remove(self._path)
        assert refusal is not None
        raise refusal

    def check(self) -> None:
        """Raise UnreachableError when somebody removed the lock: another deployment may be under way."""
        if not self.is_held():
            raise UnreachableError(
                f"the lock {shown(self._path)} was taken away meanwhile", hint="another deployment went on: try again"
            )

    def release(self) -> None:
        """Let others deploy; harmless when it is not held."""
        if self.is_held():
            self._files.remove(self._path)

    def is_held(self) -> bool:
        """True from `take` on, until it is released or somebody takes it away."""
        holder = Holder.read(self._files.link_target(self._path) or "")
        return holder is not None and holder.token == self.holder.token

    def _try(self) -> StorageError | None:
        try:
            self._files.link(self._path, self.holder.write().encode())
        except StorageError as error:
            return error
        return None

    def _held_by(self, holder: Holder | None) -> UnreachableError:
        return UnreachableError(
            f"another deployment is under way: {_describe(holder)} holds {shown(self._path)}",
            hint="try again when it is done; if that process is gone for certain: "
            f"edgecompress devices unlock {self._files.url}",
        )


@contextmanager
def held(lock: Lock) -> Iterator[None]:
    """Take a lock for a while."""
    lock.take()
    try:
        yield
    finally:
        lock.release()
        lock.holder.retire()


def unlock(files: Files, path: bytes) -> str | None:
    """Remove a lock whoever holds it; return who it was, None when there was no lock."""
    text = files.link_target(path)
    if text is None:
        return None
    files.remove(path)
    return _describe(Holder.read(text))


def _describe(holder: Holder | None) -> str:
    if holder is None:
        return "somebody"
    return f"process {holder.pid} of {holder.user} on {holder.host}, since {holder.since},"


def _system() -> str:
    """What tells this machine, its start and its container from others (proc(5), namespaces(7)); empty when unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}-{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process was started, in ticks since the machine's start (proc(5), /proc/PID/stat, field 22)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None
