"""esptool 5: Espressif chips over their serial port (docs.espressif.com/projects/esptool).

The address is the serial port's, as of the link: `usb:SERIALNUMBER` or a path. What is written lies in the SPI flash
from 0 on, so segments are flash offsets. The runtime has no port for such a chip yet, and deploy/_flashing.py takes Arm
code only: this is the tool's half.

    [probe.esptool]
    chip = "esp32s3"    # as `esptool --chip` takes it; another chip is refused by esptool itself
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgecompress.core import flash_tools, toml_file
from edgecompress.core.errors import ToolFailedError, UnreachableError
from edgecompress.core.target import Region, Target
from edgecompress.core.values import FileValue
from edgecompress.deploy import _usb_ports
from edgecompress.deploy._flash_program import CONNECT_S, ProgramFlasher, Words
from edgecompress.deploy.flashers import ChipFacts, Flasher, FlashOptions

BAUD = 460_800
_CHIP = re.compile(r"^Chip (?:type:|is)\s+(.+)$", re.MULTILINE)


class Options(FileValue):
    """`chip`: the name that esptool knows it by."""

    chip: str


@dataclass(frozen=True, kw_only=True)
class EspTool:
    """esptool's command lines; the chip stays in its bootloader between them."""

    flasher = "esptool"
    start: Words
    mass_erase: bool

    def write(self, file: Path, address: int) -> Words:
        """Write a binary file; sectors that it covers are erased."""
        whole = ["--erase-all"] if self.mass_erase else []
        return ["--after", "no-reset", "write-flash", "--no-progress", *whole, f"{address:#x}", file]

    def read(self, region: Region, file: Path) -> Words:
        """Read flash into a file."""
        place = [f"{region.origin:#x}", f"{region.length:#x}"]
        return ["--after", "no-reset", "read-flash", "--no-progress", *place, file]

    def erase(self) -> None:
        """None: `write-flash` does it."""

    def reset(self) -> Words:
        """Reset over the control lines."""
        return ["--after", "hard-reset", "run"]


class EspFlasher(ProgramFlasher[EspTool]):
    """An Espressif chip: no Arm core, so its own name is all that it says of itself."""

    def identify(self) -> ChipFacts:
        """Ask for the chip's name. Raises UnreachableError when nothing, or another chip, answers."""
        try:
            told = self.run(["--after", "no-reset", "chip-id"], CONNECT_S).decode(errors="replace")
        except ToolFailedError as error:
            raise UnreachableError(error.message, hint=error.hint) from error
        found = _CHIP.search(told)
        return ChipFacts(name=found[1].strip() if found else None)


def connect(target: Target, address: str | None, *, options: FlashOptions) -> Flasher:
    """Find the serial port by its USB serial number, or the only one that the profile's `[usb]` table fits."""
    table = toml_file.parse(dict(target.probe.get("esptool", {})), Options, where=f"{target.name}: probe.esptool")
    program = flash_tools.require("esptool")
    port = _usb_ports.choose(target, address)
    words: list[str | Path] = [program, "--chip", table.chip, "--port", port.path, "--baud", str(BAUD)]
    tool = EspTool(start=words, mass_erase=options.mass_erase)
    return EspFlasher(tool, target, port.serial_number or port.path, options, console=_usb_ports.address_of(port))
