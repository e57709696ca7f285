"""report.html: one file that opens anywhere, without a network and without a script."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import resources

import jinja2

from edgecompress.core import figures
from edgecompress.core.figures import Row
from edgecompress.core.report import DEVICE, Candidate, Report
from edgecompress.core.values import Measurement
from edgecompress.report import _charts, _run_tables, _step_tables, _tables, _time_chart
from edgecompress.report._tables import Table

FILE_NAME = "report.html"

CARDS = (
    ("accuracy", DEVICE),
    ("latency_instructions", None),
    ("latency_us", None),
    ("energy_mj", None),
    ("flash_bytes", None),
    ("ram_bytes", None),
    ("device_mismatched_bytes", None),
)


CARDS_WITH_A_FIGURE_ONLY = {"energy_mj"}
"""Most boards have no meter; the table of all figures says so."""


@dataclass(frozen=True, kw_only=True)
class _View:
    """What the template prints of one candidate. The charts are SVG, drawn here: printed as they are."""

    name: str
    steps: tuple[str, ...]
    effects: Table
    effects_words: str
    effects_missing: tuple[str, ...]
    findings: tuple[_step_tables.Drawn, ...]
    cards: tuple[Row, ...]
    stages: Table
    limits: Table
    layer_chart: str
    layer_unit: str
    layer_how: str
    layers_void: str | None
    time_charts: tuple[_time_chart.Captioned, ...]
    percentiles: Table
    power: Table
    conditions: Table
    layers: Table
    memory_chart: str
    memory_words: str
    arena_chart: str
    arena_words: str
    placements: Table
    modes: Table
    modes_words: str
    metrics: Table
    tensors: Table
    environment: Table


def render(report: Report) -> str:
    """Write the report as one self-contained HTML page with its charts as inlined SVG."""
    templates = resources.files("edgecompress.report") / "templates"
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["cell_class"] = _cell_class
    environment.globals["VOID"] = f"{figures.VOID} "
    page = environment.from_string((templates / "report.html").read_text("utf-8"))
    return page.render(
        report=report,
        made=_tables.made(report),
        verdict=_tables.verdict(report),
        verdict_class=_verdict_class(report),
        views=[_view(report, candidate) for candidate in report.candidates],
        target=Table(headings=("Target", report.target.name), rows=_tables.target_facts(report)),
        style=(templates / "style.css").read_text("utf-8"),
    )


def _view(report: Report, candidate: Candidate) -> _View:
    return _View(
        name=candidate.name,
        steps=_tables.steps(candidate),
        effects=_step_tables.effects(candidate),
        effects_words=_step_tables.WORDS,
        effects_missing=_step_tables.missing(candidate),
        findings=_step_tables.findings(candidate),
        cards=_cards(candidate),
        stages=_tables.stages(report, candidate),
        limits=_tables.limits(candidate),
        layer_chart=_charts.layers(candidate) if candidate.layers else "",
        layer_unit=_tables.layer_unit(candidate),
        layer_how="emulated" if report.target.emulated else "measured",
        layers_void=_run_tables.layers_void(candidate),
        time_charts=tuple(_time_chart.draw(candidate, m) for m in _run_tables.measured_times(candidate)),
        percentiles=_run_tables.percentiles(candidate),
        power=_run_tables.power(candidate),
        conditions=_run_tables.conditions(candidate),
        layers=_tables.layers(candidate),
        memory_chart=_charts.memory(candidate),
        memory_words=_tables.memory_words(report, candidate),
        arena_chart=_charts.arena(candidate),
        arena_words=_tables.arena_words(candidate),
        placements=_tables.placements(candidate),
        modes=_tables.modes(candidate),
        modes_words=_tables.MODES_WORDS,
        metrics=_tables.metrics(candidate),
        tensors=_tables.tensors(candidate),
        environment=_tables.environment(report, candidate),
    )


def _cards(candidate: Candidate) -> tuple[Row, ...]:
    found = [
        m for name, stage in CARDS for m in candidate.measurements if m.metric == name and stage in (None, m.stage)
    ]
    shown = (m for m in found if m.value is not None or m.metric not in CARDS_WITH_A_FIGURE_ONLY)
    return tuple(_short(row, m) for m in shown for row in figures.rows(candidate, [m]))


def _short(card: Row, shown: Measurement) -> Row:
    """A card has room for the figure; the reason why it is void stands below it."""
    if shown.void is None or shown.value is None:
        return card
    return replace(
        card, figure=f"{figures.VOID} {figures.number(shown.value, shown.unit)}", how=_first_reason(shown.void)
    )


def _first_reason(void: str) -> str:
    first, *others = void.split("; ")
    return f"{first} (and {len(others)} more)" if others else first


def _verdict_class(report: Report) -> str:
    if not any(candidate.limits for candidate in report.candidates):
        return "unset"
    return "kept" if report.passed else "missed"


def _cell_class(table: Table, column: int, cell: str) -> str:
    if column in table.numeric:
        return "number"
    return cell if cell in {"kept", "missed", "good"} else ""
