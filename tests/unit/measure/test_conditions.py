"""What a board says before and after a run: a bad environment makes its figures void, with the reason."""

from __future__ import annotations

import random
from itertools import count
from typing import Any

import fake_boards
import pytest
from fake_boards import FakeBoard, changed, telling

from edgecompress.core import plugins
from edgecompress.core.values import BoardState
from edgecompress.deploy import _probe
from edgecompress.measure import _board_state, _conditions

RUN_S = 2.0
POLICY = "/sys/devices/system/cpu/cpufreq/policy0"
ZONE = "/sys/class/thermal/thermal_zone0"
PI4, PC = fake_boards.pi4(), fake_boards.pc()
NOT_A_NUMBER = "no number"


def judged(before: FakeBoard, after: FakeBoard | None = None, *, threads: int = 1) -> tuple[str, ...]:
    clock = count(100)
    earlier = _board_state.read(before, lambda: next(clock))
    later = _board_state.read(after or before, lambda: next(clock)).model_copy(update={"at_s": earlier.at_s + RUN_S})
    return _conditions.why_void(earlier, later, threads=threads)


def throttled(bits: str) -> FakeBoard:
    return telling(PI4, "vcgencmd get_throttled", f"throttled={bits}\n")


def governed(board: FakeBoard, governor: str) -> FakeBoard:
    return changed(board, f"{POLICY}/scaling_governor", f"{governor}\n")


def clocked(board: FakeBoard, khz: int) -> FakeBoard:
    return changed(board, f"{POLICY}/scaling_cur_freq", f"{khz}\n")


def at(board: FakeBoard, millidegrees: int, zone: str = ZONE) -> FakeBoard:
    return changed(board, f"{zone}/temp", f"{millidegrees}\n")


def busy(board: FakeBoard, jiffies: int, stolen: int = 0) -> FakeBoard:
    return changed(board, "/proc/stat", f"cpu  {1000 + jiffies} 0 500 90000 100 0 10 {stolen} 0 0\nctxt 1\n")


def with_a_hog(board: FakeBoard) -> FakeBoard:
    """Whenever it is asked, 0.9 s of CPU time more were spent in the second since."""
    spent = count(1000, 90)
    board.files["/proc/stat"] = lambda: f"cpu  {next(spent)} 0 500 90000 100 0 10 0 0 0\nctxt 1\n"
    return board


def pinned(board: FakeBoard) -> FakeBoard:
    slow = changed(governed(board, "ondemand"), f"{POLICY}/scaling_max_freq", "600000\n")
    return clocked(slow, 600_000)


UNDER_LOAD = "0.99 0.80 0.41 2/180 1234\n"
GOOD = {
    "Pi 3": (fake_boards.pi3(), None),
    "Pi 4": (PI4, None),
    "Pi 5": (fake_boards.pi5(), None),
    "Pi Zero 2": (fake_boards.pi_zero2(), None),
    "Pi Zero": (fake_boards.pi_zero(), None),
    "PC": (PC, None),
    "Pi 4 at work": (PI4, busy(at(PI4, 61_000), 195)),
    "Pi 4 that worked before": (changed(PI4, "/proc/loadavg", UNDER_LOAD), None),
    "Pi 4 with 32-bit programs": (fake_boards.pi4_with_32_bit_programs(), None),
    "Pi 4 without vcgencmd": (PI4.without("vcgencmd"), None),
    "Pi 4 whose user may not ask the firmware": (telling(PI4, "vcgencmd get_throttled", None), None),
    "Pi 4 without cpufreq": (PI4.without("/sys/devices/system/cpu/cpufreq"), None),
    "Pi 4 at one clock under ondemand": (pinned(PI4), None),
    "PC whose clock trembles": (PC, clocked(PC, 2_474_000)),
    "PC with a moderately warm package": (at(PC, 90_000, "/sys/class/thermal/thermal_zone1"), None),
    "a virtual machine that tells nothing": (FakeBoard(), None),
    "files that hold something else": (FakeBoard(files=dict.fromkeys(PC.files, NOT_A_NUMBER)), None),
}
BAD = {
    "under-voltage": (throttled("0x50001"), None, "under-voltage now (get_throttled)"),
    "clock capped": (PI4, throttled("0x20002"), "Arm clock capped now (get_throttled)"),
    "throttled": (PI4, throttled("0x4"), "throttled now (get_throttled)"),
    "soft temperature limit": (PI4, throttled("0x80008"), "soft temperature limit now (get_throttled)"),
    "under-voltage meanwhile": (PI4, throttled("0x10000"), "under-voltage during the run (get_throttled)"),
    "throttled meanwhile": (PI4, throttled("0x40000"), "throttled during the run (get_throttled)"),
    "throttled some day": (
        throttled("0x50000"),
        None,
        "throttled since the board's start (get_throttled), which hides a new one: restart the board",
    ),
    "under-voltage, by the kernel alone": (
        changed(
            changed(PI4.without("vcgencmd"), "/sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
            "/sys/class/hwmon/hwmon1/in0_lcrit_alarm",
            "1\n",
        ),
        None,
        "under-voltage now (get_throttled)",
    ),
    "a processor that throttled": (
        changed(PC, "/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "7\n"),
        changed(PC, "/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "9\n"),
        "the processor throttled 2 times during the run (thermal_throttle)",
    ),
    "ondemand": (
        governed(PI4, "ondemand"),
        None,
        "the governor ondemand moves the clock of policy0: set it to performance",
    ),
    "schedutil": (
        governed(PI4, "schedutil"),
        None,
        "the governor schedutil moves the clock of policy0: set it to performance",
    ),
    "conservative": (
        governed(PI4, "conservative"),
        None,
        "the governor conservative moves the clock of policy0: set it to performance",
    ),
    "powersave on a PC": (
        governed(PC, "powersave"),
        None,
        "the governor powersave moves the clock of policy0: set it to performance",
    ),
    "another governor": (
        PI4,
        governed(PI4, "userspace"),
        "the governor of policy0 changed from performance to userspace",
    ),
    "a clock that moved": (PC, clocked(PC, 1_900_000), "the clock of policy0 moved from 2,500 MHz to 1,900 MHz"),
    "a clock that its governor did not ask for": (
        clocked(PI4, 600_000),
        None,
        "the clock of policy0 is 600 MHz, its governor asks for 1,800 MHz",
    ),
    "a hot Pi": (PI4, at(PI4, 78_400), "78.4 °C is too near to the limit of 80 °C: cool the board"),
    "a Pi that cooled down": (at(PI4, 79_900), PI4, "79.9 °C is too near to the limit of 80 °C: cool the board"),
    "a hot PC": (
        PC,
        at(PC, 97_000, "/sys/class/thermal/thermal_zone1"),
        "97.0 °C is too near to the limit of 100 °C: cool the board",
    ),
    "another program": (PI4, busy(PI4, 350), "other programs kept 0.8 cores busy during the run"),
    "four other programs": (PI4, busy(PI4, 800), "other programs kept 3.0 cores busy during the run"),
    "a busy hypervisor": (PC, busy(PC, 150, stolen=20), "a hypervisor took 10.0% of a core's time during the run"),
    "another program on the only core": (
        with_a_hog(fake_boards.pi_zero()),
        None,
        "other programs kept 0.9 cores busy before or after the run",
    ),
    "programs that wait for a core": (
        changed(PI4, "/proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n"),
        changed(PI4, "/proc/pressure/cpu", "some avg10=9.00 avg60=1.00 avg300=0.10 total=1500000\n"),
        "programs had to wait for a core in 25% of the run",
    ),
    "a load before": (
        changed(PI4, "/proc/loadavg", "3.92 1.00 0.31 5/180 1234\n"),
        None,
        "the load average was 3.92 before the run: end other programs, and wait a minute",
    ),
    "little memory": (
        changed(PI4, "/proc/meminfo", "MemTotal: 1000000 kB\nMemAvailable: 49000 kB\n"),
        None,
        "only 50,176,000 of 1,024,000,000 bytes of memory were available",
    ),
    "swapping": (
        PI4,
        changed(PI4, "/proc/vmstat", "pswpin 500\npswpout 30\n"),
        "500 pages were swapped during the run",
    ),
}


@pytest.mark.parametrize(("before", "after"), GOOD.values(), ids=GOOD)
def test_a_good_environment_is_not_flagged(before: FakeBoard, after: FakeBoard | None) -> None:
    assert judged(before, after) == ()


@pytest.mark.parametrize(("before", "after", "reason"), BAD.values(), ids=BAD)
def test_a_bad_environment_is_flagged_with_its_reason(before: FakeBoard, after: FakeBoard | None, reason: str) -> None:
    assert reason in judged(before, after)


def test_there_are_twenty_bad_environments() -> None:
    assert len(BAD) >= 20


@pytest.mark.parametrize(("threads", "void"), [(1, True), (4, False)])
def test_the_runs_own_threads_are_no_other_programs(threads: int, void: bool) -> None:
    assert bool(judged(PI4, busy(PI4, 790), threads=threads)) == void


def test_a_short_run_is_not_judged_by_its_load() -> None:
    before, after = (_board_state.read(board, lambda: 1.0) for board in (PI4, busy(PI4, 800)))

    assert _conditions.why_void(before, after.model_copy(update={"at_s": 1.4})) == ()


def test_one_of_many_cores_speaks_for_all() -> None:
    every = PC
    for policy in range(2):
        path = f"/sys/devices/system/cpu/cpufreq/policy{policy}/scaling_governor"
        every = changed(every, path, "powersave\n")

    assert judged(every) == ("the governor powersave moves the clock of policy0: set it to performance (and 1 more)",)


def test_several_reasons_are_all_told() -> None:
    hot = at(governed(throttled("0x4"), "ondemand"), 84_000)
    before, after = _board_state.read(hot, lambda: 1.0), _board_state.read(hot, lambda: 3.0)

    found = _conditions.of_run("latency", before, after)

    assert found is not None
    assert found.void == (
        "throttled now (get_throttled); the governor ondemand moves the clock of policy0: set it to performance; "
        "84.0 °C is too near to the limit of 80 °C: cool the board"
    )


def test_a_boards_state_holds_what_its_files_say() -> None:
    found = _board_state.read(PC, lambda: 7.0)

    assert found.model_dump(exclude={"clocks"}) == {
        "at_s": 7.0,
        "cores": 2,
        "temperature_c": 48.0,
        "temperature_limit_c": 100.0,
        "throttled_bits": None,
        "throttle_events": None,
        "load": 0.08,
        "busy_s": 15.1,
        "stolen_s": 0.0,
        "waited_s": None,
        "others_cores": None,
        "ram_bytes": 16_384_000_000,
        "available_ram_bytes": 12_288_000_000,
        "swapped_pages": 30,
    }
    assert [(clock.name, clock.governor, clock.current_khz) for clock in found.clocks] == [
        ("policy0", "performance", 2_500_000),
        ("policy1", "performance", 2_500_000),
    ]


@pytest.mark.parametrize("told", ["", "throttled=", "error=1 error_msg=...", "throttled=0xzz", "throttled=50000"])
def test_what_vcgencmd_should_not_say_is_not_read(told: str) -> None:
    assert _board_state.read(telling(PI4, "vcgencmd get_throttled", told)).throttled_bits is None


def test_bare_metal_and_emulated_boards_are_not_looked_at(board: Any, process: Any) -> None:
    assert _conditions.look(board) is None
    process.board = PI4
    assert isinstance(_conditions.look(process), BoardState)
    process.emulated = True
    assert _conditions.look(process) is None
    assert _conditions.of_run("latency", None, None) is None


@pytest.mark.parametrize("seed", range(40))
def test_no_text_in_any_file_is_an_error(seed: int) -> None:
    chance = random.Random(seed)
    texts = [
        "",
        "\n",
        "-1\n",
        "9" * 5_000,
        "0x",
        "1 2 3",
        "throttled=0x" + "f" * 5_000,
        "cpu " + "1 " * 12,
        "0-9" * 9,
        "cpu " + "9" * 5_000 + "x",
        "\n" * 9_000,
    ]
    base = fake_boards.pi4() if seed % 2 else PC
    files = {path: chance.choice([text, *texts]) if isinstance(text, str) else "" for path, text in base.files.items()}
    programs = {words: chance.choice([text, None, *texts]) for words, text in base.programs.items()}
    damaged = FakeBoard(files=files, programs=programs)

    assert isinstance(judged(damaged, base), tuple)
    assert isinstance(judged(base, damaged), tuple)
    assert _probe.probe(damaged, "/home/pi").folder == "/home/pi"
    for name in plugins.names("measure.meters"):
        assert plugins.find("measure.meters", name, where="test").find(damaged)
