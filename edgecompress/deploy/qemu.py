"""Run a bundle's firmware on a board that QEMU emulates, and speak to its first UART.

Without an address the board is new at every start. `qemu://FOLDER` keeps one: its firmware, and the memory that its
flash is imitated in (deploy/_kept_board.py), so that what was installed into slots outlives the emulator.
"""

from __future__ import annotations

import os
from pathlib import Path

from edgecompress.core import tools
from edgecompress.core.board import Board
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import ByteStream, Device
from edgecompress.core.errors import ConfigError, UsageError
from edgecompress.core.target import Emulator, Target
from edgecompress.core.values import Progress
from edgecompress.deploy._child import Child
from edgecompress.deploy._kept_board import KeptBoard

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
        return self._emulate(_firmware(bundle))

    def accept(self) -> None:
        """Do nothing: the program runs where it lies."""

    def close(self) -> None:
        """End the emulator; harmless twice."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _emulate(self, firmware: Path, options: tuple[str, ...] = (), keeps: tuple[int, ...] = ()) -> Child:
        program = tools.locate(self._emulator.program)
        machine = ("-machine", self._emulator.machine, "-kernel", str(firmware.resolve()))
        words = [*machine, *options, *HEADLESS, *UART_ON_STDIN_SOCKET, *COUNT_INSTRUCTIONS, *self._emulator_args]
        self._child = Child([program, *words], name="the emulator", stdout_is_stream=False, keeps=keeps)
        return self._child


class KeptQemuLink(QemuLink):
    """The same for a board that is kept in a folder."""

    def __init__(self, emulator: Emulator, emulator_args: tuple[str, ...], kept: KeptBoard) -> None:
        super().__init__(emulator, emulator_args)
        self.description = f"{emulator.machine} in {kept.folder} (emulated by {emulator.program})"
        self._kept = kept
        self._lock: int | None = None

    def start(self, bundle: Bundle, progress: Progress) -> ByteStream:  # noqa: ARG002
        """Flash the bundle's firmware, unless it is there, and switch the board on."""
        firmware = _firmware(bundle)
        self._lock = self._kept.lock()
        self._kept.flash(firmware)
        return self._switch_on()

    def join(self, progress: Progress) -> ByteStream:  # noqa: ARG002
        """Switch the board on as it is. Raises ConfigError when nothing was flashed to it yet."""
        self._kept.check()
        self._lock = self._kept.lock()
        return self._switch_on()

    def close(self) -> None:
        """Switch the board off; harmless twice."""
        super().close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _switch_on(self) -> Child:
        # The emulator holds the lock too: where this process is killed, nobody starts a second one beside it.
        size = self._kept.memory.stat().st_size
        file = f"memory-backend-file,id=kept,mem-path={self._kept.memory.resolve()},size={size},share=on"
        options = ("-object", file, "-machine", "memory-backend=kept")
        return self._emulate(self._kept.firmware, options, (self._lock,) if self._lock is not None else ())


def connect(target: Target, address: str | None = None, *, emulator_args: tuple[str, ...] = ()) -> Device:
    """Return the emulated board as a device; `emulator_args` come after the emulator's own arguments.

    Raises ConfigError when the target names no emulator, UsageError for a folder when it cannot keep its memory.
    """
    if target.emulator is None:
        raise ConfigError(f"the target {target.name} names no emulator", hint="add an [emulator] table to its profile")
    if address is None:
        return Device(QemuLink(target.emulator, emulator_args), target)
    memory = target.emulator.kept_memory
    if memory is None:
        raise UsageError(
            f"the emulated {target.name} cannot be kept in a folder (got {address!r})",
            hint=f"its emulator can keep no memory in a file; --device qemu:// is a new {target.name} every time",
        )
    if "," in str(Path(address).resolve()):
        raise UsageError(f"the folder {address!r} has a comma in its path", hint="the emulator takes none")
    return Device(KeptQemuLink(target.emulator, emulator_args, KeptBoard(Path(address), target, memory)), target)


def _firmware(bundle: Bundle) -> Path:
    if not bundle.program.is_file():
        raise ConfigError(f"the bundle holds no {bundle.manifest.program}", hint="compile again")
    return bundle.program
