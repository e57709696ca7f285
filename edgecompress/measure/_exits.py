"""Networks with early exits: what an inference costs depends on the input, so that many inputs are timed."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgecompress.core.bundle import EARLY_EXIT, LATE_EXIT, Bundle, Layer
from edgecompress.core.device import Device
from edgecompress.core.values import Array, Evidence
from edgecompress.measure import _outputs

MOST_INPUTS = 64
COUNTED, TIMED = 1, 5
"""Inferences of each input: an emulator counts the same every time, of a clock's ticks the median is taken."""
IDLE = 0.03
"""A layer was left out that took less than this share of the time, for each multiply-accumulate, that another one took.
Layers that ran differ by a factor of ten or so; one that was left out is a function call."""
END = "the end"


@dataclass(frozen=True, kw_only=True)
class Exit:
    """An exit's two layers, by their places among all layers."""

    name: str
    early: int
    late: int


def found(bundle: Bundle) -> tuple[Exit, ...]:
    """List the exits of a network in the order in which they are reached."""
    ends = {layer.onnx_nodes: layer.index for layer in bundle.manifest.layers if layer.op == LATE_EXIT}
    return tuple(
        Exit(name=layer.onnx_nodes[-1], early=layer.index, late=ends[layer.onnx_nodes])
        for layer in bundle.manifest.layers
        if layer.op == EARLY_EXIT
    )


def measure(device: Device, bundle: Bundle, evidence: Evidence) -> tuple[tuple[float, ...], dict[str, str]]:
    """Return the ticks of an inference of each input, and what to say of the inputs and of where they left."""
    inputs, what = _inputs(bundle, evidence)
    total = _outputs.count(inputs)
    exits, layers = found(bundle), bundle.manifest.layers
    ticks: list[float] = []
    left: Counter[str] = Counter()
    for number in range(total):
        evidence.progress("time inferences", number, total)
        sample = _outputs.one(inputs, number)
        again = COUNTED if device.emulated else TIMED
        ticks.append(statistics.median(device.run(sample, repeat=1 + again).ticks[1:]))
        left[leaves_at(exits, layers, [each[0] for each in device.profile(sample, 1)])] += 1
    evidence.progress("time inferences", total, total)
    shares = [f"{name} {left[name] / total:.1%}" for name in (*(each.name for each in exits), END)]
    return tuple(ticks), {"input": f"{what}; the value is their mean", "they left at": ", ".join(shares)}


def leaves_at(exits: Sequence[Exit], layers: Sequence[Layer], ticks: Sequence[int]) -> str:
    """Name the exit that an inference took, by the ticks of the largest layers before and behind each exit."""
    for each in exits:
        next_exit = min((other.early for other in exits if each.early < other.early < each.late), default=each.late)
        before = max(layers[: each.early], key=lambda layer: layer.macs)
        behind = max(layers[each.early + 1 : next_exit + 1], key=lambda layer: layer.macs)
        if ticks[behind.index] * before.macs < IDLE * ticks[before.index] * behind.macs:
            return each.name
    return END


def _inputs(bundle: Bundle, evidence: Evidence) -> tuple[dict[str, Array], str]:
    """Samples to score, evenly spread, or the test vectors where there are none."""
    if evidence.evaluation is None:
        vectors, _ = bundle.vectors()
        return dict(vectors), f"{_outputs.count(vectors)} test vectors"
    count = evidence.evaluation.count
    places = np.linspace(0, count - 1, min(count, MOST_INPUTS)).round().astype(int)
    chosen = {name: values[places] for name, values in evidence.evaluation.inputs.items()}
    return chosen, f"{len(places)} of {count} samples to score, evenly spread"
