"""What each layer of the program takes on the device."""

from __future__ import annotations

import statistics

from edgecompress.core.bundle import Bundle, Layer
from edgecompress.core.device import Device
from edgecompress.core.values import Evidence, LayerMeasurement, Measurements
from edgecompress.measure import _clock, _conditions, _outputs

COUNTED, TIMED = 5, 20
"""Inferences: an emulator counts the same every time, a clock does not."""


def read(device: Device, bundle: Bundle, evidence: Evidence) -> Measurements:
    """Profile the program layer by layer on the first test vector: every sample's ticks, and their median.

    A layer is timed by itself, so that the layers' sum is a little more than one whole inference: a timer is read
    and a tick is rounded at each. Nothing on a device whose clock means nothing.
    """
    clock = _clock.of(device)
    if clock.ticks_per_second is None and clock.instructions_per_tick is None:
        return Measurements()
    inputs, _ = bundle.vectors()
    before = _conditions.look(device)
    evidence.progress("profile layers", 0, 1)
    ticks = device.profile(_outputs.one(inputs, 0), COUNTED if device.emulated else TIMED)
    evidence.progress("profile layers", 1, 1)
    run = _conditions.of_run("layers", before, _conditions.look(device))
    void = None if run is None else run.void
    each = zip(bundle.manifest.layers, ticks, strict=True)
    return Measurements(
        layers=tuple(_layer(layer, taken, clock, void) for layer, taken in each),
        conditions=() if run is None else (run,),
    )


def _layer(layer: Layer, ticks: tuple[int, ...], clock: _clock.Clock, void: str | None) -> LayerMeasurement:
    instructions = clock.instructions(ticks)
    microseconds = clock.microseconds(ticks)
    return LayerMeasurement(
        index=layer.index,
        name=layer.name,
        op=layer.op,
        ticks=ticks,
        instructions=None if instructions is None else statistics.median(instructions),
        microseconds=None if microseconds is None else statistics.median(microseconds),
        macs=layer.macs,
        void=void,
    )
