"""How long one inference takes: every sample kept, the first inference of every call left out as a warm-up."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

from edgecompress.core import linux
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.errors import TransferError
from edgecompress.core.values import Array, BoardState, Conditions, Evidence, Measurement, Measurements
from edgecompress.measure import _clock, _conditions, _exits, _outputs, _steady

COUNTED_A_CALL = 5
"""An emulator counts the same instructions every time; a few inferences show that it does."""
FIRST_TIMED = 5
"""So many tell how long an inference takes, and with that how many to take."""
LEAST_SAMPLES, LEAST_S = 200, 1.0
"""A 99th percentile needs some hundred samples; a clock needs a second to show that it moves."""
MOST_SAMPLES, MOST_S = 5_000, 20.0
"""Nobody waits longer for a slow network; more samples of a fast one tell nothing new."""
CALL_S = 2.0
MOST_DRIFT = 0.1
"""Where the last quarter is this much slower or faster than the first, there is no steady state to quote."""

Sample = Mapping[str, Array]


@dataclass(frozen=True, kw_only=True)
class _Series:
    """Ticks of inferences in order, the first one of every call left out, and the board around them."""

    ticks: tuple[int, ...]
    calls: int
    threads: int
    before: BoardState | None = None
    after: BoardState | None = None


def read(device: Device, bundle: Bundle, evidence: Evidence) -> Measurements:
    """Time inferences of the first test vector; the value is the median of the steady state.

    Executed instructions on an emulated device, exactly `evidence.repeat` times. Microseconds by the device's own clock
    on a real one: at least `evidence.repeat` times, at least 200 times and for a second, unless that takes more than
    20 s; first on one thread, then on as many as the board has cores. The other of the two metrics is there as missing,
    with the reason.
    Where a network has early exits its cost depends on the input: then the samples are different inputs, the value is
    their mean, and the conditions say where they left.
    """
    inputs, _ = bundle.vectors()
    sample = _outputs.one(inputs, 0)
    clock = _clock.of(device)
    if _exits.found(bundle) and (clock.ticks_per_second is not None or clock.instructions_per_tick is not None):
        return _of_many(device, bundle, evidence, clock)
    if clock.ticks_per_second is not None:
        return _read_time(device, sample, evidence, clock, clock.ticks_per_second)
    if clock.instructions_per_tick is not None:
        return _counted(_count(device, sample, evidence), clock, clock.instructions_per_tick)
    return Measurements(metrics=(_missing("latency_instructions", clock), _missing("latency_us", clock)))


def _of_many(device: Device, bundle: Bundle, evidence: Evidence, clock: _clock.Clock) -> Measurements:
    """One figure an input, on one thread."""
    before = _conditions.look(device)
    ticks, conditions = _exits.measure(device, bundle, evidence)
    run = _conditions.of_run("latency", before, _conditions.look(device))
    instructions, microseconds = clock.instructions(ticks), clock.microseconds(ticks)
    samples = microseconds if instructions is None else instructions
    metric, other = (
        ("latency_us", "latency_instructions") if instructions is None else ("latency_instructions", "latency_us")
    )
    measured = Measurement(
        metric=metric,
        unit=metric.removeprefix("latency_"),
        value=None if samples is None else statistics.fmean(samples),
        samples=samples or (),
        percentiles={} if microseconds is None else _steady.percentiles(microseconds),
        how=clock.how,
        instrument=clock.instrument,
        conditions={**conditions, "threads": "1", "resolution": clock.resolution},
        void=None if run is None else run.void,
    )
    return Measurements(metrics=(measured, _missing(other, clock)), conditions=() if run is None else (run,))


def _read_time(device: Device, sample: Sample, evidence: Evidence, clock: _clock.Clock, rate_hz: float) -> Measurements:
    """Time on one thread, and where the device has more cores on all of them."""
    found = [_timed(_time(device, sample, evidence, rate_hz, 1), clock, rate_hz)]
    cores = _cores(device)
    if cores > 1:
        found.append(_on_threads(device, sample, evidence, clock, rate_hz, cores))
    return Measurements(
        metrics=(_missing("latency_instructions", clock), *(m for each in found for m in each.metrics)),
        conditions=tuple(run for each in found for run in each.conditions),
    )


def _on_threads(
    device: Device, sample: Sample, evidence: Evidence, clock: _clock.Clock, rate_hz: float, threads: int
) -> Measurements:
    try:
        device.use_threads(threads)
    except TransferError as error:
        missing = _missing("latency_us", clock, conditions={"threads": str(threads)}, why=error.message)
        return Measurements(metrics=(missing,))
    found = _timed(_time(device, sample, evidence, rate_hz, threads), clock, rate_hz)
    device.use_threads(1)
    return found


def _cores(device: Device) -> int:
    """The cores that are on line, as the board says, or the profile where it does not."""
    told = linux.cores(device.board) if device.board is not None else None
    return told or device.target.cores or 1


def _count(device: Device, sample: Sample, evidence: Evidence) -> _Series:
    ticks: list[int] = []
    calls = 0
    while len(ticks) < evidence.repeat:
        evidence.progress("time inferences", len(ticks), evidence.repeat)
        ticks += _call(device, sample, min(COUNTED_A_CALL, evidence.repeat - len(ticks)))
        calls += 1
    evidence.progress("time inferences", evidence.repeat, evidence.repeat)
    return _Series(ticks=tuple(ticks), calls=calls, threads=1)


def _time(device: Device, sample: Sample, evidence: Evidence, rate_hz: float, threads: int) -> _Series:
    before = _conditions.look(device)
    begin = time.monotonic()
    ticks = _call(device, sample, FIRST_TIMED)
    calls = 1
    each_s = max(statistics.median(ticks) / rate_hz, 1e-9)
    # Where an inference overwrites its inputs, writing them takes longer than the inference.
    wall_s = max((time.monotonic() - begin) / (1 + FIRST_TIMED), each_s)
    wanted = _enough(each_s, wall_s, evidence.repeat)
    a_call = max(1, int(CALL_S / wall_s))
    while len(ticks) < wanted:
        evidence.progress("time inferences", len(ticks), wanted)
        ticks += _call(device, sample, min(a_call, wanted - len(ticks)))
        calls += 1
    evidence.progress("time inferences", wanted, wanted)
    after = _conditions.look(device)
    return _Series(ticks=tuple(ticks), calls=calls, threads=threads, before=before, after=after)


def _call(device: Device, sample: Sample, count: int) -> list[int]:
    """Time `count` inferences after one that brings code and weights into the caches."""
    return list(device.run(sample, repeat=1 + count).ticks[1:])


def _enough(each_s: float, wall_s: float, repeat: int) -> int:
    """How many inferences to time, when one takes `each_s` on the device and `wall_s` with all that belongs to it."""
    wanted = max(LEAST_SAMPLES, math.ceil(LEAST_S / each_s))
    return max(repeat, min(wanted, MOST_SAMPLES, math.ceil(MOST_S / wall_s)))


def _counted(series: _Series, clock: _clock.Clock, instructions_per_tick: float) -> Measurements:
    samples = tuple(tick * instructions_per_tick for tick in series.ticks)
    counted = Measurement(
        metric="latency_instructions",
        unit="instructions",
        value=statistics.median(samples),
        samples=samples,
        how=clock.how,
        instrument=clock.instrument,
        conditions=_conditions_of(series, clock),
    )
    return Measurements(metrics=(counted, _missing("latency_us", clock)))


def _timed(series: _Series, clock: _clock.Clock, rate_hz: float) -> Measurements:
    samples = tuple(tick / rate_hz * 1e6 for tick in series.ticks)
    left_out = _steady.warm_up(samples)
    steady = samples[left_out:]
    drift = _steady.drift(steady)
    name = "latency" if series.threads == 1 else f"latency, {series.threads} threads"
    run = _conditions.of_run(name, series.before, series.after, threads=series.threads)
    timed = Measurement(
        metric="latency_us",
        unit="us",
        value=statistics.median(steady),
        samples=samples,
        warm_up=left_out,
        percentiles=_steady.percentiles(steady),
        how=clock.how,
        instrument=clock.instrument,
        conditions={**_conditions_of(series, clock, left_out), "drift": f"{drift:+.1%} from first to last quarter"},
        void="; ".join(_reasons(run, drift)) or None,
    )
    return Measurements(metrics=(timed,), conditions=(run,) if run is not None else ())


def _conditions_of(series: _Series, clock: _clock.Clock, left_out: int = 0) -> dict[str, str]:
    warm_up = f"{series.calls} more inferences, the first of each call, not counted"
    if left_out:
        warm_up += f"; then the first {left_out} until the steady state (MSER-5)"
    return {
        "input": "test vector 0",
        "threads": str(series.threads),
        "inferences": str(len(series.ticks)),
        "warm-up": warm_up,
        "resolution": clock.resolution,
    }


def _reasons(run: Conditions | None, drift: float) -> list[str]:
    """Why the figure is void: the board's state, and that it never became steady."""
    reasons = [run.void] if run is not None and run.void is not None else []
    if abs(drift) > MOST_DRIFT:
        reasons.append(f"it drifted by {drift:+.1%} during the run: there is no steady state")
    return reasons


def _missing(
    name: str, clock: _clock.Clock, *, conditions: dict[str, str] | None = None, why: str | None = None
) -> Measurement:
    unit = name.removeprefix("latency_")
    return Measurement(
        metric=name,
        unit=unit,
        value=None,
        how=clock.how,
        conditions=conditions or {},
        missing=why or clock.why_missing[unit],
    )
