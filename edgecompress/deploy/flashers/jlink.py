"""J-Link Commander (JLinkExe), V6.80 or later: chips behind a J-Link (kb.segger.com, "J-Link Commander").

[probe.jlink]
device = "nRF52840_xxAA"    # as J-Link's list of supported devices calls it
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgecompress.core import flash_tools, toml_file
from edgecompress.core.target import Region, Target
from edgecompress.core.values import FileValue
from edgecompress.deploy import _usb_devices
from edgecompress.deploy._flash_program import ProgramFlasher, Words
from edgecompress.deploy.flashers import Flasher, FlashOptions

SPEED_KHZ = 4000


class Options(FileValue):
    """`device`: the chip's name in J-Link's list."""

    device: str


@dataclass(frozen=True, kw_only=True)
class JLink:
    """Command files for J-Link Commander: it takes its commands from nowhere else. Numbers are hexadecimal."""

    flasher = "jlink"
    start: Words
    folder: Path

    def write(self, file: Path, address: int) -> Words:
        """Write from a halt behind reset; sectors that the file covers are erased."""
        return self._commands("r", "h", f'loadbin "{file}", {address:#x}')

    def read(self, region: Region, file: Path) -> Words:
        """Read memory into a file."""
        return self._commands(f'savebin "{file}", {region.origin:#x}, {region.length:#x}')

    def erase(self) -> Words:
        """Erase the whole flash."""
        return self._commands("r", "h", "erase")

    def reset(self) -> Words:
        """Reset and run."""
        return self._commands("r", "g")

    def _commands(self, *lines: str) -> Words:
        file = self.folder / "commands.jlink"
        file.write_text("\n".join([*lines, "q", ""]))
        return ["-CommandFile", file]


def connect(target: Target, address: str | None, *, options: FlashOptions) -> Flasher:
    """Find the J-Link by its USB serial number, or the only one."""
    table = toml_file.parse(dict(target.probe.get("jlink", {})), Options, where=f"{target.name}: probe.jlink")
    program = flash_tools.require("jlink")
    probe = _usb_devices.choose([_usb_devices.J_LINK], target, address)
    words: list[str | Path] = [program, "-NoGui", "1", "-ExitOnError", "1", "-AutoConnect", "1"]
    if probe.serial_number is not None:
        words += ["-USB", probe.serial_number.lstrip("0")]
    words += ["-Device", table.device, "-If", "SWD", "-Speed", str(SPEED_KHZ)]
    folder = tempfile.TemporaryDirectory(prefix="edgecompress-")
    tool = JLink(start=words, folder=Path(folder.name))
    return ProgramFlasher(tool, target, probe.serial_number, options, folder=folder)
