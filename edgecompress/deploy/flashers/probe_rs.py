"""probe-rs as of 0.32: ST-LINK, J-Link and CMSIS-DAP probes (probe.rs/docs, and its `--help`).

[probe.probe_rs]
chip = "STM32L4R5ZITx"    # as `probe-rs chip list` prints it
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecompress.core import flash_tools, toml_file
from edgecompress.core.target import Region, Target
from edgecompress.core.values import FileValue
from edgecompress.deploy import _usb_devices
from edgecompress.deploy._flash_program import WORD_BYTES, ProgramFlasher, Words
from edgecompress.deploy._usb_devices import UsbDevice
from edgecompress.deploy.flashers import Flasher, FlashOptions


class Options(FileValue):
    """`chip`: its name in probe-rs' database."""

    chip: str


@dataclass(frozen=True, kw_only=True)
class ProbeRs:
    """probe-rs' command lines. Only `mass_erase` lets it erase the chip, which lifts a protection too."""

    flasher = "probe_rs"
    start: Words
    chosen: Words
    mass_erase: bool

    def write(self, file: Path, address: int) -> Words:
        """Write a binary file; sectors that it covers are erased."""
        whole = ["--chip-erase", "--allow-erase-all"] if self.mass_erase else []
        place = ["--binary-format", "bin", "--base-address", f"{address:#x}"]
        return ["download", *self.chosen, "--disable-progressbars", *whole, *place, file]

    def read(self, region: Region, file: Path) -> Words:
        """Read words into a file."""
        words = region.length // WORD_BYTES
        return ["read", *self.chosen, "--output", file, "--format", "binary", "b32", f"{region.origin:#x}", str(words)]

    def erase(self) -> None:
        """None: `download` does it."""

    def reset(self) -> Words:
        """Reset and run."""
        return ["reset", *self.chosen]


def connect(target: Target, address: str | None, *, options: FlashOptions) -> Flasher:
    """Find the probe by its USB serial number, or the only one."""
    table = toml_file.parse(dict(target.probe.get("probe_rs", {})), Options, where=f"{target.name}: probe.probe_rs")
    program = flash_tools.require("probe_rs")
    probe = _usb_devices.choose(_usb_devices.PROBES, target, address)
    chosen = ["--non-interactive", "--chip", table.chip, "--probe", _selector(probe)]
    tool = ProbeRs(start=[program], chosen=chosen, mass_erase=options.mass_erase)
    return ProgramFlasher(tool, target, probe.serial_number, options)


def _selector(probe: UsbDevice) -> str:
    return f"{probe.usb_id}:{probe.serial_number}" if probe.serial_number is not None else probe.usb_id
