"""Tables on stdout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from edgecompress.core.target import Target


def print_targets(targets: Sequence[Target]) -> None:
    """One line a profile."""
    table = _table("name", "cpu", "features", "flash", "RAM", "link", "description")
    for target in targets:
        limits = (_bytes(target.flash_limit_bytes), _bytes(target.ram_limit_bytes))
        table.add_row(target.name, target.cpu, " ".join(target.features), *limits, target.link, target.description)
    Console().print(table)


def print_target(target: Target) -> None:
    """Every value of one profile."""
    table = _table("key", "value")
    for key, value in _flat(target.model_dump(mode="json")):
        table.add_row(key, value)
    Console().print(table)


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
