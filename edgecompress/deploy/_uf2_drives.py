"""Drives that bootloaders show: each holds INFO_UF2.TXT, which names the board (the UF2 specification, "Files")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/mounts")
MAC_VOLUMES = Path("/Volumes")
INFO = "INFO_UF2.TXT"
_LINE = re.compile(r"^(Model|Board-ID):\s*(.+?)\s*$", re.MULTILINE)
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, kw_only=True)
class Drive:
    """A mounted drive, and what its bootloader calls the board."""

    folder: Path
    board_id: str
    model: str | None = None

    def is_there(self) -> bool:
        """True until it is gone, or another board's is mounted there."""
        return read(self.folder) == self


def drives() -> tuple[Drive, ...]:
    """List the mounted UF2 drives, sorted by folder."""
    found = (read(folder) for folder in sorted(set(_folders())))
    return tuple(drive for drive in found if drive is not None)


def read(folder: Path) -> Drive | None:
    """Look whether a folder is a UF2 drive."""
    try:
        text = (folder / INFO).read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    found = dict(_LINE.findall(text))
    return Drive(folder=folder, board_id=found["Board-ID"], model=found.get("Model")) if "Board-ID" in found else None


def _folders() -> list[Path]:
    """Where FAT file systems are mounted (proc(5): blanks in a path are written in octal)."""
    try:
        lines = [line.split() for line in MOUNTS.read_text().splitlines()]
    except OSError:
        return sorted(MAC_VOLUMES.glob("*")) if MAC_VOLUMES.is_dir() else []
    return [Path(_OCTAL.sub(lambda code: chr(int(code[1], 8)), words[1])) for words in lines if words[2] == "vfat"]
