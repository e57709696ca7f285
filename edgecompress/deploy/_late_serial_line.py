"""The serial line of a board that is being restarted: opened when it is first spoken on, for it may not be there yet.

A board with USB of its own has no port while it is in its bootloader, and a flasher that works over the board's port
needs it for itself until then.
"""

from __future__ import annotations

import time

from edgecompress.core.errors import UnreachableError
from edgecompress.core.target import Target
from edgecompress.deploy import _usb_ports
from edgecompress.deploy._serial_line import COME_BACK_S, LOOK_AGAIN_S, SerialLine


class LateSerialLine:
    """A ByteStream that looks for its port for COME_BACK_S from its first use on; then as SerialLine."""

    def __init__(self, target: Target, address: str | None) -> None:
        self._target = target
        self._address = address
        self._line: SerialLine | None = None
        self._first_use_s: float | None = None

    def read(self, timeout_s: float) -> bytes:
        """Return what has come, or nothing after `timeout_s`. Raises UnreachableError when the port does not come."""
        line = self._open_within(timeout_s)
        return line.read(timeout_s) if line is not None else b""

    def write(self, data: bytes, timeout_s: float) -> None:
        """Write all of it, or nothing while there is no port: the session asks again. Raises as `read` does."""
        line = self._open_within(timeout_s)
        if line is not None:
            line.write(data, timeout_s)

    def close(self) -> None:
        """Close the port; harmless twice."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _open_within(self, timeout_s: float) -> SerialLine | None:
        if self._line is not None:
            return self._line
        begin = time.monotonic()
        self._first_use_s = self._first_use_s or begin
        while True:
            try:
                self._line = SerialLine(_usb_ports.choose(self._target, self._address), self._target.baud)
                return self._line
            except UnreachableError:
                now = time.monotonic()
                if now >= self._first_use_s + COME_BACK_S:
                    raise
                if now >= begin + timeout_s:
                    return None
            time.sleep(min(LOOK_AGAIN_S, max(begin + timeout_s - now, 0.0)))
