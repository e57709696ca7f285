"""Run a bundle's firmware on a board that QEMU emulates, and speak to its first UART."""

from __future__ import annotations

from edgecompress.core import tools
from edgecompress.core.board import Board
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import ByteStream, Device
from edgecompress.core.errors import ConfigError, UsageError
from edgecompress.core.target import Emulator, Target
from edgecompress.core.values import Progress
from edgecompress.deploy._child import Child

# One instruction is one nanosecond of the board's time: its timers count instructions, and do so the same every time.
COUNT_INSTRUCTIONS = ("-icount", "shift=0")
UART_ON_STDIN_SOCKET = ("-chardev", "socket,id=uart,fd=0", "-serial", "chardev:uart")
HEADLESS = ("-display", "none", "-monitor", "none", "-nic", "none")


class QemuLink:
    """The emulator is a child process; the board's UART is the socket that it gets as stdin."""

    emulated = True
    board: Board | None = None

    def __init__(self, emulator: Emulator, emulator_args: tuple[str, ...]) -> None:
        self.description = f"{emulator.machine} (emulated by {emulator.program})"
        self.instructions_per_tick: float | None = emulator.instructions_per_tick
        self._emulator = emulator
        self._emulator_args = emulator_args
        self._child: Child | None = None

    def start(self, bundle: Bundle, progress: Progress) -> ByteStream:  # noqa: ARG002
        """Start the emulator. Raises MissingToolError without it, ConfigError when the bundle holds no firmware."""
        program = tools.locate(self._emulator.program)
        if not bundle.program.is_file():
            raise ConfigError(f"the bundle holds no {bundle.manifest.program}", hint="compile again")
        board = ("-machine", self._emulator.machine, "-kernel", str(bundle.program.resolve()))
        command = [str(program), *board, *HEADLESS, *UART_ON_STDIN_SOCKET, *COUNT_INSTRUCTIONS, *self._emulator_args]
        self._child = Child(command, name="the emulator", stdout_is_stream=False)
        return self._child

    def accept(self) -> None:
        """Do nothing: the program runs where it lies."""

    def close(self) -> None:
        """End the emulator; harmless twice."""
        if self._child is not None:
            self._child.close()
            self._child = None


def connect(target: Target, address: str | None = None, *, emulator_args: tuple[str, ...] = ()) -> Device:
    """Return the emulated board as a device; `emulator_args` come after the emulator's own arguments.

    Raises ConfigError when the target names no emulator, UsageError when an address is given.
    """
    if target.emulator is None:
        raise ConfigError(f"the target {target.name} names no emulator", hint="add an [emulator] table to its profile")
    if address is not None:
        raise UsageError(f"{target.name} is emulated here: it has no address (got {address!r})")
    return Device(QemuLink(target.emulator, emulator_args), target)
