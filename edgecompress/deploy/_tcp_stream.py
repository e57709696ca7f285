"""A TCP connection as a stream of bytes: a debug server, or a serial line behind a socket."""

from __future__ import annotations

import select
import socket
import time
from typing import Protocol

from edgecompress.core.errors import UnreachableError, UsageError
from edgecompress.core.session import ByteStream

CONNECT_S = 5.0
READ_BYTES = 65536


class ClosableStream(ByteStream, Protocol):
    """A stream that ends when whoever opened it says so."""

    def close(self) -> None:
        """End it; harmless twice."""


class TcpStream:
    """A ByteStream over TCP."""

    def __init__(self, address: str, *, what: str) -> None:
        """Connect to `host:port`; `what` is how errors call it.

        Raises UsageError for another form of address, UnreachableError when nobody takes the connection in CONNECT_S.
        """
        self._what = f"{what} at {address}"
        try:
            self._socket = socket.create_connection(_host_and_port(address), CONNECT_S)
        except OSError as error:
            reason = f"did not answer within {CONNECT_S:g} s" if isinstance(error, TimeoutError) else error.strerror
            raise UnreachableError(f"{self._what}: {reason}", hint="does it run, and on that port?") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)

    def read(self, timeout_s: float) -> bytes:
        """Return what has come, or nothing after `timeout_s`. Raises UnreachableError at the connection's end."""
        if not select.select([self._socket], [], [], max(timeout_s, 0.0))[0]:
            return b""
        try:
            data = self._socket.recv(READ_BYTES)
        except OSError as error:
            raise self._ended() from error
        if not data:
            raise self._ended()
        return data

    def write(self, data: bytes, timeout_s: float) -> None:
        """Write all of it. Raises UnreachableError when the other side is gone or does not take it in time."""
        deadline = time.monotonic() + timeout_s
        left = memoryview(data)
        while left:
            if not select.select([], [self._socket], [], max(deadline - time.monotonic(), 0.0))[1]:
                raise UnreachableError(f"{self._what} took no bytes for {timeout_s:.1f} s")
            try:
                left = left[self._socket.send(left) :]
            except OSError as error:
                raise self._ended() from error

    def close(self) -> None:
        """Close the connection; harmless twice."""
        self._socket.close()

    def _ended(self) -> UnreachableError:
        return UnreachableError(f"{self._what} closed the connection")


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 0xFFFF:
        raise UsageError(f"{address!r} is no address of the form host:port", hint="for example 127.0.0.1:3333")
    return host.strip("[]"), int(port)
