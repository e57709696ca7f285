"""report.md: the same facts as the page, for a terminal, a pull request or a mail."""

from __future__ import annotations

from collections.abc import Iterator

from edgecompress.core.figures import VOID
from edgecompress.core.report import Candidate, Report
from edgecompress.report import _run_tables, _step_tables, _tables
from edgecompress.report._tables import Table

FILE_NAME = "report.md"


def render(report: Report) -> str:
    """Write the report as GitHub-flavoured Markdown."""
    lines = [*_head(report)]
    for candidate in report.candidates:
        lines += _candidate(report, candidate)
    return "\n".join(lines) + "\n"


def _head(report: Report) -> Iterator[str]:
    yield f"# {_escape(report.name)} on {_escape(report.target.name)}"
    yield ""
    yield f"{_escape(report.target.description)}. {_tables.verdict(report)}"
    yield f"Made {_tables.made(report)} by edgecompress {report.environment.edgecompress}."
    yield ""
    for note in report.notes:
        yield f"> {_escape(note)}"
        yield ""
    yield from _table(Table(headings=("Target", report.target.name), rows=_tables.target_facts(report)))


def _candidate(report: Report, candidate: Candidate) -> Iterator[str]:
    yield f"## {_escape(candidate.name)}"
    yield ""
    steps = _tables.steps(candidate)
    yield "Steps: " + (_escape(", then ".join(steps)) if steps else "none; compiled as given") + "."
    yield ""
    yield from _section("Stages", _tables.stages(report, candidate))
    if candidate.effects:
        words = " ".join((_step_tables.WORDS, *(f"{why}." for why in _step_tables.missing(candidate))))
        yield from _section("Steps", _step_tables.effects(candidate), words)
    if candidate.limits:
        yield from _section("Limits", _tables.limits(candidate))
    yield from _section("Figures", _tables.metrics(candidate))
    yield from _run(candidate)
    void = _run_tables.layers_void(candidate)
    yield from _section("Layers", _tables.layers(candidate), f"{VOID}: {void}." if void else "")
    yield from _section("Arena", _tables.placements(candidate), _tables.arena_words(candidate))
    if candidate.bundle.modes:
        yield from _section("Modes", _tables.modes(candidate), _tables.MODES_WORDS)
    yield from _section("Inputs and outputs", _tables.tensors(candidate))
    yield from _section("Made with", _tables.environment(report, candidate))


def _run(candidate: Candidate) -> Iterator[str]:
    """How the run on a real device went; nothing of it is there for an emulated board."""
    sections = {
        "Percentiles": _run_tables.percentiles(candidate),
        "Power": _run_tables.power(candidate),
        "Conditions": _run_tables.conditions(candidate),
    }
    for title, table in sections.items():
        if table.rows:
            yield from _section(title, table)


def _section(title: str, table: Table, words: str = "") -> Iterator[str]:
    yield f"### {title}"
    yield ""
    if words:
        yield _escape(words)
        yield ""
    yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    marks = ("---:" if column in table.numeric else "---" for column in range(len(table.headings)))
    yield _line(table.headings)
    yield "| " + " | ".join(marks) + " |"
    for row in table.rows:
        yield _line(row)
    yield ""


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(_escape(cell) for cell in cells) + " |"


def _escape(text: str) -> str:
    """Keep names from being read as markup: a layer may be called `a|b`, `*x*` or `<b>`."""
    for character in "\\`*_[]<>|":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
