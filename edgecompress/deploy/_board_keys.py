"""The keys of a virtual board, made anew each time it is switched on: whoever has not read its folder cannot log in."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgecompress.core import tools
from edgecompress.core.errors import UnreachableError
from edgecompress.deploy._ssh_endpoint import Endpoint, host_and_port

HOST = "127.0.0.1"
KEY_TIMEOUT_S = 30.0
BANNER = b"SSH-2.0"
BANNER_TIMEOUT_S = 1.0
PAUSE_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Two pairs of keys in a folder that only its owner can enter: the board's own, and that of its one visitor."""

    folder: Path

    @property
    def host_key(self) -> Path:
        """The private key by which the board proves itself; the public one lies beside it."""
        return self.folder / "host_key"

    @property
    def visitor_key(self) -> Path:
        """The private key that the board lets in."""
        return self.folder / "visitor_key"

    @property
    def authorized(self) -> Path:
        """The public key that the board lets in: its authorized_keys."""
        return self.folder / "visitor_key.pub"

    def endpoint(self, user: str, port: int, folder: str) -> Endpoint:
        """Say how the board on that port of this machine is reached, and write down its key as known."""
        known = self.folder / "known_hosts"
        known.write_text(f"{host_and_port(HOST, port)} {self.folder.joinpath('host_key.pub').read_text()}")
        return Endpoint(
            host=HOST,
            port=port,
            user=user,
            identities=(self.visitor_key,),
            known_hosts=(known,),
            folder=folder,
            agent=False,
        )


def make_keys(folder: Path) -> Keys:
    """Make both pairs. Raises MissingToolError without ssh-keygen."""
    keys = Keys(folder=folder)
    for path in (keys.host_key, keys.visitor_key):
        tools.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], timeout_s=KEY_TIMEOUT_S)
    return keys


def free_port() -> int:
    """Find a port of this machine that nobody uses. Whoever takes it in between shows another host key."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def wait_until_it_answers(port: int, *, timeout_s: float, still_runs: Callable[[], None], name: str) -> None:
    """Wait for an SSH server's first bytes.

    `still_runs` raises when what serves the port has ended. Raises UnreachableError after `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while not _shows_banner(port):
        still_runs()
        if time.monotonic() > deadline:
            raise UnreachableError(
                f"{name} did not answer within {timeout_s:g} s", hint="is this machine very busy? try again"
            )
        time.sleep(PAUSE_S)


def _shows_banner(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=BANNER_TIMEOUT_S) as connection:
            return connection.recv(len(BANNER)) == BANNER
    except OSError:
        return False
