"""A real program on this machine, measured on a board that says of itself what a test wants: from sensor to page.

The clock and the load are real; the board's files and vcgencmd are not, since no machine throttles on demand.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import fake_boards
import pytest
from fake_boards import FakeBoard, telling

from edgecompress import pipeline
from edgecompress.core import target as targets
from edgecompress.core.device import Device
from edgecompress.core.errors import QualityError
from edgecompress.core.recipe import Limits
from edgecompress.core.report import Baseline, Report, assemble, candidate
from edgecompress.core.values import Evidence, Measurement, Measurements
from edgecompress.deploy._local_board import LocalBoard
from edgecompress.deploy.local import LocalLink
from edgecompress.measure import latency, layers, memory, power
from edgecompress.measure.power import Plan
from edgecompress.report import html, json_file, markdown

NETWORK = "kws_dscnn"
CHIP = "/sys/class/hwmon/hwmon3"
POWERCAP = "/sys/class/powercap/intel-rapl:0"
IDLE_W, WORKING_W = 2.0, 12.0
QUICK = Plan(idle_s=0.8, settle_s=0.2, load_s=1.5, least_readings=8)


@pytest.fixture
def evidence(compiled: Callable[..., Any]) -> Evidence:
    model = compiled(NETWORK).model
    return Evidence(model=model, baseline=model)


@pytest.fixture
def running(compiled: Callable[..., Any]) -> Callable[..., Any]:
    """Start the network's program here, on a board of the test's own; `meters` are the target's."""

    @contextmanager
    def start(board: Any, *meters: str) -> Iterator[tuple[Device, Any]]:
        bundle = compiled(NETWORK).bundle
        target = targets.load("host")
        link = LocalLink(target)
        link.board = board
        with Device(link, target.model_copy(update={"meters": meters})) as device:
            device.install(bundle)
            yield device, bundle

    return start


def named(found: Measurements, metric: str) -> Measurement:
    return next(m for m in found.metrics if m.metric == metric)


def cpu_seconds_of(program: Path) -> Callable[[], float]:
    """Count the CPU time of the process that runs a program."""
    (process,) = (one for one in Path("/proc").glob("[0-9]*") if _runs(one, program))
    return lambda: int((process / "schedstat").read_text().split()[0]) * 1e-9


def _runs(process: Path, program: Path) -> bool:
    try:
        return (process / "exe").resolve(strict=True) == program.resolve()
    except OSError:
        return False


def with_chip(watts: Callable[[], float | None]) -> FakeBoard:
    """A Raspberry Pi Zero with an INA219."""
    board = fake_boards.pi_zero()

    def microwatts() -> str | None:
        now = watts()
        return None if now is None else f"{now * 1e6:.0f}\n"

    board.files[f"{CHIP}/name"] = "ina219\n"
    board.files[f"{CHIP}/power1_input"] = microwatts
    return board


def drawing_power(program: Path) -> Callable[[], float]:
    """What a board would draw: the idle power, and 10 W more for the share of the time that the program worked."""
    used = cpu_seconds_of(program)
    last = [time.monotonic(), used()]

    def watts() -> float:
        before_s, before = last
        last[:] = [time.monotonic(), used()]
        return IDLE_W + (WORKING_W - IDLE_W) * (last[1] - before) / max(last[0] - before_s, 1e-6)

    return watts


def test_a_time_has_enough_samples_its_percentiles_and_its_conditions(
    running: Callable[..., Any], evidence: Evidence
) -> None:
    with running(fake_boards.pi_zero()) as (device, bundle):
        found = latency.read(device, bundle, evidence)

    timed = named(found, "latency_us")
    assert len(timed.samples) >= 200
    shares = timed.percentiles
    assert shares["min"] <= shares["median"] <= shares["p90"] <= shares["p95"] <= shares["p99"] <= shares["max"]
    assert timed.value == shares["median"]
    (run,) = found.conditions
    assert run.void is None
    assert run.after.at_s - run.before.at_s >= sum(timed.samples) * 1e-6


def report_of(bundle: Any, *found: Measurements, limits: Limits) -> Report:
    return assemble(
        name=NETWORK,
        created=datetime(2026, 1, 2, tzinfo=UTC),
        target=targets.load("host"),
        device="a board",
        emulated=False,
        baseline=Baseline(name=NETWORK, dtype="int8", parameter_bytes=1),
        candidates=[candidate(bundle.manifest, found, limits)],
    )


def test_a_board_that_throttles_meanwhile_makes_its_figures_void_up_to_the_page(
    running: Callable[..., Any], evidence: Evidence
) -> None:
    asked = count()
    board = telling(
        fake_boards.pi_zero(), "vcgencmd get_throttled", lambda: f"throttled=0x{'40004' if next(asked) else '0'}\n"
    )

    with running(board) as (device, bundle):
        timed = latency.read(device, bundle, evidence)
        profiled = layers.read(device, bundle, evidence)
        stored = memory.read(device, bundle, evidence)
    report = report_of(bundle, timed, profiled, stored, limits=Limits(latency_us=1e9, flash_bytes=10**9))

    assert named(timed, "latency_us").value
    assert named(stored, "flash_bytes").void is None
    why = "throttled now (get_throttled); throttled during the run (get_throttled)"
    limit, kept = sorted(report.candidates[0].limits, key=lambda limit: limit.passed)
    assert (limit.metric, kept.metric, kept.passed) == ("latency_us", "flash_bytes", True)
    assert str(limit.void).startswith(why)
    with pytest.raises(QualityError, match=r"latency_us is [\d,.e+]+ \(VOID: throttled now") as missed:
        pipeline.raise_if_limits_missed(report)
    assert missed.value.exit_code == 6
    assert json.loads(json_file.render(report))["candidates"][0]["conditions"][0]["void"] == why
    assert f"VOID {why}".replace("_", "\\_") in markdown.render(report)
    assert html.render(report).count('<span class="void">VOID</span>') == 6


def test_energy_is_the_power_above_idle_times_the_work(running: Callable[..., Any], evidence: Evidence) -> None:
    board = fake_boards.pi_zero()

    with running(board, "hwmon") as (device, bundle):
        board.files.update(with_chip(drawing_power(bundle.program)).files)
        meter = power.choose(device)
        assert not isinstance(meter, str)
        used = cpu_seconds_of(bundle.program)
        before = used()
        watched = power.watch(device, meter, {name: v[0] for name, v in bundle.vectors()[0].items()}, QUICK)
        work_s = (used() - before) / watched.inferences
        found = {m.metric: m for m in power.figures(watched, meter, QUICK, None)}

    assert found["idle_power_w"].value == pytest.approx(IDLE_W, abs=0.5)
    assert IDLE_W + 0.2 < found["power_w"].value < WORKING_W + 2.0
    assert found["energy_above_idle_mj"].value == pytest.approx((WORKING_W - IDLE_W) * work_s * 1e3, rel=0.5)
    whole, above = found["energy_mj"].value, found["energy_above_idle_mj"].value
    assert whole - above == pytest.approx(IDLE_W * watched.busy_s / watched.inferences * 1e3, rel=0.3)
    assert found["energy_mj"].instrument == "INA219 (hwmon3), power1_input"


def test_a_counter_of_energy_gives_the_same(running: Callable[..., Any], evidence: Evidence) -> None:
    """RAPL's counter wraps in the middle of the load."""
    board = fake_boards.pc()
    wraps_at, begin_s = 30_000_000, time.monotonic()

    with running(board, "rapl") as (device, bundle):
        used = cpu_seconds_of(bundle.program)
        at_start = used()

        def microjoules() -> str:
            joules = IDLE_W * (time.monotonic() - begin_s) + (WORKING_W - IDLE_W) * (used() - at_start)
            return f"{int(joules * 1e6 + 25_000_000) % wraps_at}\n"

        board.files[f"{POWERCAP}/name"] = "package-0\n"
        board.files[f"{POWERCAP}/max_energy_range_uj"] = f"{wraps_at}\n"
        board.files[f"{POWERCAP}/energy_uj"] = microjoules
        meter = power.choose(device)
        assert not isinstance(meter, str)
        before = used()
        watched = power.watch(device, meter, {name: v[0] for name, v in bundle.vectors()[0].items()}, QUICK)
        work_s = (used() - before) / watched.inferences
        found = {m.metric: m for m in power.figures(watched, meter, QUICK, None)}

    assert min(found["power_w"].samples) > 0
    assert found["idle_power_w"].value == pytest.approx(IDLE_W, abs=0.5)
    assert found["energy_above_idle_mj"].value == pytest.approx((WORKING_W - IDLE_W) * work_s * 1e3, rel=0.5)


def test_a_meter_that_is_pulled_out_leaves_no_figure_and_the_rest_of_the_run(
    running: Callable[..., Any], evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = count()
    monkeypatch.setattr(power, "Plan", lambda: QUICK)

    with running(with_chip(lambda: 3.0 if next(readings) < 7 else None), "hwmon") as (device, bundle):
        found = power.read(device, bundle, evidence)
        timed = latency.read(device, bundle, evidence)

    (energy,) = found.metrics
    assert energy.missing == "INA219 (hwmon3), power1_input did not answer any more after 6 readings"
    assert [run.run for run in found.conditions] == ["power"]
    assert named(timed, "latency_us").value


def test_this_machine_is_looked_at_without_error(running: Callable[..., Any], evidence: Evidence) -> None:
    with running(LocalBoard(), "rpi5_pmic", "hwmon", "rapl") as (device, bundle):
        found = latency.read(device, bundle, evidence)
        energy = power.choose(device)

    run = found.conditions[0]
    assert run.before.ram_bytes
    assert run.before.load is not None
    assert run.after.busy_s > run.before.busy_s
    assert not isinstance(energy, str) or {"rpi5_pmic: ", "hwmon: ", "rapl: "} <= set(words_in(energy))


def words_in(reasons: str) -> list[str]:
    return [f"{reason.split(':')[0]}: " for reason in reasons.split("; ")]
