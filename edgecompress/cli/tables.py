"""Tables on stdout."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from edgecompress.compile.fit import Fit
    from edgecompress.core.installed import Survey
    from edgecompress.core.methods import Method
    from edgecompress.core.report import Report
    from edgecompress.core.target import Target
    from edgecompress.deploy._attached import Attached

WIDTH_OF_A_FILE = 160


def print_targets(targets: Sequence[Target]) -> None:
    """One line a profile."""
    table = _table("name", "cpu", "features", "flash", "RAM", "link", "tried", "description")
    for target in targets:
        limits = (_bytes(target.flash_limit_bytes), _bytes(target.ram_limit_bytes))
        table.add_row(
            target.name, target.cpu, " ".join(target.features), *limits, target.link, target.tried, target.description
        )
    _console().print(table)


def print_target(target: Target) -> None:
    """Every value of one profile."""
    table = _table("key", "value")
    for key, value in _flat(target.model_dump(mode="json")):
        table.add_row(key, value)
    _console().print(table)


def print_methods(methods: Sequence[Method]) -> None:
    """One line a method."""
    table = _table("method", "what it does", "options")
    for method in methods:
        table.add_row(method.name, method.summary, ", ".join(option.name for option in method.options))
    _console().print(table)


def print_method(method: Method) -> None:
    """What a method does, and every option of it."""
    console = _console()
    console.print(Text.assemble((method.name, "bold"), f": {method.summary}"), Text(f"\n{method.notes}\n"), sep="")
    table = _table("option", "values", "default")
    for option in method.options:
        table.add_row(option.name, option.values, option.default)
    console.print(table)


def print_survey(survey: Survey) -> None:
    """What is installed, what can be done for each target, and what to install for the rest."""
    console = _console()
    found = _table("", "there", "for")
    for tool in survey.tools:
        found.add_row(tool.name, tool.version or Text("missing", "red"), tool.purpose)
    console.print(found)
    reachable = _table("target", "built by", "runs on", "flashed by")
    for prospect in survey.targets:
        compiler = prospect.compiler or Text("nothing", "red")
        runs_on = ", ".join(prospect.runs_on) or Text("nothing", "red")
        reachable.add_row(prospect.target, compiler, runs_on, ", ".join(prospect.flashed_by))
    console.print(reachable)
    for install, purposes in survey.to_install.items():
        console.print(f"for {', '.join(purposes)}: {install}", soft_wrap=True)


def print_attached(found: Sequence[Attached]) -> None:
    """One line a serial port, probe, bootloader or drive."""
    if not found:
        _console().print("nothing is attached that could be flashed or spoken to")
        return
    table = _table("address", "what", "at", "VID:PID", "serial number", "product", "could be")
    for each in found:
        told = (each.path or "", each.usb_id or "", each.serial_number or "", each.product or "")
        table.add_row(each.address, each.kind, *told, ", ".join(each.targets))
    _console().print(table)


def print_fit(fit: Fit) -> None:
    """What a network needs at most, beside what the target has, and a slot of it."""
    table = _table("bytes", "needs at most", "of", "free")
    for what, needed, limit, free in (
        ("flash", fit.flash_bytes, fit.flash_limit_bytes, fit.flash_free_bytes),
        ("RAM", fit.ram_bytes, fit.ram_limit_bytes, fit.ram_free_bytes),
    ):
        table.add_row(what, f"{needed:,}", _bytes(limit), _bytes(free))
    console = _console()
    verdict = ("fits" if fit.fits else "does not fit", "bold")
    console.print(Text.assemble(f"{fit.model} on {fit.target}: ", verdict), table)
    flash = f"weights {fit.weights_bytes:,}, code {fit.code_bytes:,}, runtime {fit.runtime_flash_bytes:,}"
    ram = f"arena {fit.arena_bytes:,}, stack {fit.stack_bytes:,}, runtime {fit.runtime_ram_bytes:,}"
    console.print(f"flash: {flash}\nRAM: {ram}")
    tensors = ", ".join(f"{name} {size:,}" for name, size in fit.peak_tensors.items())
    console.print(f"the arena's peak is layer {fit.peak_layer}, {fit.peak_layer_name}: {tensors}")
    if fit.slot is not None:
        print_fit(fit.slot)


def print_summary(report: Report, folder: Path) -> None:
    """The figures of a report, and where its pages lie."""
    from edgecompress.core.figures import summary

    table = _table("", "figure", "how")
    for row in summary(report):
        table.add_row(row.what, row.figure, row.how)
    console = _console()
    console.print(Text.assemble((report.name, "bold"), f" on {report.device}"), table)
    for note in report.notes:
        console.print(f"note: {note}")
    console.print(f"report: {folder / 'report.html'}", soft_wrap=True)


def _console() -> Console:
    """Standard output; wide where no terminal says how wide it is. Brackets and colons in names are no markup."""
    width = None if sys.stdout.isatty() else WIDTH_OF_A_FILE
    return Console(highlight=False, markup=False, emoji=False, width=width)


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading)
    return table


def _bytes(count: int | None) -> str:
    return "not limited" if count is None else f"{count:,}"


def _flat(table: dict[str, object], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in table.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        elif value is not None:
            rows.append((prefix + key, " ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return rows
