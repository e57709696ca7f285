"""Run a bundle's program as a process on this machine."""

from __future__ import annotations

from edgecompress.core.board import Board
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import ByteStream, Device
from edgecompress.core.errors import ConfigError, UsageError
from edgecompress.core.target import Target
from edgecompress.core.values import Progress
from edgecompress.deploy._child import Child
from edgecompress.deploy._local_board import LocalBoard


class LocalLink:
    """The program speaks the protocol over its stdin and stdout."""

    emulated = False
    instructions_per_tick: float | None = None

    def __init__(self, target: Target) -> None:
        self.description = f"{target.name} (a process on this machine)"
        self.board: Board | None = LocalBoard()
        self._child: Child | None = None

    def start(self, bundle: Bundle, progress: Progress) -> ByteStream:  # noqa: ARG002
        """Start the program. Raises ConfigError when the bundle does not hold it."""
        if not bundle.program.is_file():
            raise ConfigError(f"the bundle holds no {bundle.manifest.program}", hint="compile again")
        self._child = Child([bundle.program.resolve()], name="the program", stdout_is_stream=True)
        return self._child

    def accept(self) -> None:
        """Do nothing: the program runs where it lies."""

    def close(self) -> None:
        """End the program; harmless twice."""
        if self._child is not None:
            self._child.close()
            self._child = None


def connect(target: Target, address: str | None = None, *, emulator_args: tuple[str, ...] = ()) -> Device:
    """Return this machine as a device.

    Raises UsageError when an address or emulator arguments are given: there is nothing to hand them to.
    """
    if address is not None:
        raise UsageError(f"{target.name} is this machine: it has no address (got {address!r})")
    if emulator_args:
        raise UsageError(f"{target.name} is not emulated: --emulator-args means nothing there")
    return Device(LocalLink(target), target)
