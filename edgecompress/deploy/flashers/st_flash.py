"""st-flash 1.7 of the open stlink tools: STM32 behind an ST-LINK (its `--help`). It needs no table in the profile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecompress.core import flash_tools
from edgecompress.core.target import Region, Target
from edgecompress.deploy import _usb_devices
from edgecompress.deploy._flash_program import ProgramFlasher, Words
from edgecompress.deploy.flashers import Flasher, FlashOptions


@dataclass(frozen=True, kw_only=True)
class StFlash:
    """st-flash's command lines; addresses and lengths are hexadecimal."""

    flasher = "st_flash"
    start: Words

    def write(self, file: Path, address: int) -> Words:
        """Write a binary file; pages that it covers are erased."""
        return ["write", file, f"{address:#x}"]

    def read(self, region: Region, file: Path) -> Words:
        """Read memory into a file."""
        return ["read", file, f"{region.origin:#x}", f"{region.length:#x}"]

    def erase(self) -> Words:
        """Erase the whole flash."""
        return ["erase"]

    def reset(self) -> Words:
        """Reset and run."""
        return ["reset"]


def connect(target: Target, address: str | None, *, options: FlashOptions) -> Flasher:
    """Find the ST-LINK by its USB serial number, or the only one."""
    program = flash_tools.require("st_flash")
    probe = _usb_devices.choose([_usb_devices.ST_LINK], target, address)
    words: list[str | Path] = [program]
    if probe.serial_number is not None:
        words += ["--serial", probe.serial_number]
    return ProgramFlasher(StFlash(start=words), target, probe.serial_number, options)
