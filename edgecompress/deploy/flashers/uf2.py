"""UF2: write the firmware onto the drive that a board's bootloader shows (github.com/microsoft/uf2).

The address is the board's USB serial number or the drive's folder; None means the only drive whose Board-ID fits. The
bootloader checks nothing and nothing can be read back: that it wrote, and what, only hello's build id tells.

    [probe.uf2]
    family = "rp2040"    # rp2040, rp2350, nrf52840
"""

from __future__ import annotations

import logging
import os
import shutil
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from edgecompress.core import toml_file
from edgecompress.core.errors import ConfigError, TransferError, UnreachableError, UsageError, WrongDeviceError
from edgecompress.core.target import Region, Target
from edgecompress.core.values import FileValue, Progress
from edgecompress.deploy import _uf2_drives, _usb_ports
from edgecompress.deploy._uf2_drives import Drive
from edgecompress.deploy.flashers import ChipFacts, FlashOptions, Image, Segment

logger = logging.getLogger(__name__)

VANISH_S = 30.0
LOOK_AGAIN_S = 0.1
FILE_NAME = "FIRMWARE.UF2"

# The UF2 specification, "Overview" and "Family list" (utils/uf2families.json there).
BLOCK = struct.Struct("<8I476sI")
MAGIC_FIRST, MAGIC_SECOND, MAGIC_END = 0x0A32_4655, 0x9E5D_5157, 0x0AB1_6F30
HAS_FAMILY = 0x2000
PAYLOAD_BYTES = 256


@dataclass(frozen=True, kw_only=True)
class Family:
    """A chip: its number in UF2 blocks, and how the Board-ID of its bootloader begins."""

    number: int
    board_id: str


FAMILIES = {
    "rp2040": Family(number=0xE48B_FF56, board_id="RPI-RP2"),
    "rp2350": Family(number=0xE48B_FF59, board_id="RP2350"),
    "nrf52840": Family(number=0xADA5_2840, board_id="nRF52840"),
}
"""RP2350's is that of its Arm cores in the secure state."""


class Options(FileValue):
    """`family`: one of FAMILIES."""

    family: str


class Uf2Flasher:
    """One mounted drive (see `Flasher`)."""

    emulated = False

    def __init__(self, drive: Drive, family: str, target: Target) -> None:
        self.description = f"{target.name} at {drive.folder} ({drive.board_id}, UF2)"
        self._drive = drive
        self._family = family
        self._target = target

    def identify(self) -> ChipFacts:
        """Name the chip by the Board-ID of its bootloader."""
        expected = FAMILIES[self._family].board_id
        if not self._drive.board_id.lower().startswith(expected.lower()):
            raise WrongDeviceError(
                f"the drive {self._drive.folder} is a {self._drive.board_id}'s; {self._target.name} shows {expected}",
                hint="nothing was written; another board is connected",
            )
        return ChipFacts(name=self._family)

    def write(self, image: Image, progress: Progress) -> None:
        """Copy the blocks and wait until the drive is gone: the bootloader has all of them then, and has restarted.

        Raises TransferError when they do not fit or the drive stays.
        """
        blocks = encode(image.flat(), FAMILIES[self._family].number)
        free = shutil.disk_usage(self._drive.folder).free
        if free < len(blocks):
            raise TransferError(f"{self._drive.folder} has {free:,} bytes free; the firmware takes {len(blocks):,}")
        progress("write", 0, len(blocks))
        self._copy(blocks)
        self._wait_until_gone()
        progress("write", len(blocks), len(blocks))

    def read_back(self, region: Region) -> bytes | None:  # noqa: ARG002
        """Return None: the drive shows no flash."""
        return None

    def matches(self, segment: Segment) -> bool | None:  # noqa: ARG002
        """Return None: nothing computes a hash."""
        return None

    def reset(self) -> None:
        """Do nothing: the bootloader starts the firmware after its last block."""

    def console(self) -> str | None:
        """The port that the firmware will have on USB, when no other board has such a one now."""
        return _usb_ports.address_after_reset(self._target)

    def close(self) -> None:
        """Do nothing: nothing is held."""

    def _copy(self, blocks: bytes) -> None:
        """Write and flush. The bootloader may restart before the last flush is answered: then the drive is gone."""
        path = self._drive.folder / FILE_NAME
        try:
            with path.open("wb") as file:
                file.write(blocks)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            logger.info("%s: %s", path, error)
            if self._drive.is_there():
                raise TransferError(f"{path} cannot be written: {error.strerror}", hint="unplug the board") from error

    def _wait_until_gone(self) -> None:
        until = time.monotonic() + VANISH_S
        while self._drive.is_there():
            if time.monotonic() >= until:
                raise TransferError(
                    f"the drive {self._drive.folder} is still there {VANISH_S:g} s after the firmware was copied: "
                    "its bootloader did not take it",
                    hint="is the family in the profile ([probe.uf2]) the board's?",
                )
            time.sleep(LOOK_AGAIN_S)


def connect(target: Target, address: str | None, *, options: FlashOptions) -> Uf2Flasher:
    """Find the drive by its USB serial number or its folder, or the only one whose Board-ID fits."""
    table = toml_file.parse(dict(target.probe.get("uf2", {})), Options, where=f"{target.name}: probe.uf2")
    if table.family not in FAMILIES:
        raise ConfigError(
            f"{target.name}: probe.uf2: no UF2 family is called {table.family!r}", hint=f"known: {', '.join(FAMILIES)}"
        )
    if options.mass_erase:
        raise UsageError("a UF2 bootloader cannot erase the whole flash", hint="leave out --mass-erase")
    drive = _choose(target, FAMILIES[table.family], address)
    return Uf2Flasher(drive, table.family, target)


def encode(segment: Segment, family: int) -> bytes:
    """Return the segment as UF2 blocks of one page each, erased bytes before and behind it."""
    begin = segment.address - segment.address % PAYLOAD_BYTES
    data = bytes([0xFF]) * (segment.address - begin) + segment.data
    data += bytes([0xFF]) * (-len(data) % PAYLOAD_BYTES)
    count = len(data) // PAYLOAD_BYTES
    return b"".join(
        BLOCK.pack(
            MAGIC_FIRST,
            MAGIC_SECOND,
            HAS_FAMILY,
            begin + number * PAYLOAD_BYTES,
            PAYLOAD_BYTES,
            number,
            count,
            family,
            data[number * PAYLOAD_BYTES :][:PAYLOAD_BYTES],
            MAGIC_END,
        )
        for number in range(count)
    )


def _choose(target: Target, family: Family, address: str | None) -> Drive:
    there = _uf2_drives.drives()
    if address is not None:
        named = [drive for drive in there if drive.serial_number == address]
        drive = named[0] if len(named) == 1 else _uf2_drives.read(Path(address))
        if drive is None:
            raise UnreachableError(f"{address} is no UF2 drive", hint=_listed(there))
        return drive
    fitting = [drive for drive in there if drive.board_id.lower().startswith(family.board_id.lower())]
    if not fitting:
        raise UnreachableError(
            f"no UF2 drive of a {target.name} ({family.board_id}) is mounted",
            hint=f"hold BOOTSEL (or press reset twice) while it is plugged in, and mount it; {_listed(there)}",
        )
    if len(fitting) > 1:
        raise UsageError(f"{len(fitting)} UF2 drives could be a {target.name}: which one?", hint=_listed(fitting))
    return fitting[0]


def _listed(drives: tuple[Drive, ...] | list[Drive]) -> str:
    return "there is: " + (", ".join(f"uf2://{drive.folder} ({drive.board_id})" for drive in drives) or "none")
