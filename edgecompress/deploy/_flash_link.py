"""Boards that are flashed through a tool: the link that flashes, and the one that speaks to what was flashed."""

from __future__ import annotations

from dataclasses import dataclass

from edgecompress.core import plugins
from edgecompress.core.board import Board
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import ByteStream
from edgecompress.core.errors import UsageError
from edgecompress.core.target import Target
from edgecompress.core.values import Progress
from edgecompress.deploy import _console, _flashing
from edgecompress.deploy._flashing import Flashed
from edgecompress.deploy._tcp_stream import ClosableStream
from edgecompress.deploy.flashers import Flasher, FlashOptions

ANY_TOOL = "usb"
"""`usb://SERIAL` names a board or probe, and leaves open which tool speaks to it."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A flasher by name, and the address of the device that it is to find; None: the only one there is.

    `where` says who named it, for the error when there is no such flasher.
    """

    flasher: str
    address: str | None
    options: FlashOptions
    where: str = "--device"

    def connect(self, target: Target) -> Flasher:
        """Connect the tool to the device. Raises ConfigError when there is no such flasher."""
        module = plugins.find("deploy.flashers", self.flasher, where=self.where)
        flasher: Flasher = module.connect(target, self.address, options=self.options)
        return flasher


def choose(target: Target, device: str | None, flasher: str | None, options: FlashOptions) -> Tool:
    """Choose the tool: `--flasher`, else the scheme of `--device`, else the profile's.

    Raises UsageError when none of them names one, or two of them differ.
    """
    scheme, _, rest = (device or f"{ANY_TOOL}://").partition("://")
    named = None if scheme == ANY_TOOL else scheme
    if named is not None and flasher is not None and named != flasher:
        raise UsageError(f"--device {device} is for the flasher {named}, and --flasher says {flasher}")
    chosen = flasher or named or target.flasher
    if chosen is None:
        raise UsageError(
            f"the profile of {target.name} names no flasher",
            hint=f"--flasher NAME; known: {', '.join(plugins.names('deploy.flashers'))}; or --device gdb://HOST:PORT",
        )
    where = "--flasher" if flasher else "--device" if named else f"target {target.name}: flasher"
    return Tool(flasher=chosen, address=rest or None, options=options, where=where)


class FlashLink:
    """Writes the bundle's firmware into the board's flash, starts it and opens its serial line."""

    instructions_per_tick: float | None = None
    board: Board | None = None

    def __init__(self, target: Target, tool: Tool, console: str | None = None) -> None:
        self.description = f"{target.name} at {tool.flasher}://{tool.address or ''}"
        self.emulated = False
        self.flashed: Flashed | None = None
        self._target = target
        self._tool = tool
        self._console = console

    def start(self, bundle: Bundle, progress: Progress) -> ByteStream:
        """Flash, as deploy/_flashing.py says."""
        done = _flashing.flash(bundle, self._target, lambda: self._tool.connect(self._target), self._console, progress)
        self.flashed = done
        self.emulated = done.emulated
        self.description = f"{self._target.name} behind {done.device}"
        return done.stream

    def accept(self) -> None:
        """Do nothing: the firmware runs where it lies."""

    def close(self) -> None:
        """Close the serial line; the firmware runs on. Harmless twice."""
        if self.flashed is not None:
            self.flashed.stream.close()


class ConsoleLink:
    """The serial line of a board that was flashed a moment ago; writes nothing."""

    instructions_per_tick: float | None = None
    board: Board | None = None

    def __init__(self, target: Target, console: str, *, description: str, emulated: bool) -> None:
        self.description = description
        self.emulated = emulated
        self._target = target
        self._console = console
        self._stream: ClosableStream | None = None

    def start(self, bundle: Bundle, progress: Progress) -> ByteStream:  # noqa: ARG002
        """Open the line. Raises UnreachableError when that fails."""
        self._stream = _console.open_line(self._console, self._target)
        return self._stream

    def accept(self) -> None:
        """Do nothing: the firmware runs where it lies."""

    def close(self) -> None:
        """Close the line; harmless twice."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
