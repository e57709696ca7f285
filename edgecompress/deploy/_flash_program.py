"""A flasher that starts an outside program for every step. What the program says of itself is never enough."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from edgecompress.core import flash_tools, tools
from edgecompress.core.errors import ToolFailedError, TransferError, UnreachableError
from edgecompress.core.target import Region, Target
from edgecompress.core.values import Progress
from edgecompress.deploy import _chip, _usb_ports
from edgecompress.deploy.flashers import ChipFacts, FlashOptions, Image, Segment

logger = logging.getLogger(__name__)

Words = Sequence[str | Path]

ATTEMPTS = 2
PAUSE_S = 0.5
CONNECT_S = 20.0
ERASE_S = 120.0
SLOWEST_BYTES_PER_S = 4_000
"""A UART bootloader at 57600 baud writes a little more."""

WORD_BYTES = 4


class Tool(Protocol):
    """The command lines of one program, for one device. Pure: nothing is started here."""

    @property
    def flasher(self) -> str:
        """The flasher's module."""

    @property
    def start(self) -> Words:
        """The program, and its words before those of a step: which probe, which chip."""

    def write(self, file: Path, address: int) -> Words:
        """Write a binary file at an address; erase what it covers and no more."""

    def read(self, region: Region, file: Path) -> Words:
        """Read memory into a binary file that is not there yet. A region begins and ends at the flasher's unit."""

    def erase(self) -> Words | None:
        """Erase the whole chip; None when `write` does that by an option of its own."""

    def reset(self) -> Words:
        """Start what the flash holds."""


AnyTool = TypeVar("AnyTool", bound=Tool)


class ProgramFlasher(Generic[AnyTool]):
    """One device through one program (see `Flasher`). Files pass through a temporary folder of its own."""

    emulated = False
    unit_bytes = 4
    """What is read begins and ends at a multiple of this."""

    def __init__(
        self,
        tool: AnyTool,
        target: Target,
        serial_number: str | None,
        options: FlashOptions,
        *,
        console: str | None = None,
        folder: tempfile.TemporaryDirectory[str] | None = None,
    ) -> None:
        """`serial_number` names the probe or board. Without `console` it is the probe's own serial port."""
        self.tool = tool
        self.target = target
        self._serial_number = serial_number
        self._options = options
        self._console = console
        self._program = flash_tools.tool_of(tool.flasher).program or tool.flasher
        self.description = f"{target.name} at {serial_number or 'the only device'} ({self._program})"
        self._folder = folder or tempfile.TemporaryDirectory(prefix="edgecompress-")
        self._files = 0

    def identify(self) -> ChipFacts:
        """Read the core's and the chip's identification, word by word.

        Raises UnreachableError when not even the first word comes.
        """
        return _chip.read(self._read_word, self.target)

    def write(self, image: Image, progress: Progress) -> None:
        """Write the image in one piece, so that no sector that two parts share is erased twice; not what is there.

        Raises TransferError when the program fails or passes its deadline.
        """
        whole = image.flat()
        if not self._options.mass_erase and self._holds(whole):
            return
        progress("write", 0, image.bytes)
        erase = self.tool.erase() if self._options.mass_erase else None
        if erase is not None:
            self._must(erase, ERASE_S)
        file = self._new_file("write")
        file.write_bytes(whole.data)
        self._must(self.tool.write(file, whole.address), CONNECT_S + len(whole.data) / SLOWEST_BYTES_PER_S)
        file.unlink(missing_ok=True)
        progress("write", image.bytes, image.bytes)

    def read_back(self, region: Region) -> bytes:
        """Read what the flash holds. Raises TransferError when the program fails, or gives another length."""
        begin = region.origin - region.origin % self.unit_bytes
        length = region.origin + region.length - begin
        whole = Region(origin=begin, length=-(-length // self.unit_bytes) * self.unit_bytes)
        file = self._new_file("read")
        self._must(self.tool.read(whole, file), CONNECT_S + whole.length / SLOWEST_BYTES_PER_S)
        data = file.read_bytes() if file.is_file() else b""
        file.unlink(missing_ok=True)
        if len(data) < whole.length:
            raise TransferError(
                f"{self._program} says that it read {whole.length:,} bytes at {begin:#x}; there are {len(data):,}",
                hint="is the flash protected against reading?",
            )
        return data[region.origin - begin :][: region.length]

    def matches(self, segment: Segment) -> bool | None:  # noqa: ARG002
        """Return None: what can be read needs no hash."""
        return None

    def reset(self) -> None:
        """Start the firmware. Raises UnreachableError when the program fails."""
        try:
            self.run(self.tool.reset(), CONNECT_S)
        except ToolFailedError as error:
            raise UnreachableError(error.message, hint=error.hint) from error

    def console(self) -> str | None:
        """The serial port of the same USB device, when it has exactly one."""
        if self._console is not None or self._serial_number is None:
            return self._console
        alike = [port for port in _usb_ports.ports() if port.serial_number == self._serial_number]
        return _usb_ports.address_of(alike[0]) if len(alike) == 1 else None

    def close(self) -> None:
        """Remove the temporary folder; harmless twice."""
        with suppress(OSError):
            self._folder.cleanup()

    def run(self, words: Words, timeout_s: float) -> bytes:
        """Start the program, twice when it fails soon; return its stdout. Raises ToolFailedError."""
        command = [*self.tool.start, *words]
        for attempt in range(1, ATTEMPTS + 1):
            begin = time.monotonic()
            try:
                return tools.run(command, timeout_s=timeout_s, stdin=b"")
            except ToolFailedError:
                is_slow = time.monotonic() - begin > timeout_s / 2
                if attempt == ATTEMPTS or is_slow:
                    raise
                logger.warning("%s failed, once more", self._program)
                time.sleep(PAUSE_S)
        raise AssertionError("unreachable")

    def _holds(self, segment: Segment) -> bool:
        try:
            return self.read_back(segment.region) == segment.data
        except TransferError as error:  # what is protected against reading may still be written
            logger.info("%s", error.message)
            return False

    def _read_word(self, address: int) -> int | None:
        file = self._new_file("word")
        try:
            self.run(self.tool.read(Region(origin=address, length=WORD_BYTES), file), CONNECT_S)
        except ToolFailedError as error:
            if address != _chip.CPUID:
                return None
            raise UnreachableError(error.message, hint=error.hint) from error
        data = file.read_bytes() if file.is_file() else b""
        return int.from_bytes(data[:WORD_BYTES], "little") if len(data) >= WORD_BYTES else None

    def _must(self, words: Words, timeout_s: float) -> None:
        try:
            self.run(words, timeout_s)
        except ToolFailedError as error:
            raise TransferError(error.message, hint=error.hint) from error

    def _new_file(self, what: str) -> Path:
        """A path that no file has yet: dfu-util refuses to overwrite one."""
        self._files += 1
        return Path(self._folder.name) / f"{what}{self._files}.bin"
