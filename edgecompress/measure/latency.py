"""How long one inference takes: every sample kept, the first inference of every call left out as a warm-up."""

from __future__ import annotations

import statistics

from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.values import Evidence, Measurement, Measurements
from edgecompress.measure import _clock, _outputs

TIMED_A_CALL = 5


def read(device: Device, bundle: Bundle, evidence: Evidence) -> Measurements:
    """Time `evidence.repeat` inferences of the first test vector; the value is the median.

    Executed instructions on an emulated device, microseconds by the device's own clock on a real one; the other of
    the two metrics is there as missing, with the reason.
    """
    inputs, _ = bundle.vectors()
    sample = _outputs.one(inputs, 0)
    ticks: list[int] = []
    calls = 0
    while len(ticks) < evidence.repeat:
        evidence.progress("time inferences", len(ticks), evidence.repeat)
        timed = min(TIMED_A_CALL, evidence.repeat - len(ticks))
        ticks.extend(device.run(sample, repeat=1 + timed).ticks[1:])
        calls += 1
    evidence.progress("time inferences", evidence.repeat, evidence.repeat)
    clock = _clock.of(device)
    conditions = {
        "input": "test vector 0",
        "inferences": str(len(ticks)),
        "warm-up": f"{calls} more inferences, the first of each call, not counted",
        "resolution": clock.resolution,
    }
    return Measurements(
        metrics=(
            _metric("latency_instructions", "instructions", clock.instructions(ticks), clock, conditions),
            _metric("latency_us", "us", clock.microseconds(ticks), clock, conditions),
        )
    )


def _metric(
    name: str, unit: str, samples: tuple[float, ...] | None, clock: _clock.Clock, conditions: dict[str, str]
) -> Measurement:
    if samples is None:
        return Measurement(metric=name, unit=unit, value=None, how=clock.how, missing=clock.why_missing[unit])
    return Measurement(
        metric=name,
        unit=unit,
        value=statistics.median(samples),
        samples=samples,
        how=clock.how,
        instrument=clock.instrument,
        conditions=conditions,
    )
