"""OpenOCD 0.12, for any debug probe that it has a driver for (its manual, "Flash Commands" and "Memory access").

[probe.openocd]
config = "interface/stlink.cfg target/stm32l4x.cfg"    # what it is given after -f, in this order
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgecompress.core import flash_tools, toml_file
from edgecompress.core.errors import UsageError
from edgecompress.core.target import Region, Target
from edgecompress.core.values import FileValue
from edgecompress.deploy import _usb_devices
from edgecompress.deploy._flash_program import ProgramFlasher, Words
from edgecompress.deploy.flashers import Flasher, FlashOptions

_PLAIN = re.compile(r"[0-9A-Za-z_.:-]+")


class Options(FileValue):
    """`config`: the configuration files of probe and chip, separated by spaces."""

    config: str


@dataclass(frozen=True, kw_only=True)
class OpenOcd:
    """OpenOCD's command lines. Memory is read without a halt, and `shutdown` leaves the core as it is."""

    flasher = "openocd"
    start: Words

    def write(self, file: Path, address: int) -> Words:
        """Write from a halt behind reset; `erase` takes the sectors that the file covers."""
        return ["-c", f"init; reset init; flash write_image erase {{{file}}} {address:#x} bin; shutdown"]

    def read(self, region: Region, file: Path) -> Words:
        """Read over the debug port."""
        return ["-c", f"init; dump_image {{{file}}} {region.origin:#x} {region.length:#x}; shutdown"]

    def erase(self) -> Words:
        """Erase every sector of the first bank. Protection is never lifted: that takes a command of each chip's own."""
        return ["-c", "init; reset init; flash erase_sector 0 0 last; shutdown"]

    def reset(self) -> Words:
        """Reset and run."""
        return ["-c", "init; reset run; shutdown"]


def connect(target: Target, address: str | None, *, options: FlashOptions) -> Flasher:
    """Find the probe by its USB serial number, or the only one."""
    table = toml_file.parse(dict(target.probe.get("openocd", {})), Options, where=f"{target.name}: probe.openocd")
    program = flash_tools.require("openocd")
    serial_number = _usb_devices.choose(_usb_devices.PROBES, target, address).serial_number
    words: list[str | Path] = [program]
    if serial_number is not None:
        words += ["-c", f"adapter serial {_checked(serial_number)}"]
    for file in table.config.split():
        words += ["-f", file]
    return ProgramFlasher(OpenOcd(start=words), target, serial_number, options)


def _checked(serial_number: str) -> str:
    """Return the number: a device may call itself anything, and OpenOCD executes what it is given (Tcl)."""
    if _PLAIN.fullmatch(serial_number) is None:
        raise UsageError(
            f"the probe's USB serial number {serial_number!r} has characters that OpenOCD would execute",
            hint="another --flasher takes it",
        )
    return serial_number
