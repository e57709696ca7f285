"""What a Linux board says of itself at one moment: heat, clocks, throttling, load, memory. Nothing needs root."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable

from edgecompress.core import linux
from edgecompress.core.board import Board
from edgecompress.core.values import BoardState

TIMEOUT_S = 10.0
THERMAL_FOLDER = "/sys/class/thermal"
CPU_ZONES = re.compile(r"cpu|soc|pkg|core|k10temp|bcm2835|acpitz", re.IGNORECASE)
RASPBERRY_PI = "Raspberry Pi"

QUIET_S = 0.25
RASPBERRY_PI_LIMIT_C = 80.0
"""The firmware lowers the clock from here on (raspberrypi.com/documentation, "Frequency management")."""


def read(board: Board, clock: Callable[[], float] = time.monotonic) -> BoardState:
    """Read the state of a board while the measured program waits: takes `QUIET_S` and the time of some thirty reads.

    What the board does not tell stays None; a lost connection is UnreachableError.
    """
    others = _others_cores(board, clock)
    memory = linux.memory(board)
    busy, stolen = _cpu_seconds(board)
    is_raspberry_pi = (linux.model(board) or "").startswith(RASPBERRY_PI)
    temperature, limit = _temperature(board, RASPBERRY_PI_LIMIT_C if is_raspberry_pi else math.inf)
    return BoardState(
        at_s=clock(),
        cores=linux.cores(board),
        clocks=linux.clocks(board),
        temperature_c=temperature,
        temperature_limit_c=limit,
        throttled_bits=_throttled_bits(board) if is_raspberry_pi else None,
        throttle_events=_throttle_events(board),
        load=_load(board),
        busy_s=busy,
        stolen_s=stolen,
        waited_s=_waited(board),
        others_cores=others,
        ram_bytes=memory.get("MemTotal"),
        available_ram_bytes=memory.get("MemAvailable"),
        swapped_pages=_swapped_pages(board),
    )


def _temperature(board: Board, firmware_limit: float) -> tuple[float | None, float | None]:
    """The processor's thermal zone that is nearest to its limit: both in °C, the limit None where there is none."""
    zones = [f"{THERMAL_FOLDER}/{name}" for name in board.names(THERMAL_FOLDER) if name.startswith("thermal_zone")]
    kinds = {zone: linux.text(board, f"{zone}/type") or "" for zone in zones}
    chosen = [zone for zone, kind in kinds.items() if CPU_ZONES.search(kind)] or zones
    read = [(linux.number(board, f"{zone}/temp"), zone) for zone in chosen]
    found = [(heat / 1000, min(_trip_point(board, zone), firmware_limit)) for heat, zone in read if heat is not None]
    if not found:
        return None, None
    heat, limit = max(found, key=lambda one: (one[0] - one[1], one[0]))
    return heat, None if math.isinf(limit) else limit


def _trip_point(board: Board, zone: str) -> float:
    """The lowest temperature, in °C, at which the kernel acts on the clock or the whole system."""
    trips = [name for name in board.names(zone) if re.fullmatch(r"trip_point_\d+_type", name)]
    acting = [name for name in trips if linux.text(board, f"{zone}/{name}") in {"passive", "hot", "critical"}]
    found = (linux.number(board, f"{zone}/{name.removesuffix('type')}temp") for name in acting)
    return min((heat / 1000 for heat in found if heat is not None and heat > 0), default=math.inf)


def _throttled_bits(board: Board) -> int | None:
    told = board.run(("vcgencmd", "get_throttled"), timeout_s=TIMEOUT_S)
    found = (
        re.fullmatch(rb"throttled=0x([0-9a-fA-F]{1,16})", told.stdout.strip()) if told and told.exit_code == 0 else None
    )
    return int(found.group(1), 16) if found else _under_voltage_alarm(board)


def _under_voltage_alarm(board: Board) -> int | None:
    """The one bit that the kernel knows by itself (Documentation/hwmon/raspberrypi-hwmon.rst): no right is needed."""
    alarm = next((linux.number(board, f"{chip}/in0_lcrit_alarm") for chip in linux.sensors(board, "rpi_volt")), None)
    return None if alarm is None else alarm & 1


def _throttle_events(board: Board) -> int | None:
    """How often each x86 core and package was throttled, together (ABI/testing/sysfs-devices-system-cpu)."""
    counts = [
        linux.number(board, f"{linux.CPU_FOLDER}/{cpu}/thermal_throttle/{unit}_throttle_count")
        for cpu in board.names(linux.CPU_FOLDER)
        if re.fullmatch(r"cpu\d+", cpu)
        for unit in ("core", "package")
    ]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _load(board: Board) -> float | None:
    found = re.match(r"\d{1,9}\.\d+", linux.text(board, "/proc/loadavg") or "")
    return float(found.group()) if found else None


def _cpu_seconds(board: Board) -> tuple[float | None, float | None]:
    """Seconds of all cores together since the start: at work (user, nice, system, irq, softirq), and stolen.

    The first line of /proc/stat, in hundredths of a second (proc(5): USER_HZ).
    """
    found = re.match(r"cpu +(\d{1,20}(?: \d{1,20})*)[ \t]*$", linux.text(board, "/proc/stat") or "", re.MULTILINE)
    ticks = [int(word) for word in found.group(1).split()] if found else []
    if len(ticks) < 8:
        return None, None
    user, nice, system, _idle, _iowait, irq, softirq, stolen = ticks[:8]
    return (user + nice + system + irq + softirq) / 100, stolen / 100


def _others_cores(board: Board, clock: Callable[[], float]) -> float | None:
    """How many cores are at work while the measured program waits for its next command, and this one sleeps."""
    begin, (before, _) = clock(), _cpu_seconds(board)
    time.sleep(QUIET_S)
    end, (after, _) = clock(), _cpu_seconds(board)
    if before is None or after is None or end <= begin:
        return None
    return (after - before) / (end - begin)


def _waited(board: Board) -> float | None:
    """Seconds since the start in which some program waited for a core (Documentation/accounting/psi.rst)."""
    found = re.search(r"^some .*total=(\d{1,20})", linux.text(board, "/proc/pressure/cpu") or "", re.MULTILINE)
    return int(found.group(1)) / 1e6 if found else None


def _swapped_pages(board: Board) -> int | None:
    found = re.findall(r"^pswp(?:in|out) (\d{1,20})$", linux.text(board, "/proc/vmstat") or "", re.MULTILINE)
    return sum(map(int, found)) if found else None
