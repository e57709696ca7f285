"""Measure the most promising ways of every layer on the device itself, and take the fastest.

The network is built once for each rank: with the way that each layer's estimate puts first, second and so on. Every
build is deployed and profiled like any other. An emulated device counts instructions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from edgecompress.core import compilers, measured_ways
from edgecompress.core.errors import UsageError
from edgecompress.core.values import FileValue

if TYPE_CHECKING:
    from edgecompress.core.device import Device
    from edgecompress.core.target import Target
    from edgecompress.core.values import Model, Optimize, Progress

COUNTED, TIMED = 1, 15
"""How often each layer is run where instructions are counted, and where a clock is read: the shortest time counts."""
LEAST_GAIN = 0.02
"""A way must be so much faster than the one that the estimate prefers, or noise would choose."""

Connect = Callable[[], AbstractContextManager["Device"]]
Taken = Sequence[Mapping[str, str]]


class Ways(FileValue):
    """ways.json: signature of a choice -> label of the way to take; `unit` is what was measured."""

    unit: str
    ways: dict[str, str]


def measure(model: Model, target: Target, optimize: Optimize, connect: Connect, progress: Progress) -> Ways:
    """Find the fastest ways: those that the cache knows, and the others by measuring them.

    Raises UsageError when the device can tell neither time nor instructions.
    """
    from edgecompress.compile import ways

    ranks = ways.find(model, target, optimize)
    with connect() as device:
        unit = _unit(device)
        compiler = compilers.choose(target)
        known = measured_ways.load(target, f"{compiler.version()} {' '.join(compiler.cpu_flags)}", unit)
        open_ = {signature for signature, labels in _labels(ranks).items() if len(labels) > 1}
        if open_ - known.ways.keys():
            ticks = [
                _profile(model, target, optimize, ways.together(taken), device, progress, (rank, len(ranks)))
                for rank, taken in enumerate(ranks)
            ]
            found = fastest(ranks, ticks)
            measured_ways.save(target, known, {name: found[name] for name in open_})
            known = measured_ways.load(target, known.compiler, unit)
    return Ways(unit=unit, ways={name: known.ways[name] for name in sorted(open_)})


def fastest(ranks: Sequence[Taken], ticks: Sequence[Sequence[int]]) -> dict[str, str]:
    """Choose the label of every signature whose layers took the least, beside what they took at the first rank."""
    spent: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for taken, taking in zip(ranks, ticks, strict=True):
        for layer, (choices, count) in enumerate(zip(taken, taking, strict=True)):
            for signature, label in choices.items():
                own, first = spent[signature][label], ticks[0][layer]
                own[0], own[1] = own[0] + count, own[1] + first
    return {signature: _fastest(labels) for signature, labels in spent.items()}


def _fastest(labels: Mapping[str, Sequence[int]]) -> str:
    """The first label, unless another one gains."""
    shares = {label: taken / max(first, 1) for label, (taken, first) in labels.items()}
    preferred = next(iter(shares))
    best = min(shares, key=lambda label: shares[label])
    return best if shares[best] < shares[preferred] * (1 - LEAST_GAIN) else preferred


def _labels(ranks: Sequence[Taken]) -> dict[str, set[str]]:
    labels: dict[str, set[str]] = defaultdict(set)
    for taken in ranks:
        for choices in taken:
            for signature, label in choices.items():
                labels[signature].add(label)
    return labels


def _unit(device: Device) -> str:
    if not device.emulated:
        return "time"
    if device.instructions_per_tick is None:
        raise UsageError(
            f"{device.description} tells neither time nor instructions",
            hint="tune on the board itself (ssh://), or on a board whose clock counts instructions (vm://)",
        )
    return "instructions"


def _profile(
    model: Model,
    target: Target,
    optimize: Optimize,
    chosen: Mapping[str, str],
    device: Device,
    progress: Progress,
    step: tuple[int, int],
) -> list[int]:
    """Build the network with these ways and run its layers: the least ticks of each."""
    from edgecompress import compile as compiler

    progress("measure ways", *step)
    with TemporaryDirectory(prefix="edgecompress-ways-") as scratch:
        bundle = compiler.build(model, target, Path(scratch) / "bundle", optimize=optimize, ways=chosen)
        device.install(bundle)
        inputs = {name: values[0] for name, values in bundle.vectors()[0].items()}
        ticks = device.profile(inputs, COUNTED if device.emulated else TIMED)
    progress("measure ways", step[0] + 1, step[1])
    return [min(layer) for layer in ticks]
