"""A report: what was given, what came out, what it took on the device, and whether the limits were kept.

`candidate` and `assemble` make one from plain values; report/ turns it into text. report.json is this value, and
report/report.schema.json describes it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime

import edgecompress
from edgecompress.core.bundle import Arena, Layer, Manifest, ModeBounds, Sizes, Vectors
from edgecompress.core.effects import StepEffect
from edgecompress.core.recipe import Limits
from edgecompress.core.target import Target
from edgecompress.core.values import (
    AppliedStep,
    Conditions,
    FileValue,
    LayerMeasurement,
    Measurement,
    Measurements,
    Optimize,
    TensorSpec,
)

FLOAT_HOST = "float host"
"""Stage: the float network as given, under ONNX Runtime."""
INT8_HOST = "int8 host"
"""Stage: the compiled int8 network, run by the bundle's host program."""
DEVICE = "device"
"""Stage: the firmware on the device."""
FLOAT_COMPILED = "float host (compiled)"
"""Stage: the compiled float network, run by the bundle's host program."""
INT8_GIVEN = "int8 host (ONNX Runtime)"
"""Stage: the network as given when it is already quantized, under ONNX Runtime."""
GIVEN_STAGES = (FLOAT_HOST, INT8_GIVEN)


class Environment(FileValue):
    """Where the report was made, and with which outside programs."""

    edgecompress: str
    python: str
    platform: str
    tools: dict[str, str]


class TargetSummary(FileValue):
    """The target, as far as a reader of the numbers must know it. Limits are None where nothing limits."""

    name: str
    description: str
    system: str
    cpu: str
    features: tuple[str, ...]
    clock_hz: int | None
    emulated: bool
    flash_limit_bytes: int | None
    ram_limit_bytes: int | None


class Baseline(FileValue):
    """The network as it was given, before any step."""

    name: str
    dtype: Literal["float32", "int8"]
    parameter_bytes: int
    macs: int | None = None


class BundleSummary(FileValue):
    """What was built: sizes in bytes, the planned arena, the layers in order of execution, the test vectors."""

    build_id: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    model_sha256: str
    port: str
    optimize: Optimize = "balanced"
    modes: tuple[ModeBounds, ...] = ()
    sizes: Sizes
    arena: Arena
    layers: tuple[Layer, ...]
    vectors: Vectors


class LimitResult(FileValue):
    """One limit of the recipe against what was measured. A value that is missing or void does not pass."""

    metric: str
    rule: Literal["at least", "at most"]
    limit: float
    value: float | None
    unit: str
    passed: bool
    missing: str | None = None
    void: str | None = None


class Candidate(FileValue):
    """One network that was built and measured."""

    name: str
    steps: tuple[AppliedStep, ...]
    effects: tuple[StepEffect, ...] = ()
    bundle: BundleSummary
    measurements: tuple[Measurement, ...]
    layers: tuple[LayerMeasurement, ...]
    conditions: tuple[Conditions, ...] = ()
    limits: tuple[LimitResult, ...]

    @property
    def passed(self) -> bool:
        """True when every limit of the recipe is kept."""
        return all(limit.passed for limit in self.limits)

    def metric(self, name: str, stage: str | None = None) -> Measurement | None:
        """The measurement of that name (and stage, when given), or None when nothing measured it."""
        return _find(self.measurements, name, stage)


class Report(FileValue):
    """Everything that report.json holds."""

    version: Literal[1] = 1
    name: str
    created: AwareDatetime
    target: TargetSummary
    device: str
    baseline: Baseline
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]
    environment: Environment

    @property
    def passed(self) -> bool:
        """True when every candidate keeps every limit."""
        return all(candidate.passed for candidate in self.candidates)


def assemble(
    *,
    name: str,
    created: datetime,
    target: Target,
    device: str,
    emulated: bool,
    instructions_per_tick: float | None = None,
    baseline: Baseline,
    candidates: Iterable[Candidate],
    notes: Iterable[str] = (),
    tools: Mapping[str, str] | None = None,
) -> Report:
    """Put a report together. `created` carries its time zone; `device`, `emulated` and `instructions_per_tick` are the
    Device's own words.

    `tools` are the outside programs and their versions, as in a bundle's manifest. On an emulated device the note
    that says what its figures are comes first.
    """
    return Report(
        name=name,
        created=created,
        target=_summarise(target, emulated),
        device=device,
        baseline=baseline,
        candidates=tuple(candidates),
        notes=(*_emulation_notes(target, device, emulated, instructions_per_tick), *(note for note in notes if note)),
        environment=Environment(
            edgecompress=edgecompress.__version__,
            python=platform.python_version(),
            platform=platform.platform(),
            tools=dict(sorted((tools or {}).items())),
        ),
    )


def candidate(
    manifest: Manifest, found: Iterable[Measurements], limits: Limits, effects: tuple[StepEffect, ...] = ()
) -> Candidate:
    """Join what was built with what every measuring module found, and judge it by the recipe's limits.

    `effects` are what each step of the recipe bought and cost, the network as given first.
    """
    found = tuple(found)
    metrics = tuple(metric for part in found for metric in part.metrics)
    return Candidate(
        name=manifest.name,
        steps=manifest.steps,
        effects=effects,
        bundle=BundleSummary(
            build_id=manifest.build_id,
            inputs=manifest.inputs,
            outputs=manifest.outputs,
            model_sha256=manifest.model_sha256,
            port=manifest.port,
            optimize=manifest.optimize,
            modes=manifest.modes,
            sizes=manifest.sizes,
            arena=manifest.arena,
            layers=manifest.layers,
            vectors=manifest.vectors,
        ),
        measurements=metrics,
        layers=tuple(layer for part in found for layer in part.layers),
        conditions=tuple(each for part in found for each in part.conditions),
        limits=judge(limits, metrics),
    )


def judge(limits: Limits, measurements: Iterable[Measurement]) -> tuple[LimitResult, ...]:
    """Compare every limit that the recipe sets with its measurement; equal to the limit passes.

    `accuracy` is the device's; `accuracy_drop` is the accuracy of the network as given, on the host, minus the
    device's. What was not measured, or is void, does not pass, and says why.
    """
    measured = tuple(measurements)
    return tuple(
        _judge_one(name, getattr(limits, name), _figure(name, measured))
        for name in Limits.model_fields
        if getattr(limits, name) is not None
    )


@dataclass(frozen=True, kw_only=True)
class _Figure:
    value: float | None
    unit: str
    missing: str | None = None
    void: str | None = None


def _judge_one(metric: str, limit: float, figure: _Figure) -> LimitResult:
    at_least = metric == "accuracy"
    kept = figure.value is not None and (figure.value >= limit if at_least else figure.value <= limit)
    return LimitResult(
        metric=metric,
        rule="at least" if at_least else "at most",
        limit=limit,
        value=figure.value,
        unit=figure.unit,
        passed=kept and figure.void is None,
        missing=figure.missing,
        void=figure.void,
    )


def _figure(name: str, measured: tuple[Measurement, ...]) -> _Figure:
    if name == "accuracy":
        return _as_figure(name, _find(measured, "accuracy", DEVICE))
    if name == "accuracy_drop":
        return _accuracy_drop(measured)
    return _as_figure(name, _find(measured, name))


def _accuracy_drop(measured: tuple[Measurement, ...]) -> _Figure:
    given = [m for m in measured if m.metric == "accuracy" and m.stage in GIVEN_STAGES]
    before = _as_figure("accuracy of the network as given", given[0] if given else None)
    after = _as_figure("accuracy on the device", _find(measured, "accuracy", DEVICE))
    if before.value is None or after.value is None:
        return _Figure(value=None, unit=before.unit, missing=before.missing or after.missing)
    return _Figure(value=round(before.value - after.value, 12), unit=before.unit, void=before.void or after.void)


def _as_figure(what: str, measurement: Measurement | None) -> _Figure:
    if measurement is None:
        return _Figure(value=None, unit="", missing=f"{what} was not measured")
    return _Figure(value=measurement.value, unit=measurement.unit, missing=measurement.missing, void=measurement.void)


def _find(measured: Iterable[Measurement], name: str, stage: str | None = None) -> Measurement | None:
    return next((m for m in measured if m.metric == name and stage in (None, m.stage)), None)


def _summarise(target: Target, emulated: bool) -> TargetSummary:
    return TargetSummary(
        name=target.name,
        description=target.description,
        system=target.system,
        cpu=target.cpu,
        features=target.features,
        clock_hz=target.clock_hz,
        emulated=emulated,
        flash_limit_bytes=target.flash_limit_bytes,
        ram_limit_bytes=target.ram_limit_bytes,
    )


def _emulation_notes(
    target: Target, device: str, emulated: bool, instructions_per_tick: float | None
) -> tuple[str, ...]:
    if not emulated:
        return ()
    if instructions_per_tick is None and target.system == "bare":
        note = (
            f"{device}: an emulator that somebody else started. Whether its clock counts instructions is not known: "
            "there are no figures of time or instructions."
        )
        return (note,)
    if instructions_per_tick is None:
        note = (
            f"{device}: its programs run on the host's kernel, as processes of an emulator. Neither the clock nor the "
            "memory that they see is the board's: there are no figures of time, instructions or memory in use."
        )
        return (note,)
    whole = "" if target.system == "bare" else " of the whole system, its kernel included"
    note = (
        f"{device}: its figures are executed instructions{whole}, not time: an emulator has no caches, no wait states "
        "and no dual issue."
    )
    return (note,)
