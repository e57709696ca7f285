"""How a figure reads: its number with its unit, how it came about, why it is missing or void. Never 0 for missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgecompress.core.values import Measurement

if TYPE_CHECKING:
    from edgecompress.core.report import Candidate, LimitResult, Report

TITLES = {
    "latency_instructions": "Instructions per inference",
    "latency_us": "Time per inference",
    "flash_bytes": "Flash",
    "ram_bytes": "RAM",
    "arena_bytes": "Arena",
    "stack_bytes": "Stack",
    "firmware_flash_bytes": "Flash of the whole firmware",
    "firmware_static_ram_bytes": "Static RAM of the whole firmware",
    "resident_bytes": "Largest resident set",
    "proportional_bytes": "Proportional set (Pss)",
    "idle_power_w": "Power, idle",
    "power_w": "Power, running inferences",
    "energy_mj": "Energy per inference",
    "energy_above_idle_mj": "Energy per inference, above idle",
    "device_mismatched_bytes": "Bytes that differ from the host program",
    "onnxruntime_max_lsb": "Largest difference from ONNX Runtime",
    "onnxruntime_max_relative_error": "Largest relative difference from ONNX Runtime",
    "onnxruntime_top1_agreement": "Top-1 agreement with ONNX Runtime",
    "parameters": "Parameters",
    "nonzero_parameters": "Parameters that are not 0",
    "stored_bytes": "Stored parameters",
    "macs": "Multiply-accumulates",
    "top1_agreement": "Top-1 agreement with the network as given",
    "accuracy": "Accuracy",
    "accuracy_drop": "Accuracy drop from as given to device",
}
VOID = "VOID"
"""The word in front of a figure that must not be trusted."""
COUNTERPART = {"latency_us": "latency_instructions", "latency_instructions": "latency_us"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a short table: what it is, the figure as text, and `measured`, `emulated`, … or nothing."""

    what: str
    figure: str
    how: str


def title(metric: str, stage: str | None = None) -> str:
    """Name a metric for a reader; a metric without a title keeps its own name."""
    name = TITLES.get(metric, metric)
    return f"{name}, {stage}" if stage else name


def heading(measurement: Measurement) -> str:
    """Name a measurement: its metric, its stage, and on how many threads it ran when that was more than one."""
    name = title(measurement.metric, measurement.stage)
    threads = measurement.conditions.get("threads", "1")
    return name if threads == "1" else f"{name}, {threads} threads"


def number(value: float, unit: str) -> str:
    """Write a number with its unit: thousands separated, a fraction as a percentage."""
    if unit == "fraction":
        return f"{value * 100:.1f} %"
    if unit == "ratio":
        return f"{value:.3g}"
    if unit == "us":
        return f"{value:,.1f} µs" if value >= 10 else f"{value:.3g} µs"
    return f"{_plain(value)} {unit}".rstrip()


def figure(measurement: Measurement) -> str:
    """Write a measurement's value with its unit (a fraction with its counts), `missing: why`, or `VOID` with both."""
    if measurement.value is None:
        return f"missing: {measurement.missing}"
    text = number(measurement.value, measurement.unit)
    if measurement.unit == "fraction" and measurement.samples:
        text = f"{text} ({sum(measurement.samples):,.0f} of {len(measurement.samples):,})"
    return _or_void(text, measurement.void)


def limit_figure(limit: LimitResult) -> str:
    """Write what a limit was compared with, `missing: why`, or `VOID` with both."""
    if limit.value is None:
        return f"missing: {limit.missing}"
    return _or_void(number(limit.value, limit.unit), limit.void)


def limit_rule(limit: LimitResult) -> str:
    """Write a limit as a rule: `at most 20,000 bytes`."""
    return f"{limit.rule} {number(limit.limit, limit.unit)}"


def spread(measurement: Measurement) -> str:
    """Say how many samples there are and how far apart: `20, all equal` or `20, from 9.1 µs to 9.8 µs`."""
    samples = measurement.steady
    if len(samples) < 2:
        return str(len(samples)) if samples else ""
    least, most = min(samples), max(samples)
    if least == most:
        return f"{len(samples):,}, all equal"
    if measurement.unit == "fraction":
        return f"{len(samples):,}"
    return f"{len(samples):,}, from {number(least, measurement.unit)} to {number(most, measurement.unit)}"


def summary(report: Report) -> tuple[Row, ...]:
    """The rows that end a run on the terminal: every metric but the clock that the device lacks, then the limits."""
    several = len(report.candidates) > 1
    return tuple(
        Row(what=f"{candidate.name}: {row.what}" if several else row.what, figure=row.figure, how=row.how)
        for candidate in report.candidates
        for row in _candidate_rows(candidate)
    )


def rows(candidate: Candidate, measurements: Iterable[Measurement]) -> tuple[Row, ...]:
    """One row a measurement; the clock that the device lacks is left out where the other one was read."""
    return tuple(
        Row(what=heading(m), figure=figure(m), how=m.how if m.value is not None else "")
        for m in measurements
        if not _other_clock_told(m, candidate)
    )


def _candidate_rows(candidate: Candidate) -> tuple[Row, ...]:
    return (*rows(candidate, candidate.measurements), *(_limit_row(limit) for limit in candidate.limits))


def _other_clock_told(measurement: Measurement, candidate: Candidate) -> bool:
    if measurement.value is not None or measurement.metric not in COUNTERPART:
        return False
    other = candidate.metric(COUNTERPART[measurement.metric])
    return other is not None and other.value is not None


def _limit_row(limit: LimitResult) -> Row:
    verdict = "kept" if limit.passed else "MISSED"
    what = f"Limit: {title(limit.metric)} {limit_rule(limit)}"
    return Row(what=what, figure=f"{verdict}: {limit_figure(limit)}", how="")


def _or_void(text: str, void: str | None) -> str:
    return text if void is None else f"{VOID} {text}: {void}"


def _plain(value: float) -> str:
    """Write a whole number as one, a median between two as `4,860,880.5`, and a small figure with four digits."""
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"
