"""Speak over a serial port to a board that runs the bundle's firmware already.

The address is `serial://usb:SERIALNUMBER`, which names a board wherever it is plugged in, or a port's path, as
`serial:///dev/ttyACM0`. This link writes no firmware: `edgecompress flash` does.
"""

from __future__ import annotations

from edgecompress.core.answers import Hello
from edgecompress.core.board import Board
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import ByteStream, Device
from edgecompress.core.errors import UsageError, WrongDeviceError
from edgecompress.core.target import Target
from edgecompress.core.values import Progress
from edgecompress.deploy import _serial_greeting, _usb_ports
from edgecompress.deploy._serial_line import SerialLine


class SerialLink:
    """The line to one board, opened when a bundle is expected on it."""

    emulated = False
    instructions_per_tick: float | None = None
    board: Board | None = None

    def __init__(self, target: Target, address: str | None) -> None:
        self.description = f"{target.name} at {address or 'a serial port'}"
        self._target = target
        self._address = address
        self._line: SerialLine | None = None

    def start(self, bundle: Bundle, progress: Progress) -> ByteStream:  # noqa: ARG002
        """Open the line and look what runs there.

        Raises UnreachableError when nothing answers, WrongDeviceError when another program does.
        """
        self._line, hello = meet(self._target, self._address)
        self.description = f"{self._target.name} at {self._line.port.name}"
        manifest = bundle.manifest
        if hello.build_id != manifest.build_id:
            raise WrongDeviceError(
                f"{self.description} runs build {hello.build_id} for {hello.target}; "
                f"the bundle is build {manifest.build_id}",
                hint=f"write this bundle's firmware first: edgecompress flash {bundle.folder} -t {self._target.name}",
            )
        return self._line

    def join(self, progress: Progress) -> ByteStream:  # noqa: ARG002
        """Open the line, whatever model runs there. Raises UnreachableError when nothing answers."""
        self._line, _ = meet(self._target, self._address)
        self.description = f"{self._target.name} at {self._line.port.name}"
        return self._line

    def accept(self) -> None:
        """Do nothing: the program runs where it lies."""

    def close(self) -> None:
        """Close the line; harmless twice."""
        if self._line is not None:
            self._line.close()
            self._line = None


def meet(
    target: Target, address: str | None, *, timeout_s: float = _serial_greeting.GREETING_S
) -> tuple[SerialLine, Hello]:
    """Open the line to a board and ask for hello, as `greet` does; the caller closes the line."""
    port = _usb_ports.choose(target, address)
    line = SerialLine(port, target.baud)
    try:
        return line, _serial_greeting.greet(line, target.baud, f"{target.name} at {port.name}", timeout_s)
    except BaseException:
        line.close()
        raise


def connect(target: Target, address: str | None = None, *, emulator_args: tuple[str, ...] = ()) -> Device:
    """Return the board at a serial port as a device; the port is looked for when a bundle is expected there.

    Raises UsageError when emulator arguments are given: there is nothing to hand them to.
    """
    if emulator_args:
        raise UsageError(f"{target.name} at a serial port is not emulated: --emulator-args means nothing there")
    return Device(SerialLink(target, address), target)
