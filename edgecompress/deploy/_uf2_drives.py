"""Drives that bootloaders show: each holds INFO_UF2.TXT, which names the board (the UF2 specification, "Files")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgecompress.deploy import _usb_devices

MOUNTS = Path("/proc/mounts")
MAC_VOLUMES = Path("/Volumes")
BLOCK_DEVICES = Path("/sys/class/block")
INFO = "INFO_UF2.TXT"
_LINE = re.compile(r"^(Model|Board-ID):\s*(.+?)\s*$", re.MULTILINE)
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, kw_only=True)
class Drive:
    """A mounted drive, what its bootloader calls the board, and the board's USB serial number where Linux tells it."""

    folder: Path
    board_id: str
    model: str | None = None
    serial_number: str | None = None

    def is_there(self) -> bool:
        """True until it is gone, or another board's is mounted there."""
        now = read(self.folder)
        return now is not None and now.board_id == self.board_id


def drives() -> tuple[Drive, ...]:
    """List the mounted UF2 drives, sorted by folder."""
    found = (read(folder, source) for folder, source in sorted(_mounts().items()))
    return tuple(drive for drive in found if drive is not None)


def read(folder: Path, source: str | None = None) -> Drive | None:
    """Look whether a folder is a UF2 drive; `source` is the block device that is mounted there."""
    try:
        text = (folder / INFO).read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    found = dict(_LINE.findall(text))
    if "Board-ID" not in found:
        return None
    holder = _usb_devices.behind((BLOCK_DEVICES / Path(source).name).resolve()) if source is not None else None
    return Drive(
        folder=folder,
        board_id=found["Board-ID"],
        model=found.get("Model"),
        serial_number=holder.serial_number if holder is not None else None,
    )


def _mounts() -> dict[Path, str | None]:
    """Where FAT file systems are mounted, and from what (proc(5): blanks in a path are written in octal)."""
    try:
        lines = [line.split() for line in MOUNTS.read_text().splitlines()]
    except OSError:
        return dict.fromkeys(MAC_VOLUMES.glob("*")) if MAC_VOLUMES.is_dir() else {}
    return {
        Path(_OCTAL.sub(lambda code: chr(int(code[1], 8)), words[1])): words[0] for words in lines if words[2] == "vfat"
    }
