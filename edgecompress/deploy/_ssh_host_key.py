"""The rule about host keys: no key that is not known already is ever accepted."""

from __future__ import annotations

from typing import Any

from edgecompress.core.errors import UnreachableError, WrongDeviceError
from edgecompress.deploy import _ssh_known_hosts as known_hosts
from edgecompress.deploy._ssh_endpoint import Endpoint
from edgecompress.deploy._ssh_known_hosts import HostKey, Verdict


class OnlyKnownKeys:
    """What paramiko.RejectPolicy does, by deploy/_ssh_known_hosts' reading of the files: no key is ever accepted anew.

    The client itself is given no known keys, so that every key comes here.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def missing_host_key(self, client: Any, name: str, key: Any) -> None:
        """Raise unless the key is known: before any login, so that nothing was told to the other side."""
        del client, name
        refuse_unless_known(self._endpoint, HostKey(kind=key.get_name(), data=key.asbytes()))


def refuse_unless_known(endpoint: Endpoint, key: HostKey) -> None:
    """Raise UnreachableError for an unknown key, WrongDeviceError for another than the known one or a revoked one."""
    lines = known_hosts.lines_for(endpoint.known_as, endpoint.known_hosts)
    verdict = known_hosts.judge(lines, key)
    shown = f"{endpoint.known_as} shows the key {key.kind} {key.fingerprint}"
    if verdict is Verdict.UNKNOWN:
        raise UnreachableError(
            f"{shown}, which is not known",
            hint=f"compare it with the board's, then: edgecompress devices trust {endpoint.url}",
        )
    if verdict is Verdict.REVOKED:
        where = next(line for line in lines if line.revoked and line.key == key)
        raise WrongDeviceError(
            f"{shown}, which is revoked by {where.path}:{where.number}", hint="do not connect: somebody holds this key"
        )
    if verdict is Verdict.CHANGED:
        where = next(line for line in lines if not line.revoked)
        raise WrongDeviceError(
            f"{shown}; the known one is {where.key.kind} {where.key.fingerprint} ({where.path}:{where.number})",
            hint="another machine answers at this address: the board's system was installed anew, or somebody sits in "
            f"between. Only if you know why: ssh-keygen -R '{endpoint.known_as}' -f {where.path}, "
            f"then edgecompress devices trust {endpoint.url}",
        )
