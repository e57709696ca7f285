"""stm32flash 0.7: STM32 in the UART bootloader of their boot ROM (its manual page; ST's AN3155 and AN2606).

The address is the serial port's, as of the link: `usb:SERIALNUMBER` or a path. BOOT0 must be high when the chip is
reset. It needs no table in the profile.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgecompress.core import flash_tools
from edgecompress.core.errors import ToolFailedError, UnreachableError
from edgecompress.core.target import Region, Target
from edgecompress.deploy import _usb_ports
from edgecompress.deploy._flash_program import CONNECT_S, ProgramFlasher, Words
from edgecompress.deploy.flashers import ChipFacts, Flasher, FlashOptions

BAUD = 115_200
_DEVICE_ID = re.compile(r"^Device ID\s*:\s*0x([0-9a-fA-F]+)(?:\s*\((.+)\))?", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Stm32Flash:
    """stm32flash's command lines; the port stands last."""

    flasher = "stm32flash"
    start: Words
    port: str
    flash_origin: int

    def write(self, file: Path, address: int) -> Words:
        """Write a binary file; pages that it covers are erased."""
        return ["-w", file, "-S", f"{address:#x}", self.port]

    def read(self, region: Region, file: Path) -> Words:
        """Read memory into a file."""
        return ["-r", file, "-S", f"{region.origin:#x}:{region.length:#x}", self.port]

    def erase(self) -> Words:
        """Erase the whole flash."""
        return ["-o", self.port]

    def reset(self) -> Words:
        """Start what the flash holds, as AN3155's command Go does."""
        return ["-g", f"{self.flash_origin:#x}", self.port]


class Stm32Flasher(ProgramFlasher[Stm32Flash]):
    """A board in its UART bootloader, whose Get ID tells the chip: what DBGMCU_IDCODE has in its lower 12 bits."""

    def identify(self) -> ChipFacts:
        """Ask for the chip's id. Raises UnreachableError when nothing answers."""
        try:
            told = self.run([self.tool.port], CONNECT_S).decode(errors="replace")
        except ToolFailedError as error:
            raise UnreachableError(error.message, hint="is BOOT0 high, and was the chip reset then?") from error
        found = _DEVICE_ID.search(told)
        if found is None:
            raise UnreachableError(f"{self.description} did not tell its device id", hint="reset it with BOOT0 high")
        return ChipFacts(name=found[2], id_word=int(found[1], 16))


def connect(target: Target, address: str | None, *, options: FlashOptions) -> Flasher:
    """Find the serial port by its USB serial number, or the only one that the profile's `[usb]` table fits."""
    program = flash_tools.require("stm32flash")
    port = _usb_ports.choose(target, address)
    origin = target.memory.flash.origin if target.memory is not None else 0
    tool = Stm32Flash(start=[program, "-b", str(BAUD)], port=port.path, flash_origin=origin)
    console = _usb_ports.address_of(port)
    return Stm32Flasher(tool, target, port.serial_number or port.path, options, console=console)
