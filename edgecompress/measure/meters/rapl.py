"""The energy counters of x86 processors (Running Average Power Limit), package by package.

Documentation/power/powercap/powercap.rst; Intel's Software Developer's Manual, volume 3, "Package RAPL Domain".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from edgecompress.core import linux
from edgecompress.core.board import Board
from edgecompress.measure.meters._meter import Meter

FOLDER = "/sys/class/powercap"
PACKAGE = re.compile(r"intel-rapl:\d+")
"""AMD's too. intel-rapl-mmio is the same counter once more; intel-rapl:0:1 a part of the package."""


@dataclass(kw_only=True)
class _Package:
    """One counter, in microjoules; it begins anew at `wraps_at`."""

    path: str
    wraps_at: int
    last: int
    total: int = field(default=0)


def find(board: Board) -> Meter | str:
    """Find the counters of all packages."""
    zones = [f"{FOLDER}/{name}" for name in board.names(FOLDER) if PACKAGE.fullmatch(name)]
    paths = [zone for zone in zones if (linux.text(board, f"{zone}/name") or "").startswith("package")]
    if not paths:
        return "the kernel knows no package's energy counter (/sys/class/powercap)"
    packages = []
    for path in paths:
        now, wraps_at = linux.number(board, f"{path}/energy_uj"), linux.number(board, f"{path}/max_energy_range_uj")
        if now is None or not wraps_at:
            return f"{path}/energy_uj may be read by root only (since Linux 5.10): allow it, or deploy as root"
        packages.append(_Package(path=path, wraps_at=wraps_at, last=now))
    return Meter(
        instrument=f"RAPL energy counter of {len(packages)} processor package{'s' if len(packages) > 1 else ''}",
        quantity="J",
        covers="the processor packages: neither memory nor anything else in the machine",
        resolution="about 61 µJ, brought up to date every millisecond",
        read=lambda: _joules(board, packages),
    )


def _joules(board: Board, packages: list[_Package]) -> float | None:
    """What all packages took since they were found. They are read often enough to wrap once at most in between."""
    for package in packages:
        now = linux.number(board, f"{package.path}/energy_uj")
        if now is None:
            return None
        package.total += (now - package.last) % package.wraps_at
        package.last = now
    return sum(package.total for package in packages) * 1e-6
