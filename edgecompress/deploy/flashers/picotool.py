"""picotool 2: RP2040 and RP2350 in BOOTSEL mode (its `help`). It needs no table in the profile.

An RP2040's boot ROM shows the same USB serial number on every board: two of them in BOOTSEL mode cannot be told apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgecompress.core import flash_tools
from edgecompress.core.errors import ToolFailedError, UnreachableError
from edgecompress.core.target import Region, Target
from edgecompress.deploy import _usb_devices, _usb_ports
from edgecompress.deploy._flash_program import CONNECT_S, ProgramFlasher, Words
from edgecompress.deploy.flashers import ChipFacts, Flasher, FlashOptions

_TYPE = re.compile(r"^\s*type:\s+(\S+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class PicoTool:
    """picotool's command lines; files come before the choice of the device."""

    flasher = "picotool"
    start: Words
    chosen: Words

    def write(self, file: Path, address: int) -> Words:
        """Write a binary file; sectors that it covers are erased."""
        return ["load", file, "-t", "bin", "-o", f"{address:#x}", *self.chosen]

    def read(self, region: Region, file: Path) -> Words:
        """Save memory: what lies between two addresses, which picotool takes apart to pages of 256 bytes."""
        end = region.origin + region.length
        return ["save", "-r", f"{region.origin:#x}", f"{end:#x}", file, "-t", "bin", *self.chosen]

    def erase(self) -> Words:
        """Erase the whole flash."""
        return ["erase", "-a", *self.chosen]

    def reset(self) -> Words:
        """Start what the flash holds."""
        return ["reboot", *self.chosen]


class PicoFlasher(ProgramFlasher[PicoTool]):
    """A board in BOOTSEL mode: its boot ROM answers, not its core."""

    unit_bytes = 256

    def identify(self) -> ChipFacts:
        """Ask for the chip's type. Raises UnreachableError when nothing answers, or it is not told."""
        try:
            told = self.run(["info", "-d", *self.tool.chosen], CONNECT_S).decode(errors="replace")
        except ToolFailedError as error:
            raise UnreachableError(error.message, hint=error.hint) from error
        found = _TYPE.search(told)
        if found is None:
            raise UnreachableError(
                f"{self.description} did not tell its chip", hint="nothing was written; is picotool 2 installed?"
            )
        return ChipFacts(name=found[1])


def connect(target: Target, address: str | None, *, options: FlashOptions) -> Flasher:
    """Find the board by its USB serial number, or the only one in BOOTSEL mode."""
    program = flash_tools.require("picotool")
    board = _usb_devices.choose([_usb_devices.RP_BOOTSEL], target, address)
    chosen = ["--ser", board.serial_number] if board.serial_number is not None else []
    console = _usb_ports.address_after_reset(target)
    return PicoFlasher(PicoTool(start=[program], chosen=chosen), target, board.serial_number, options, console=console)
