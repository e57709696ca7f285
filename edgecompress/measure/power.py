"""What the board draws idle and while it runs inferences, and what energy one inference takes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from edgecompress.core import plugins
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.values import Array, Conditions, Evidence, Measurement, Measurements
from edgecompress.measure import _conditions, _outputs
from edgecompress.measure._recorder import RATE_HZ, Recorder, Recording
from edgecompress.measure.meters._meter import Meter

UNITS = {"idle_power_w": "W", "power_w": "W", "energy_mj": "mJ", "energy_above_idle_mj": "mJ"}
MILLI = 1e3
CALL_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long to watch, in seconds: idle, and the load, each after a time to settle. Readings a second."""

    idle_s: float = 2.0
    settle_s: float = 0.5
    load_s: float = 5.0
    rate_hz: float = RATE_HZ
    least_readings: int = 10


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What the meter said idle and under load, and the load between its two markers: `wall_s` long, of which the device
    spent `busy_s` in `inferences`. `died` says why the meter was of no use.
    """

    idle: Recording
    load: Recording
    inferences: int
    busy_s: float
    wall_s: float


def read(device: Device, bundle: Bundle, evidence: Evidence) -> Measurements:
    """Measure with the first of the target's meters that the board has; missing, with every meter's reason, without."""
    meter = choose(device)
    if isinstance(meter, str):
        return Measurements(metrics=_missing(meter))
    inputs, _ = bundle.vectors()
    evidence.progress("measure power", 0, 1)
    before = _conditions.look(device)
    watched = watch(device, meter, _outputs.one(inputs, 0), Plan())
    run = _conditions.of_run("power", before, _conditions.look(device))
    evidence.progress("measure power", 1, 1)
    runs = () if run is None else (run,)
    return Measurements(metrics=figures(watched, meter, Plan(), run), conditions=runs)


def choose(device: Device) -> Meter | str:
    """Find the meter to read, or say why there is none."""
    if device.emulated:
        return f"{device.description} is emulated: it draws no power of its own"
    if device.board is None:
        return "only a board with an operating system tells its power"
    target, reasons = device.target, []
    for name in target.meters:
        module = plugins.find("measure.meters", name, where=f"target {target.name}: meters")
        found: Meter | str = module.find(device.board)
        if isinstance(found, Meter):
            return found
        reasons.append(f"{name}: {found}")
    return "; ".join(reasons) or f"the target {target.name} names no meters"


def watch(device: Device, meter: Meter, sample: Mapping[str, Array], plan: Plan) -> Watched:
    """Read the meter while nothing runs, and while one inference follows the other.

    Both markers are taken around RUN by the clock that the readings carry. The first part of either does not count: a
    meter averages over what was before.
    """
    a_call = _inferences_a_call(device, sample)
    ticks: list[int] = []
    with Recorder(meter, plan.rate_hz) as recorder:
        time.sleep(plan.settle_s)
        idle_from = time.monotonic()
        time.sleep(plan.idle_s)
        begin = time.monotonic()
        while time.monotonic() < begin + plan.settle_s + plan.load_s:
            ticks += device.run(sample, repeat=a_call).ticks
        end = time.monotonic()
    whole = recorder.recording()
    return Watched(
        idle=whole.between(idle_from, begin),
        load=whole.between(begin + plan.settle_s, end),
        inferences=len(ticks),
        busy_s=sum(ticks) / device.describe().ticks_per_second,
        wall_s=end - begin,
    )


def _inferences_a_call(device: Device, sample: Mapping[str, Array]) -> int:
    """As many as take about `CALL_S` on the wall: inputs are written at the beginning of each call."""
    begin = time.monotonic()
    count = len(device.run(sample, repeat=2).ticks)
    return max(1, int(CALL_S * count / max(time.monotonic() - begin, 1e-6)))


def figures(watched: Watched, meter: Meter, plan: Plan, run: Conditions | None) -> tuple[Measurement, ...]:
    """Power, and energy an inference: what it takes above idle, and with the idle power of the time that it takes.

    Between two inferences the host asks and the device answers; that time is taken at idle power, and so falls out of
    the energy above idle.
    """
    why = _why_useless(watched, plan)
    if why is not None:
        return _missing(why)
    idle_w, load_w = watched.idle.mean_watts, watched.load.mean_watts
    above_mj = (load_w - idle_w) * watched.wall_s / watched.inferences * MILLI
    whole_mj = above_mj + idle_w * watched.busy_s / watched.inferences * MILLI
    error_w = math.hypot(watched.idle.standard_error_watts, watched.load.standard_error_watts)
    error_mj = error_w * watched.wall_s / watched.inferences * MILLI
    reasons = [run.void] if run is not None and run.void is not None else []
    if above_mj <= 0:
        reasons.append(f"the board drew no more power under load ({load_w:.3f} W) than idle ({idle_w:.3f} W)")
    void = "; ".join(reasons) or None
    energy = {
        "threads": "1",
        "input": "test vector 0",
        "inferences": f"{watched.inferences:,} in {watched.wall_s:.2f} s",
        "at work": f"{watched.busy_s / watched.wall_s:.0%} of that time",
        "uncertainty": f"± {error_mj:.3g} mJ by the readings' spread (standard error)",
        "resolution": meter.resolution,
        "covers": meter.covers,
    }
    return (
        _power("idle_power_w", watched.idle, meter, void),
        _power("power_w", watched.load, meter, void),
        _energy("energy_mj", whole_mj, meter, energy, void),
        _energy("energy_above_idle_mj", above_mj, meter, energy, void),
    )


def _why_useless(watched: Watched, plan: Plan) -> str | None:
    died = watched.idle.died or watched.load.died
    if died is not None:
        return died
    for what, recording in (("idle", watched.idle), ("under load", watched.load)):
        if len(recording.readings) < plan.least_readings:
            return f"the meter gave only {len(recording.readings)} readings {what}; {plan.least_readings} are needed"
    return None


def _power(metric: str, recording: Recording, meter: Meter, void: str | None) -> Measurement:
    count, seconds = len(recording.readings), recording.duration_s
    return Measurement(
        metric=metric,
        unit=UNITS[metric],
        value=recording.mean_watts,
        samples=recording.watts,
        instrument=meter.instrument,
        conditions={
            "readings": f"{count:,} in {seconds:.2f} s ({(count - 1) / seconds:.1f} a second)",
            "uncertainty": f"± {recording.standard_error_watts:.3g} W by the readings' spread (standard error)",
            "resolution": meter.resolution,
            "covers": meter.covers,
        },
        void=void,
    )


def _energy(metric: str, value: float, meter: Meter, conditions: dict[str, str], void: str | None) -> Measurement:
    return Measurement(
        metric=metric,
        unit=UNITS[metric],
        value=value,
        samples=(value,),
        instrument=meter.instrument,
        conditions=conditions,
        void=void,
    )


def _missing(why: str) -> tuple[Measurement, ...]:
    """Without a meter one row says so; four would say no more."""
    return (Measurement(metric="energy_mj", unit=UNITS["energy_mj"], value=None, missing=why),)
