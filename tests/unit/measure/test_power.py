"""Power and energy: what readings come to, and what is said when there are none."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import count
from typing import Any

import fake_boards
import pytest
from fake_boards import FakeBoard, changed

from edgecompress.core.errors import UnreachableError
from edgecompress.core.values import Conditions, Evidence, Measurement
from edgecompress.measure import _board_state, power
from edgecompress.measure._recorder import Reading, Recording
from edgecompress.measure.meters._meter import Meter
from edgecompress.measure.power import Plan, Watched

QUICK = Plan(idle_s=0.06, settle_s=0.01, load_s=0.06, rate_hz=500.0, least_readings=3)


def meter(read: Any = lambda: 3.0, quantity: Any = "W") -> Meter:
    return Meter(instrument="a meter", quantity=quantity, covers="the board", resolution="1 mW", read=read)


def recorded(*readings: tuple[float, float], quantity: Any = "W", died: str | None = None) -> Recording:
    return Recording(
        quantity=quantity, readings=tuple(Reading(at_s=at, value=value) for at, value in readings), died=died
    )


def steady(watts: float, begin: float, end: float) -> Recording:
    return recorded(*((begin + i * (end - begin) / 20, watts) for i in range(21)))


WATCHED = Watched(
    idle=steady(2.0, 0.0, 2.0), load=steady(5.0, 2.5, 7.0), inferences=1000, busy_s=4.0, wall_s=5.0
)  # fmt: skip


def named(found: tuple[Measurement, ...]) -> dict[str, Measurement]:
    return {measurement.metric: measurement for measurement in found}


def test_readings_at_unequal_times_are_joined_by_trapezoids() -> None:
    uneven = recorded((0.0, 1.0), (1.0, 3.0), (1.5, 3.0), (4.0, 1.0))

    assert uneven.mean_watts == pytest.approx((2.0 * 1.0 + 3.0 * 0.5 + 2.0 * 2.5) / 4.0)


def test_a_counter_gives_the_difference_over_its_time() -> None:
    counter = recorded((10.0, 100.0), (10.5, 102.0), (12.0, 103.5), quantity="J")

    assert counter.watts == pytest.approx((4.0, 1.0))
    assert counter.mean_watts == pytest.approx(3.5 / 2.0)


def test_only_readings_between_the_markers_count() -> None:
    around = recorded((0.9, 100.0), (1.0, 2.0), (1.5, 2.0), (2.0, 2.0), (2.1, 100.0)).between(1.0, 2.0)

    assert (around.mean_watts, len(around.readings)) == (2.0, 3)


def test_energy_is_that_of_the_inference_and_not_of_the_wire() -> None:
    found = named(power.figures(WATCHED, meter(), Plan(), None))

    assert (found["idle_power_w"].value, found["power_w"].value) == pytest.approx((2.0, 5.0))
    assert found["energy_above_idle_mj"].value == pytest.approx((5.0 - 2.0) * 5.0 / 1000 * 1e3)
    assert found["energy_mj"].value == pytest.approx(15.0 + 2.0 * 4.0 / 1000 * 1e3)
    assert {m.unit for m in found.values()} == {"W", "mJ"}
    assert {m.how for m in found.values()} == {"measured"}


def test_a_figure_states_its_readings_its_uncertainty_and_what_the_meter_sees() -> None:
    noisy = Recording(
        quantity="W",
        readings=tuple(Reading(at_s=2.5 + i / 10, value=5.0 + (0.1 if i % 2 else -0.1)) for i in range(41)),
    )
    found = named(power.figures(replace(WATCHED, load=noisy), meter(), Plan(), None))

    assert found["power_w"].conditions == {
        "readings": "41 in 4.00 s (10.0 a second)",
        "uncertainty": "± 0.0158 W by the readings' spread (standard error)",
        "resolution": "1 mW",
        "covers": "the board",
    }
    assert found["energy_mj"].conditions == {
        "threads": "1",
        "input": "test vector 0",
        "inferences": "1,000 in 5.00 s",
        "at work": "80% of that time",
        "uncertainty": "± 0.079 mJ by the readings' spread (standard error)",
        "resolution": "1 mW",
        "covers": "the board",
    }
    assert len(found["power_w"].samples) == 41


def test_a_meter_that_died_leaves_no_figure() -> None:
    dead = replace(WATCHED, load=recorded((2.5, 5.0), died="a meter did not answer any more after 9 readings"))

    found = power.figures(dead, meter(), Plan(), None)

    assert [(m.metric, m.value, m.missing) for m in found] == [
        ("energy_mj", None, "a meter did not answer any more after 9 readings"),
    ]


def test_a_meter_that_hardly_answers_leaves_no_figure() -> None:
    slow = replace(WATCHED, load=recorded((2.5, 5.0), (6.0, 5.0)))

    assert power.figures(slow, meter(), Plan(), None)[0].missing == (
        "the meter gave only 2 readings under load; 10 are needed"
    )


def test_a_board_that_draws_no_more_under_load_makes_the_energy_void() -> None:
    found = power.figures(replace(WATCHED, load=steady(1.9, 2.5, 7.0)), meter(), Plan(), None)

    assert {m.void for m in found} == {"the board drew no more power under load (1.900 W) than idle (2.000 W)"}


def test_a_run_under_bad_conditions_makes_power_void() -> None:
    state = _board_state.read(fake_boards.pi4())
    run = Conditions(run="power", before=state, after=state, void="throttled now (get_throttled)")

    assert {m.void for m in power.figures(WATCHED, meter(), Plan(), run)} == {"throttled now (get_throttled)"}


NO_METER = (
    "rapl: the kernel knows no package's energy counter (/sys/class/powercap); "
    "hwmon: no INA219, INA226 or INA3221 is known to the kernel (/sys/class/hwmon)"
)


@pytest.mark.parametrize(
    ("board", "why"),
    [
        (FakeBoard(), NO_METER),
        (None, "only a board with an operating system tells its power"),
    ],
)
def test_without_a_meter_every_meters_reason_is_told(
    process: Any, bundle: Any, evidence: Evidence, board: FakeBoard | None, why: str
) -> None:
    process.board = board
    process.target = process.target.model_copy(update={"meters": ("rapl", "hwmon")})

    found = power.read(process, bundle, evidence)

    assert [(m.metric, m.missing) for m in found.metrics] == [("energy_mj", why)]


def test_an_emulated_board_has_no_power_even_where_its_host_has_a_meter(
    board: Any, bundle: Any, evidence: Evidence
) -> None:
    board.board = with_power_monitor()

    found = power.read(board, bundle, evidence)

    assert {m.missing for m in found.metrics} == {"fake board is emulated: it draws no power of its own"}


def test_a_target_without_meters_says_so(process: Any) -> None:
    process.board = with_power_monitor()

    assert power.choose(process) == "the target host names no meters"


def test_the_first_meter_that_the_board_has_is_read(process: Any) -> None:
    process.board = with_power_monitor()
    process.target = process.target.model_copy(update={"meters": ("rpi5_pmic", "hwmon")})

    found = power.choose(process)

    assert isinstance(found, Meter)
    assert found.instrument == "INA219 (hwmon2), power1_input"


def test_a_load_is_watched_between_its_markers(process: Any) -> None:
    working = []

    def run(inputs: Any, repeat: int = 1) -> Any:
        working.append(True)
        time.sleep(0.01)
        working.pop()
        return Run(repeat)

    process.run = run
    watched = power.watch(process, meter(lambda: 5.0 if working else 2.0), {}, QUICK)

    assert watched.idle.mean_watts == pytest.approx(2.0)
    assert watched.load.mean_watts > 4.0
    assert watched.wall_s >= QUICK.settle_s + QUICK.load_s
    assert watched.busy_s == pytest.approx(watched.inferences * 1e-4)


@pytest.mark.parametrize("fails", [True, False])
def test_a_meter_that_dies_meanwhile_says_after_how_many_readings(process: Any, fails: bool) -> None:
    readings = count()

    def read() -> float | None:
        if next(readings) < 4:
            return 3.0
        if fails:
            raise UnreachableError("the connection was lost")
        return None

    watched = power.watch(process, meter(read), {"x": fake_input()}, QUICK)

    expected = "a meter: the connection was lost" if fails else "a meter did not answer any more after 4 readings"
    assert power.figures(watched, meter(), QUICK, None)[0].missing == expected


class Run:
    """What a device gives: every inference takes 100 ticks."""

    def __init__(self, repeat: int) -> None:
        self.ticks = (100,) * repeat


def fake_input() -> Any:
    import numpy as np

    return np.zeros(3, np.float32)


def with_power_monitor() -> FakeBoard:
    named_chip = changed(fake_boards.pi4(), "/sys/class/hwmon/hwmon2/name", "ina219\n")
    return changed(named_chip, "/sys/class/hwmon/hwmon2/power1_input", "3280000\n")
