"""What each step of the recipe bought and cost, as a table, and what the steps found, as charts."""

from __future__ import annotations

from dataclasses import dataclass

import altair as alt

from edgecompress.core import figures
from edgecompress.core.effects import StepEffect
from edgecompress.core.report import Candidate
from edgecompress.core.values import Finding, Measurement
from edgecompress.report import _charts
from edgecompress.report._tables import Table

COLUMNS = (
    "accuracy",
    "top1_agreement",
    "parameters",
    "macs",
    "stored_bytes",
    "flash_bytes",
    "ram_bytes",
    "latency_instructions",
    "latency_us",
)
HEADINGS = {
    "parameters": "Parameters",
    "macs": "MACs",
    "top1_agreement": "Top-1 agreement",
    "stored_bytes": "Stored",
    "latency_instructions": "Instructions",
    "latency_us": "Time",
}
WORDS = (
    "The network as given and after each step: quality under ONNX Runtime on the exported graph, and what the device "
    "showed when that network was built and measured on it."
)
HEIGHT = 220


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A finding as SVG, with its title and what to know of it."""

    svg: str
    title: str
    caption: str


def effects(candidate: Candidate) -> Table:
    """One row a step; columns that no step has a figure for are left out. No rows without steps."""
    shown = tuple(name for name in COLUMNS if any(effect.value(name) is not None for effect in candidate.effects))
    rows = tuple(
        (_name(effect), *(_cell(effect, name) for name in shown), effect.pointed_out or "")
        for effect in candidate.effects
    )
    headings = ("Step", *(HEADINGS.get(name, figures.title(name)) for name in shown), "Pointed out")
    return Table(headings=headings, rows=rows, numeric=frozenset(range(1, len(headings) - 1)))


def missing(candidate: Candidate) -> tuple[str, ...]:
    """Say, once a step, why it has no figures of the device."""
    return tuple(
        f"{_name(effect)}: {reason}"
        for effect in candidate.effects
        for reason in dict.fromkeys(
            m.missing for m in effect.metrics if m.missing and m.missing.startswith("not built")
        )
    )


def findings(candidate: Candidate) -> tuple[Drawn, ...]:
    """Draw everything that the steps found worth a look."""
    return tuple(
        _draw(finding, f"{_name(effect)}: {finding.title}", f"step-{effect.number}-{index}-{candidate.bundle.build_id}")
        for effect in candidate.effects
        for index, finding in enumerate(effect.findings)
    )


def _name(effect: StepEffect) -> str:
    return f"{effect.number} {effect.method}" if effect.number else effect.method


def _cell(effect: StepEffect, metric: str) -> str:
    found: Measurement | None = next((m for m in effect.metrics if m.metric == metric), None)
    if found is None or found.value is None:
        return "missing"
    text = figures.number(found.value, "" if found.unit in ("bytes", "instructions") else found.unit)
    return text if found.void is None else f"{figures.VOID} {text}"


def _draw(finding: Finding, title: str, name: str) -> Drawn:
    places = {x: f"{place}  {_charts.end(x)}" for place, x in enumerate(_named(finding), start=1)}
    rows = [
        {"series": series.name, "x": places[x] if isinstance(x, str) else x, "y": y}
        for series in finding.series
        for x, y in zip(series.x, series.y, strict=True)
    ]
    names = [series.name for series in finding.series]
    x = alt.X("x:N", sort=list(places.values()), title=None) if places else alt.X("x:Q", title=finding.x_label)
    if finding.kind == "bars":
        marks, offset = alt.Chart(alt.InlineData(values=rows)).mark_bar(), alt.XOffset("series:N", sort=None)
        chart = marks.encode(
            x=x, y=alt.Y("y:Q", title=finding.y_label), color=_charts.by("series", names), xOffset=offset
        )
    else:
        marks = alt.Chart(alt.InlineData(values=rows)).mark_line(point=True, strokeWidth=2)
        y = alt.Y("y:Q", title=finding.y_label, scale=alt.Scale(zero=False))
        chart = marks.encode(x=x, y=y, color=_charts.by("series", names))
    return Drawn(
        svg=_charts.draw(chart.properties(width=_charts.WIDTH, height=HEIGHT), name),
        title=title,
        caption=f"{title}. {finding.note}".strip(),
    )


def _named(finding: Finding) -> tuple[str, ...]:
    """The places of an axis that has names instead of numbers, each once, in order."""
    return tuple(dict.fromkeys(x for series in finding.series for x in series.x if isinstance(x, str)))
