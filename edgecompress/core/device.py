"""A device: the wire protocol's commands over any byte stream. Every wait has a deadline."""

from __future__ import annotations

from typing import Protocol

from edgecompress.core.bundle import Bundle


class ByteStream(Protocol):
    """A two-way stream of bytes: a UART, a pty, a socket, a pipe."""

    def read(self, timeout_s: float) -> bytes:
        """Return what has come, at least one byte, or nothing after `timeout_s`. Raises UnreachableError at its end."""

    def write(self, data: bytes, timeout_s: float) -> None:
        """Write all of it. Raises UnreachableError when the other side is gone or does not take it in time."""


class Link(Protocol):
    """How a deploy module starts a bundle's program and reaches it."""

    description: str
    emulated: bool

    def start(self, bundle: Bundle) -> ByteStream:
        """Bring the bundle's program onto the device, start it and open the stream to it."""

    def close(self) -> None:
        """End what `start` began; harmless twice."""
