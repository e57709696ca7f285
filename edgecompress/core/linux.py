"""What a Linux system tells of itself under /proc and /sys, read through a board. None, or nothing, where it is silent.

Paths and forms: the kernel's Documentation/filesystems/proc.rst, admin-guide/pm/cpufreq.rst and ABI/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgecompress.core.board import Board
from edgecompress.core.values import ClockState

CPU_FOLDER = "/sys/devices/system/cpu"
POLICY_FOLDER = f"{CPU_FOLDER}/cpufreq"
SENSOR_FOLDER = "/sys/class/hwmon"
KIB = 1024


@dataclass(frozen=True, kw_only=True)
class Processors:
    """What /proc/cpuinfo says: how many cores, their kind, and the features that every one of them has.

    `features` is None where it lists none: then nothing is known of them.
    """

    count: int
    implementer: str | None
    part: str | None
    model_name: str | None
    features: frozenset[str] | None


def text(board: Board, path: str) -> str | None:
    """Read a file as text without the white space around it, or the zero byte that ends a device tree's strings."""
    raw = board.read(path)
    return None if raw is None else raw.decode("utf-8", "replace").strip("\0 \t\r\n")


def number(board: Board, path: str) -> int | None:
    """Read a file that holds one whole number, of the size that a kernel writes."""
    found = text(board, path)
    return int(found) if found is not None and re.fullmatch(r"[+-]?\d{1,20}", found) else None


def memory(board: Board) -> dict[str, int]:
    """Read /proc/meminfo: bytes by name."""
    lines = re.findall(r"^([\w()]+):\s+(\d{1,20}) kB$", text(board, "/proc/meminfo") or "", re.MULTILINE)
    return {name: int(kib) * KIB for name, kib in lines}


def clocks(board: Board) -> tuple[ClockState, ...]:
    """Read every cpufreq policy; none in a virtual machine, or on a kernel that leaves the clock alone."""
    return tuple(_clock(board, name) for name in board.names(POLICY_FOLDER) if name.startswith("policy"))


def processors(board: Board) -> Processors:
    """Read /proc/cpuinfo, and from /sys how many cores are on line."""
    whole = text(board, "/proc/cpuinfo") or ""
    listed = re.findall(r"^(?:Features|flags)[ \t]*:[ \t]*(.*)$", whole, re.MULTILINE)
    each = [frozenset(line.split()) for line in listed]
    return Processors(
        count=cores(board) or len(re.findall(r"^processor[ \t]*:", whole, re.MULTILINE)),
        implementer=_field(whole, "CPU implementer"),
        part=_field(whole, "CPU part"),
        model_name=_field(whole, "model name"),
        features=frozenset.intersection(*each) if each else None,
    )


def cores(board: Board) -> int | None:
    """Count the cores that are on line."""
    listed = text(board, f"{CPU_FOLDER}/online") or ""
    if not re.fullmatch(r"\d{1,9}(-\d{1,9})?(,\d{1,9}(-\d{1,9})?)*", listed):
        return None
    ranges = [part.split("-") for part in listed.split(",")]
    return sum(int(ends[-1]) - int(ends[0]) + 1 for ends in ranges)


def sensors(board: Board, *names: str) -> tuple[str, ...]:
    """Find hwmon chips by their names: the folders' numbers change from one start to the next."""
    chips = (f"{SENSOR_FOLDER}/{chip}" for chip in board.names(SENSOR_FOLDER))
    return tuple(chip for chip in chips if text(board, f"{chip}/name") in names)


def model(board: Board) -> str | None:
    """Read the board's name out of its device tree: `Raspberry Pi 4 Model B Rev 1.4`. A PC has none."""
    return text(board, "/proc/device-tree/model") or text(board, "/sys/firmware/devicetree/base/model") or None


def _clock(board: Board, name: str) -> ClockState:
    folder = f"{POLICY_FOLDER}/{name}"
    return ClockState(
        name=name,
        governor=text(board, f"{folder}/scaling_governor"),
        driver=text(board, f"{folder}/scaling_driver"),
        current_khz=number(board, f"{folder}/scaling_cur_freq"),
        lowest_khz=number(board, f"{folder}/scaling_min_freq"),
        highest_khz=number(board, f"{folder}/scaling_max_freq"),
    )


def _field(whole: str, name: str) -> str | None:
    found = re.search(rf"^{name}[ \t]*:[ \t]*(\S.*?)\s*$", whole, re.MULTILINE)
    return found.group(1) if found else None
