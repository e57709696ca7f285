"""Every module of measure/meters/, found by its name, keeps the contract; each reads its instrument's figures right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import fake_boards
import pytest
from fake_boards import FakeBoard, changed, telling

from edgecompress.core import plugins, target
from edgecompress.core.errors import UnreachableError
from edgecompress.measure.meters._meter import Meter

HWMON = "/sys/class/hwmon"
RAPL = "/sys/class/powercap"
PMIC = """\
     3V7_WL_SW_A current(0)=0.10000000A
       3V3_SYS_A current(1)=0.20000000A
      VDD_CORE_A current(7)=2.00000000A
     3V7_WL_SW_V volt(8)=3.70000000V
       3V3_SYS_V volt(9)=3.30000000V
      VDD_CORE_V volt(15)=0.80000000V
         EXT5V_V volt(24)=5.14794000V
          BATT_V volt(25)=0.00000000V
"""
PMIC_WATTS = 0.1 * 3.7 + 0.2 * 3.3 + 2.0 * 0.8


def with_files(board: FakeBoard, folder: str, **files: str) -> FakeBoard:
    for name, text in files.items():
        board = changed(board, f"{folder}/{name}", f"{text}\n")
    return board


def ina219(chip: str = "hwmon2", name: str = "ina219") -> FakeBoard:
    other = with_files(fake_boards.pi4(), f"{HWMON}/hwmon0", name="cpu_thermal", temp1_input="48312")
    return with_files(other, f"{HWMON}/{chip}", name=name, in1_input="5120", curr1_input="640", power1_input="3280000")


def ina3221(**files: str) -> FakeBoard:
    channels = {
        "name": "ina3221", "in1_label": "CPU", "in1_input": "5000", "curr1_input": "400",
        "in2_label": "GPU", "in2_input": "5008", "curr2_input": "200", "in3_label": "SOC", "in3_input": "5000",
        "curr3_input": "100", "in1_enable": "1", "in2_enable": "1", "in3_enable": "1", "in4_input": "1",
    }  # fmt: skip
    return with_files(fake_boards.pi4(), f"{HWMON}/hwmon7", **{**channels, **files})


def rapl(
    *counts: int, zone: str = "intel-rapl:0", name: str = "package-0", board: FakeBoard | None = None
) -> FakeBoard:
    told: Iterator[int] = iter(counts)
    last = counts[-1]
    there = with_files(board or fake_boards.pc(), f"{RAPL}/{zone}", name=name, max_energy_range_uj="262143328850")
    there.files[f"{RAPL}/{zone}/energy_uj"] = lambda: f"{next(told, last)}\n"
    return there


@dataclass(frozen=True, kw_only=True)
class Example:
    """A board with the instrument, the same one when it does not answer any more, and what it reads first."""

    board: FakeBoard
    dead: FakeBoard
    first: float


def examples() -> dict[str, Example]:
    """New ones each time: counters go on."""
    return {
        "hwmon": Example(board=ina219(), dead=ina219().without(f"{HWMON}/hwmon2"), first=3.28),
        "rpi5_pmic": Example(
            board=telling(fake_boards.pi5(), "vcgencmd pmic_read_adc", PMIC),
            dead=telling(fake_boards.pi5(), "vcgencmd pmic_read_adc", None),
            first=PMIC_WATTS,
        ),
        "rapl": Example(board=rapl(1_000, 3_500_000), dead=fake_boards.pc(), first=3.499),
    }


EVERY = plugins.names("measure.meters")


def find(name: str, board: FakeBoard) -> Meter | str:
    found: Meter | str = plugins.find("measure.meters", name, where="test").find(board)
    return found


def meter(name: str, board: FakeBoard) -> Meter:
    found = find(name, board)
    assert isinstance(found, Meter), found
    return found


def test_every_meter_has_an_example_here() -> None:
    assert tuple(sorted(examples())) == EVERY


@pytest.mark.parametrize("name", EVERY)
def test_a_meter_says_what_it_is_and_reads_watts_or_joules(name: str) -> None:
    example = examples()[name]
    found = meter(name, example.board)

    assert all((found.instrument, found.covers, found.resolution))
    assert found.quantity in {"W", "J"}
    assert found.read() == pytest.approx(example.first)


@pytest.mark.parametrize("name", EVERY)
def test_a_board_without_the_instrument_gets_a_reason(name: str) -> None:
    for board in (FakeBoard(), examples()[name].dead):
        reason = find(name, board)

        assert isinstance(reason, str)
        assert len(reason) > 10


@pytest.mark.parametrize("name", EVERY)
def test_an_instrument_that_stops_answering_reads_none(name: str) -> None:
    example = examples()[name]
    board, dead = example.board, example.dead
    dying = FakeBoard(files=dict(board.files), programs=dict(board.programs))
    found = meter(name, dying)

    dying.files, dying.programs = dead.files, dead.programs

    assert found.read() is None


@pytest.mark.parametrize("name", EVERY)
def test_a_lost_board_is_no_missing_instrument(name: str) -> None:
    with pytest.raises(UnreachableError):
        find(name, FakeBoard(lost=True))


def test_the_meters_of_every_target_exist() -> None:
    named = {name for each in map(target.load, target.names()) for name in each.meters}

    assert named <= set(EVERY)
    assert {"hwmon", "rpi5_pmic", "rapl"} <= named


@pytest.mark.parametrize("name", ["ina219", "ina226", "ina260"])
def test_a_power_monitor_is_found_by_its_name_whatever_its_number(name: str) -> None:
    found = meter("hwmon", ina219("hwmon11", name))

    assert found.instrument == f"{name.upper()} (hwmon11), power1_input"
    assert found.read() == pytest.approx(3.28)


def test_a_power_monitor_says_how_long_it_averages() -> None:
    found = meter("hwmon", changed(ina219(), f"{HWMON}/hwmon2/update_interval", "35\n"))

    assert "averaged over 35 ms" in found.resolution


def test_a_power_monitor_says_which_shunt_its_driver_believes_in() -> None:
    found = meter("hwmon", changed(ina219(), f"{HWMON}/hwmon2/shunt_resistor", "100000\n"))

    assert found.resolution == (
        "steps of its power register; the tolerance of its shunt, 100 mΩ by the driver's setting, comes on top"
    )


def test_the_channels_of_an_ina3221_are_multiplied_and_added() -> None:
    found = meter("hwmon", ina3221())

    assert found.instrument == "INA3221 (hwmon7), voltage times current of CPU, GPU, SOC"
    assert found.read() == pytest.approx(5.0 * 0.4 + 5.008 * 0.2 + 5.0 * 0.1)


def test_a_channel_that_is_off_does_not_count() -> None:
    assert meter("hwmon", ina3221(in2_enable="0")).read() == pytest.approx(5.0 * 0.4 + 5.0 * 0.1)


def test_the_channel_that_feeds_the_others_counts_alone() -> None:
    found = meter("hwmon", ina3221(in1_label="VDD_IN"))

    assert found.instrument == "INA3221 (hwmon7), voltage times current of VDD_IN"
    assert found.read() == pytest.approx(5.0 * 0.4)


def test_two_power_monitors_are_not_guessed_between() -> None:
    two = with_files(ina219(), f"{HWMON}/hwmon9", name="ina226", power1_input="100")

    assert find("hwmon", two) == "INA219 (hwmon2), INA226 (hwmon9): which of them feeds the board is not known"


def test_monitors_without_their_files_say_so() -> None:
    bare = with_files(FakeBoard(), f"{HWMON}/hwmon1", name="ina219")
    empty = with_files(FakeBoard(), f"{HWMON}/hwmon1", name="ina3221")

    assert find("hwmon", bare) == "INA219 (hwmon1) gives no power1_input"
    assert find("hwmon", empty) == "INA3221 (hwmon1) has no channel with voltage and current"


def test_a_pmic_that_is_not_that_of_a_raspberry_pi_5_is_not_read() -> None:
    pi4 = telling(fake_boards.pi4(), "vcgencmd pmic_read_adc", 'error=1 error_msg="Command not registered"\n')

    assert find("rpi5_pmic", pi4) == (
        "vcgencmd pmic_read_adc tells no rail with volts and amperes: only a Raspberry Pi 5 has them"
    )
    assert find("rpi5_pmic", fake_boards.pc()) == "vcgencmd is not installed there"
    assert find("rpi5_pmic", examples()["rpi5_pmic"].dead) == (
        "vcgencmd pmic_read_adc failed with exit code 1: is the user in the group video?"
    )


def test_a_counter_that_wraps_goes_on_growing() -> None:
    found = meter("rapl", rapl(262_143_000_000, 262_143_300_000, 671_150, 1_671_150))

    assert [found.read() for _ in range(3)] == pytest.approx([0.3, 1.0, 2.0])


def test_all_packages_count_and_their_parts_do_not() -> None:
    board = rapl(0, 1_000_000)
    board = rapl(0, 2_000_000, zone="intel-rapl:1", name="package-1", board=board)
    board = rapl(0, 700_000, zone="intel-rapl:0:0", name="core", board=board)
    board = rapl(0, 900_000, zone="intel-rapl:2", name="psys", board=board)
    board = rapl(0, 1_000_000, zone="intel-rapl-mmio:0", board=board)

    found = meter("rapl", board)

    assert found.instrument == "RAPL energy counter of 2 processor packages"
    assert found.read() == pytest.approx(3.0)


def test_a_counter_that_only_root_may_read_says_so() -> None:
    board = rapl(1)
    board.files[f"{RAPL}/intel-rapl:0/energy_uj"] = lambda: None

    assert find("rapl", board) == (
        "/sys/class/powercap/intel-rapl:0/energy_uj may be read by root only (since Linux 5.10): allow it, "
        "or deploy as root"
    )
