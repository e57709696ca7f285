"""The board's serial line after it was flashed, by address: `serial://…` or `tcp://host:port`."""

from __future__ import annotations

from edgecompress.core.errors import UsageError
from edgecompress.core.target import Target
from edgecompress.deploy._late_serial_line import LateSerialLine
from edgecompress.deploy._tcp_stream import ClosableStream, TcpStream

SCHEMES = ("serial", "tcp")


def check(address: str) -> None:
    """Raise UsageError when the address is not of one of these forms; nothing is opened."""
    scheme, found, _ = address.partition("://")
    if not found or scheme not in SCHEMES:
        raise UsageError(
            f"{address!r} is no console", hint="--console serial:///dev/ttyACM0, serial://usb:SERIAL or tcp://host:port"
        )


def open_line(address: str, target: Target) -> ClosableStream:
    """Open the line; a serial one when it is first used.

    Raises UsageError for another address, UnreachableError when it cannot be opened.
    """
    check(address)
    scheme, _, rest = address.partition("://")
    return TcpStream(rest, what="the console") if scheme == "tcp" else LateSerialLine(target, rest or None)
