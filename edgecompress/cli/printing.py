"""What the commands print when they are done: where a result lies, or figures, and whether they keep the limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from edgecompress.core.errors import EdgecompressError

if TYPE_CHECKING:
    from edgecompress.core.report import Report
    from edgecompress.core.run_folder import Run
    from edgecompress.core.values import FileValue


def print_stage(done: Run, stage: str, result: Path, as_json: bool) -> None:
    """Print where a stage wrote its result."""
    if as_json:
        record = done.record.stages[stage]
        click.echo(json.dumps({"stage": stage, "result": str(result), "key": record.key, "seconds": record.seconds}))
    else:
        click.echo(result)


def print_report(report: Report, folder: Path, as_json: bool) -> None:
    """Print the figures, then fail when a limit of the recipe was missed."""
    from edgecompress import pipeline

    if as_json:
        print_judged(report, lambda: pipeline.raise_if_limits_missed(report))
        return
    from edgecompress.cli.tables import print_summary

    print_summary(report, folder)
    pipeline.raise_if_limits_missed(report)


def print_judged(value: FileValue, judge: Callable[[], None]) -> None:
    """Print a value as one JSON object. An error that `judge` raises takes the value along, into the same object."""
    try:
        judge()
    except EdgecompressError as error:
        error.figures = value.model_dump(mode="json")
        raise
    click.echo(value.model_dump_json())
