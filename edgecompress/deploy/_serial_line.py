"""An open serial port as a stream of bytes, which finds its port again when that vanishes and comes back."""

from __future__ import annotations

import contextlib
import errno
import logging
import time
from typing import TYPE_CHECKING

from edgecompress.core.errors import UnreachableError
from edgecompress.deploy import _usb_ports
from edgecompress.deploy._usb_ports import Port

if TYPE_CHECKING:
    from serial import Serial

try:
    import termios

    FAILURES: tuple[type[Exception], ...] = (OSError, termios.error)
except ImportError:  # no POSIX system
    FAILURES = (OSError,)

logger = logging.getLogger(__name__)

COME_BACK_S = 10.0
LOOK_AGAIN_S = 0.05
REMEMBERED_BYTES = 256

_REASONS = {
    errno.EACCES: ("may not be opened", "your user is not in its group: sudo usermod -aG dialout $USER, log in again"),
    errno.EPERM: ("may not be opened", "your user is not in its group: sudo usermod -aG dialout $USER, log in again"),
    errno.EBUSY: ("is open in another program", "end that program: a terminal, a debugger, another edgecompress?"),
    errno.EAGAIN: ("is open in another program", "end that program: a terminal, a debugger, another edgecompress?"),
    errno.ENOENT: ("is not there", "is the board plugged in? `edgecompress devices list` shows the ports"),
}


class PortLostError(UnreachableError):
    """The port went away and did not come back in time, or cannot be opened."""


class SerialLine:
    """A ByteStream over a serial port that nobody else may open meanwhile.

    Opening and closing move neither DTR nor RTS more than the system itself does: both stay asserted, and stay so when
    the port is closed, so that boards which reset on their falling edge keep running.
    A port that vanishes (USB after a reset) is looked for by its USB serial number, for COME_BACK_S. `heard` is the end
    of what was read, `heard_bytes` the length of all of it.
    """

    def __init__(self, port: Port, baud: int) -> None:
        """Raises PortLostError when the port cannot be opened."""
        self._port = port
        self._baud = baud
        self._lost_s: float | None = None
        self.heard = b""
        self.heard_bytes = 0
        self._sent = b""
        self._serial: Serial | None = None
        try:
            self._serial = _open(port, baud)
        except FAILURES as error:
            raise _unopened(port, error) from error

    @property
    def port(self) -> Port:
        """The port as it was found last."""
        return self._port

    @property
    def is_echo(self) -> bool:
        """True when what was heard last holds what was written last: the other side sends it back."""
        return bool(self._sent) and self._sent in self.heard

    def use_baud(self, baud: int) -> None:
        """Change the rate."""
        self._baud = baud
        if self._serial is not None:
            try:
                self._serial.baudrate = baud
            except FAILURES as error:
                self._lose(error)

    def read(self, timeout_s: float) -> bytes:
        """Return what has come, or nothing after `timeout_s`. Raises PortLostError when the port stays away."""
        line = self._open_within(timeout_s)
        if line is None:
            return b""
        try:
            line.timeout = max(timeout_s, 0.0)
            data: bytes = line.read(1)
            if data:
                data += line.read(line.in_waiting)
        except FAILURES as error:
            self._lose(error)
            return b""
        self.heard = (self.heard + data)[-REMEMBERED_BYTES:]
        self.heard_bytes += len(data)
        return data

    def write(self, data: bytes, timeout_s: float) -> None:
        """Write all of it; what a vanishing port takes along is the session's to repeat.

        Raises UnreachableError when the line does not take it in time, PortLostError when the port stays away.
        """
        from serial import SerialTimeoutException

        line = self._open_within(timeout_s)
        if line is None:
            return
        try:
            line.write_timeout = max(timeout_s, 0.0)
            line.write(data)
            self._sent = data.strip(b"\0")
        except SerialTimeoutException as error:
            raise UnreachableError(
                f"{self._port.name} took no bytes for {timeout_s:.1f} s", hint="is its flow control off?"
            ) from error
        except FAILURES as error:
            self._lose(error)

    def close(self) -> None:
        """Close the port; harmless twice."""
        if self._serial is not None:
            with contextlib.suppress(*FAILURES):
                self._serial.close()
            self._serial = None

    def _lose(self, error: Exception) -> None:
        logger.warning("%s vanished (%s): waiting for it to come back", self._port.name, error)
        self.close()
        self._lost_s = time.monotonic()

    def _open_within(self, timeout_s: float) -> Serial | None:
        """Return the open port, or None when it is still away after `timeout_s`."""
        if self._serial is not None:
            return self._serial
        if self._lost_s is None:
            raise PortLostError(f"{self._port.name} is closed")
        until = time.monotonic() + timeout_s
        while (problem := self._try_to_open()) is not None:
            now = time.monotonic()
            if now - self._lost_s >= COME_BACK_S:
                raise PortLostError(
                    f"{self._port.name} vanished and did not come back within {COME_BACK_S:g} s: {problem}",
                    hint="is the board still plugged in and powered?",
                )
            if now >= until:
                return None
            time.sleep(min(LOOK_AGAIN_S, max(until - now, 0.0)))
        return self._serial

    def _try_to_open(self) -> str | None:
        """Open the port where it is now; return what is in the way, if anything is."""
        found = _usb_ports.again(self._port)
        if found is None:
            return "no port has its USB serial number"
        try:
            self._serial = _open(found, self._baud)
        except FAILURES as error:
            return f"{found.path} {_reason(error)[0]}"
        self._port = found
        return None


def _open(port: Port, baud: int) -> Serial:
    from serial import Serial

    line = Serial(exclusive=True, timeout=0.0)
    line.port, line.baudrate = port.path, baud
    line.dtr = line.rts = True
    line.open()
    _keep_control_lines(line)
    return line


def _keep_control_lines(line: Serial) -> None:
    """Leave DTR and RTS as they are when the port is closed (termios: clear HUPCL); elsewhere drivers decide."""
    if len(FAILURES) == 1:
        return
    with contextlib.suppress(termios.error):
        settings = termios.tcgetattr(line.fileno())
        settings[2] &= ~termios.HUPCL
        termios.tcsetattr(line.fileno(), termios.TCSANOW, settings)


def _unopened(port: Port, error: Exception) -> PortLostError:
    reason, hint = _reason(error)
    return PortLostError(f"the serial port {port.name} {reason}", hint=hint)


def _reason(error: Exception) -> tuple[str, str | None]:
    """Say in words why a port did not open, and what to do."""
    number = error.errno if isinstance(error, OSError) else None
    return _REASONS.get(number or 0, (f"cannot be opened: {error}", None))
