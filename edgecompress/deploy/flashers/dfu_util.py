"""dfu-util 0.11: STM32 in the DFU mode of their boot ROM (its manual page; ST's AN3156 and AN2606).

The address is the serial number that the bootloader shows on USB. DFU says nothing of the chip but where its flash lies
and how it is divided: that must be what the profile says; whether it is the right chip, only hello tells. It needs no
table in the profile.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgecompress.core import flash_tools
from edgecompress.core.errors import ToolFailedError, UnreachableError, WrongDeviceError
from edgecompress.core.target import Region, Target
from edgecompress.deploy import _usb_devices, _usb_ports
from edgecompress.deploy._flash_program import CONNECT_S, ProgramFlasher, Words
from edgecompress.deploy.flashers import ChipFacts, Flasher, FlashOptions

INTERNAL_FLASH = "0"

# ST's UM0424, "DFU string descriptor": @name/start/count*size unit type,…
_LAYOUT = re.compile(r'alt=0, name="@[^/"]*/0x([0-9a-fA-F]+)/([^"]+)"')
_SECTORS = re.compile(r"(\d+)\*(\d+)([ BKM])")
_UNIT_BYTES = {" ": 1, "B": 1, "K": 1 << 10, "M": 1 << 20}


@dataclass(frozen=True, kw_only=True)
class DfuUtil:
    """dfu-util's command lines; the board stays in DFU mode until `leave`."""

    flasher = "dfu_util"
    start: Words

    def write(self, file: Path, address: int) -> Words:
        """Write a binary file; pages that it covers are erased."""
        return ["-s", f"{address:#x}", "-D", file]

    def read(self, region: Region, file: Path) -> Words:
        """Read flash into a file, which must not be there yet."""
        return ["-s", f"{region.origin:#x}:{region.length}", "-U", file]

    def erase(self) -> Words:
        """Erase the whole flash."""
        return ["-s", ":mass-erase:force"]

    def reset(self) -> Words:
        """Start what the flash holds."""
        return ["-s", ":leave"]


class DfuFlasher(ProgramFlasher[DfuUtil]):
    """A board in DFU mode: its boot ROM answers, not its core."""

    def identify(self) -> ChipFacts:
        """Compare where the flash lies; the chip's name nobody tells.

        Raises UnreachableError when the board is not there, WrongDeviceError when its flash is another one.
        """
        try:
            listed = self.run(["-l"], CONNECT_S).decode(errors="replace")
        except ToolFailedError as error:
            raise UnreachableError(error.message, hint=error.hint) from error
        if "Found DFU" not in listed:
            raise UnreachableError(f"{self.description} is not in DFU mode", hint="BOOT0 high, then reset")
        self._check_layout(listed)
        return ChipFacts()

    def _check_layout(self, listed: str) -> None:
        layout = _LAYOUT.search(listed)
        memory = self.target.memory
        if memory is None:
            return
        if layout is None:
            raise WrongDeviceError(
                f"{self.description} does not tell how its flash is laid out: it may be another chip's",
                hint="nothing was written; DFU has no other sign of the chip: use a debug probe",
            )
        sectors = _SECTORS.findall(layout[2])
        found = Region(
            origin=int(layout[1], 16),
            length=sum(int(count) * int(size) * _UNIT_BYTES[unit] for count, size, unit in sectors),
        )
        if found != memory.flash:
            raise WrongDeviceError(
                f"the board has {found.length:,} bytes of flash at {found.origin:#010x}; {self.target.name} has "
                f"{memory.flash.length:,} at {memory.flash.origin:#010x}",
                hint="nothing was written; another board is connected",
            )


def connect(target: Target, address: str | None, *, options: FlashOptions) -> Flasher:
    """Find the board by its USB serial number, or the only one in DFU mode."""
    program = flash_tools.require("dfu_util")
    board = _usb_devices.choose([_usb_devices.STM32_DFU], target, address)
    words: list[str | Path] = [program, "-d", board.usb_id, "-a", INTERNAL_FLASH]
    if board.serial_number is not None:
        words += ["-S", board.serial_number]
    console = _usb_ports.address_after_reset(target)
    return DfuFlasher(DfuUtil(start=words), target, board.serial_number, options, console=console)
