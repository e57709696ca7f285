"""What each layer of the program takes on the device."""

from __future__ import annotations

import statistics

from edgecompress.core.bundle import Bundle, Layer
from edgecompress.core.device import Device
from edgecompress.core.values import Evidence, LayerMeasurement, Measurements
from edgecompress.measure import _clock, _outputs

REPEAT = 5


def read(device: Device, bundle: Bundle, evidence: Evidence) -> Measurements:
    """Profile the program layer by layer on the first test vector: every sample's ticks, and their median.

    A layer is timed by itself, so that the layers' sum is a little more than one whole inference: a timer is read
    and a tick is rounded at each.
    """
    inputs, _ = bundle.vectors()
    evidence.progress("profile layers", 0, 1)
    ticks = device.profile(_outputs.one(inputs, 0), REPEAT)
    evidence.progress("profile layers", 1, 1)
    clock = _clock.of(device)
    return Measurements(
        layers=tuple(_layer(layer, taken, clock) for layer, taken in zip(bundle.manifest.layers, ticks, strict=True))
    )


def _layer(layer: Layer, ticks: tuple[int, ...], clock: _clock.Clock) -> LayerMeasurement:
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
    )
