"""Flashers: how a firmware gets into a microcontroller's flash. One module a tool, found by its name.

A module of this folder has

    connect(target: Target, address: str | None, *, options: FlashOptions) -> Flasher

which finds the one device that `address` names and connects to it, without changing anything there. The address is
what follows `NAME://` in `--device`: a probe's or board's USB serial number, `host:port` of a debug server, a mounted
drive. None means: the only one there is. It raises MissingToolError when the tool is not installed, UnreachableError
when there is no such device or it does not answer, UsageError when several answer to the address: two equal boards are
never guessed between. What the tool must be told about a target stands in `target.probe[NAME]`; the module
parses it by `toml_file.parse` into an `Options` of its own, so that an unknown key is an error.

deploy/_flashing.py is the one sequence that calls a flasher:

    identify -> (image against profile and chip) -> write -> read_back or matches -> reset -> hello

No method erases or writes before `write`; none waits without a deadline. Outside programs run through core/tools.run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgecompress.core.target import Region
from edgecompress.core.values import Progress


@dataclass(frozen=True, kw_only=True)
class FlashOptions:
    """What the user allowed and said.

    Without `mass_erase` a flasher erases the sectors that it writes, and nothing else; it never lifts a read or write
    protection without it.
    """

    mass_erase: bool = False


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Bytes, and the address in flash that they belong to."""

    address: int
    data: bytes

    @property
    def region(self) -> Region:
        """The bytes' place."""
        return Region(origin=self.address, length=len(self.data))


@dataclass(frozen=True, kw_only=True)
class Image:
    """A firmware: the ELF file that it came from, and what lies in flash, by address, without overlaps.

    It begins with the vector table: the stack's first word, then the address to start at, bit 0 set (Thumb).
    """

    elf: Path
    segments: tuple[Segment, ...]

    @property
    def bytes(self) -> int:
        """How many bytes are written."""
        return sum(len(segment.data) for segment in self.segments)

    def flat(self, fill: int = 0xFF) -> Segment:
        """The image as one segment: what lies between its parts is filled as erased flash is."""
        start = self.segments[0].address
        data = bytearray()
        for segment in self.segments:
            data += bytes([fill]) * (segment.address - start - len(data)) + segment.data
        return Segment(address=start, data=bytes(data))


@dataclass(frozen=True, kw_only=True)
class ChipFacts:
    """What a chip says of itself; None where the tool cannot ask.

    `name` is what the tool calls it. The words are read over the debug port: `cpuid` at 0xE000ED00, `mvfr0` and
    `mvfr1` at 0xE000EF40 and 0xE000EF44 (Armv7-M and Armv8-M Architecture Reference Manuals: MVFR0, MVFR1), `id_word`
    at the profile's `chip.id_address`. deploy/_chip.py reads all of them for a tool that reads words. `machine` is what
    an emulator calls the board.
    """

    name: str | None = None
    cpuid: int | None = None
    mvfr0: int | None = None
    mvfr1: int | None = None
    id_word: int | None = None
    machine: str | None = None


class Flasher(Protocol):
    """A connection to one device through one tool."""

    description: str
    """The device in words, with what names it: `STM32L4R5 behind ST-LINK 066DFF… (openocd)`."""

    emulated: bool

    def identify(self) -> ChipFacts:
        """Ask the chip what it is. Changes nothing but that it may halt the core."""

    def write(self, image: Image, progress: Progress) -> None:
        """Erase what the image covers and write it. Raises TransferError when the tool says that it failed."""

    def read_back(self, region: Region) -> bytes | None:
        """Read what the flash holds now; None when the tool cannot read."""

    def matches(self, segment: Segment) -> bool | None:
        """Compare by a hash that is computed on the device, for a tool that cannot read; None when there is none."""

    def reset(self) -> None:
        """Start the firmware as after power-on, no debugger in its way."""

    def console(self) -> str | None:
        """The address of the board's serial line (`serial://…`, `tcp://host:port`) when the tool knows it.

        A probe's own port is found by its USB serial number. None when the user must say it (`--console`).
        """

    def close(self) -> None:
        """Let go of the device; the firmware runs on. Harmless twice."""
