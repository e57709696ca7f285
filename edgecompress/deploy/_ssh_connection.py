"""One authenticated SSH connection to a host whose key is known. Every wait has a deadline."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import paramiko

from edgecompress.core.errors import EdgecompressError, UnreachableError
from edgecompress.deploy import _ssh_known_hosts as known_hosts
from edgecompress.deploy._ssh_command import KILL_GROUP, Words, command, script_command
from edgecompress.deploy._ssh_endpoint import Endpoint
from edgecompress.deploy._ssh_host_key import OnlyKnownKeys
from edgecompress.deploy._ssh_known_hosts import HostKey

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
LOGIN_TIMEOUT_S = 30.0
"""Of each of: the server's banner, the key exchange, the authentication. A Raspberry Pi Zero takes seconds for each."""
CHANNEL_TIMEOUT_S = 15.0
KEEPALIVE_S = 5.0

# paramiko reports every refusal with a traceback of its own thread; our errors say the same in one line.
WIRE_LOG = f"{__name__}.wire"
RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")


class LostConnectionError(UnreachableError):
    """The connection broke, or went silent, after it stood. Trying again may succeed."""


class Connection:
    """Opens channels for files and programs. Closed with `close`."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Connect. Raises UnreachableError, or WrongDeviceError when the host's key is another than the known one."""
        self.endpoint = endpoint
        self._jump = Connection(endpoint.jump) if endpoint.jump is not None else None
        self._client = paramiko.SSHClient()
        self._client.set_missing_host_key_policy(OnlyKnownKeys(endpoint))
        try:
            self._log_in()
        except BaseException:
            self.close()
            raise
        self._client.get_transport().set_keepalive(KEEPALIVE_S)

    @property
    def is_alive(self) -> bool:
        """False once the connection is known to be gone."""
        transport = self._client.get_transport()
        return transport is not None and bool(transport.is_active())

    def open_tunnel(self, host: str, port: int) -> Any:
        """Return a channel that the server connects to a host of its own network."""
        try:
            transport = self._client.get_transport()
            return transport.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=CHANNEL_TIMEOUT_S)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise UnreachableError(
                f"{self.endpoint.shown} cannot connect to {host} port {port}: {_reason(error)}",
                hint="it is the jump host: is the board on, and on its network?",
            ) from error

    def open_sftp(self) -> Any:
        """Return a paramiko.SFTPClient whose waits end after `CHANNEL_TIMEOUT_S`."""
        with self.lost_when_it_breaks():
            try:
                channel = self._open_channel()
                channel.invoke_subsystem("sftp")
                return paramiko.SFTPClient(channel)
            except paramiko.SSHException as error:
                if not self.is_alive:
                    raise
                raise UnreachableError(
                    f"{self.endpoint.shown} offers no SFTP: {_reason(error)}",
                    hint="its sshd_config needs the line: Subsystem sftp internal-sftp",
                ) from error

    def start(self, words: Words) -> Any:
        """Start a program and return its channel; the words never pass a shell (deploy/_ssh_command)."""
        return self.start_command(command(words))

    def start_command(self, text: str) -> Any:
        """Hand a command string to the user's login shell and return its channel."""
        with self.lost_when_it_breaks():
            channel = self._open_channel()
            channel.exec_command(text)
            return channel

    def kill(self, pid: int) -> None:
        """Kill a program that a channel started, and its children. SSH's own signals do not work for every user."""
        channel = self.start_command(script_command(KILL_GROUP, str(pid)))
        channel.status_event.wait(CHANNEL_TIMEOUT_S)
        channel.close()

    @contextmanager
    def lost_when_it_breaks(self) -> Iterator[None]:
        """Turn what a broken connection raises into LostConnectionError; other errors pass."""
        try:
            yield
        except EdgecompressError:
            raise
        except (TimeoutError, EOFError, paramiko.SSHException) as error:
            raise self.lost(error) from error
        except OSError as error:
            if self.is_alive and "closed" not in str(error).lower():
                raise
            raise self.lost(error) from error

    def lost(self, error: BaseException | None = None) -> LostConnectionError:
        """Give the connection up, so that nobody waits for it again; return the error that says so."""
        self.close()
        how = f"gave no answer for {CHANNEL_TIMEOUT_S:g} s" if isinstance(error, TimeoutError) else "was lost"
        return LostConnectionError(
            f"the connection to {self.endpoint.shown} {how}",
            hint="is the board still on, and in reach? The same command goes on where it stopped",
        )

    def close(self) -> None:
        """End the connection and what runs over it; harmless twice."""
        self._client.close()
        if self._jump is not None:
            self._jump.close()

    def _open_channel(self) -> Any:
        transport = self._client.get_transport()
        if transport is None:
            raise EOFError
        channel = transport.open_session(timeout=CHANNEL_TIMEOUT_S)
        channel.settimeout(CHANNEL_TIMEOUT_S)
        return channel

    def _log_in(self) -> None:
        endpoint = self.endpoint
        keys = [str(path) for path in endpoint.identities if path.is_file()]
        try:
            sock = _open_socket(endpoint, self._jump)
            self._client.connect(
                endpoint.host,
                endpoint.port,
                endpoint.user,
                key_filename=keys,
                look_for_keys=not endpoint.identities,
                allow_agent=endpoint.agent,
                sock=sock,
                timeout=2 * LOGIN_TIMEOUT_S,  # for banner and key exchange together
                banner_timeout=LOGIN_TIMEOUT_S,
                auth_timeout=LOGIN_TIMEOUT_S,
                channel_timeout=CHANNEL_TIMEOUT_S,
                transport_factory=partial(_new_transport, endpoint),
            )
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._explain(error, keys) from error

    def _explain(self, error: BaseException, keys: list[str]) -> UnreachableError:
        transport = self._client.get_transport()
        refused = isinstance(error, paramiko.AuthenticationException | paramiko.PasswordRequiredException)
        met = transport is not None and transport.is_active() and transport.initial_kex_done
        if not _is_timeout(error) and (refused or met):
            return self._explain_refusal(keys)
        return explain_no_connection(self.endpoint, error)

    def _explain_refusal(self, keys: list[str]) -> UnreachableError:
        tried = [*keys, *(["the SSH agent's keys"] if self.endpoint.agent else [])]
        tried += [] if self.endpoint.identities else ["~/.ssh/id_*"]
        tried += [f"{path} (not there)" for path in self.endpoint.identities if str(path) not in keys]
        return UnreachableError(
            f"{self.endpoint.shown} accepted no key; tried: {', '.join(tried) or 'none'}",
            hint=f"copy your public key there (ssh-copy-id -p {self.endpoint.port} "
            f"{self.endpoint.user}@{self.endpoint.host}); a key with a passphrase must be in the agent (ssh-add)",
        )


def read_host_key(endpoint: Endpoint) -> HostKey:
    """Ask a host for its key, and tell it nothing. Raises UnreachableError."""
    jump = Connection(endpoint.jump) if endpoint.jump is not None else None
    try:
        with closing(_new_transport(endpoint, _open_socket(endpoint, jump))) as transport:
            transport.banner_timeout = LOGIN_TIMEOUT_S
            transport.start_client(timeout=2 * LOGIN_TIMEOUT_S)
            key = transport.get_remote_server_key()
            return HostKey(kind=key.get_name(), data=key.asbytes())
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise explain_no_connection(endpoint, error) from error
    finally:
        if jump is not None:
            jump.close()


def explain_no_connection(endpoint: Endpoint, error: BaseException) -> UnreachableError:
    """Say what it means that no connection came to stand."""
    shown, host = endpoint.shown, endpoint.host
    if isinstance(error, socket.gaierror):
        return UnreachableError(
            f"no host is called {host!r}", hint="is the board on and on this network? try its IP address"
        )
    if _is_timeout(error):
        limit_s = CONNECT_TIMEOUT_S if isinstance(error, TimeoutError) else 2 * LOGIN_TIMEOUT_S
        return UnreachableError(
            f"{shown} gave no answer within {limit_s:g} s", hint="is the board on, and on this network?"
        )
    if isinstance(error, ConnectionRefusedError):
        return UnreachableError(
            f"nothing answers on port {endpoint.port} of {host}",
            hint="is this the board's address, and is SSH on? On a Raspberry Pi: sudo systemctl enable --now ssh",
        )
    reason = "no SSH server answers there" if "banner" in str(error) else _reason(error)
    return UnreachableError(
        f"{shown} could not be reached: {reason}", hint="does an SSH server run there, and is it this port?"
    )


def _open_socket(endpoint: Endpoint, jump: Connection | None) -> Any:
    if jump is not None:
        return jump.open_tunnel(endpoint.host, endpoint.port)
    return socket.create_connection((endpoint.host, endpoint.port), CONNECT_TIMEOUT_S)


def _new_transport(endpoint: Endpoint, sock: Any, **options: Any) -> Any:
    """Ask for keys of the types that are known first, so that a host with several keys shows a known one."""
    wire_log = logging.getLogger(WIRE_LOG)
    wire_log.setLevel(logging.DEBUG if logger.isEnabledFor(logging.DEBUG) else logging.CRITICAL)
    transport = paramiko.Transport(sock, **options)
    transport.set_log_channel(WIRE_LOG)
    kinds = [line.key.kind for line in known_hosts.lines_for(endpoint.known_as, endpoint.known_hosts)]
    known = [name for kind in kinds for name in (RSA_SIGNATURES if kind == "ssh-rsa" else (kind,))]
    security = transport.get_security_options()
    security.key_types = sorted(security.key_types, key=lambda name: name not in known)
    return transport


def _is_timeout(error: BaseException) -> bool:
    """paramiko says so in the text only; a key exchange that took too long leaves it without a session."""
    said = str(error).lower()
    return isinstance(error, TimeoutError) or "timeout" in said or "no existing session" in said


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().rstrip(".") or type(error).__name__
