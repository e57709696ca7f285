"""The figures of cortex_m.py as tables; `x` is a ratio to TFLM."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table

from benchmarks.cortex_m_bars import (
    MOST_INSTRUCTIONS_A_FLOAT_MAC,
    NETWORKS_WITH_FLOAT_BAR,
    PLAIN_BOARDS,
    ROWS,
    Baselines,
    Held,
    baseline_of,
    bound,
)
from benchmarks.cortex_m_figures import NETWORKS, Figures

NONE = "-"


def bars(held: Sequence[Held]) -> Table:
    """The ratio of every figure that has a bar: a line with the bars, then one for each board."""
    table = _table("figure and board", *(name.split("_")[0] for name in NETWORKS))
    for row in ROWS:
        of_row = {(each.target, each.network): each for each in held if each.row == row.title}
        if not of_row:
            continue
        table.add_row(f"[bold]{row.title}, at most[/]", *(f"{row.most_of(name):.2f}      " for name in NETWORKS))
        for board in row.boards:
            if any((board, name) in of_row for name in NETWORKS):
                table.add_row(f"  {board}", *(_verdict(of_row.get((board, name))) for name in NETWORKS))
    return table


def at_once(found: Iterable[Figures], baselines: Baselines) -> Table:
    """Instructions, flash and RAM of one program, a row for each network and board."""
    table = _table(
        "network", "board", "core", "instructions", "x", "a MAC", "x bound", "flash", "x", "RAM", "x", left=3
    )
    for figures in found:
        baseline = baseline_of(figures, baselines)
        table.add_row(
            figures.network,
            figures.target,
            figures.cpu,
            _count(figures.instructions),
            _ratio(figures.instructions, baseline.instructions),
            _ratio(figures.instructions, figures.macs),
            _ratio(figures.instructions, bound(figures)),
            _count(figures.flash_bytes),
            _ratio(figures.flash_bytes, baseline.flash_bytes),
            _count(figures.ram_bytes),
            _ratio(figures.ram_bytes, baseline.ram_bytes),
        )
    return table


def plain_cores(found: Sequence[Figures], baselines: Baselines) -> Table:
    """Instructions of the cores without DSP instructions, beside TFLM's reference kernels; the first mode that fits."""
    table = _table("network", "board", "core", "mode", "instructions", "x", left=4)
    shown: set[tuple[str, str]] = set()
    for figures in found:
        place = figures.network, figures.target
        if figures.target not in PLAIN_BOARDS or place in shown:
            continue
        shown.add(place)
        ratio = _ratio(figures.instructions, baseline_of(figures, baselines).instructions)
        table.add_row(*place, figures.cpu, figures.mode, _count(figures.instructions), ratio)
    return table


def floats(found: Iterable[Figures]) -> Table:
    """Instructions a MAC of the float networks."""
    table = _table("network", "board", "core", "instructions", "a MAC", "at most", left=3)
    for figures in found:
        most = f"{MOST_INSTRUCTIONS_A_FLOAT_MAC}" if figures.network in NETWORKS_WITH_FLOAT_BAR else NONE
        ratio = _ratio(figures.instructions, figures.macs)
        table.add_row(figures.network, figures.target, figures.cpu, _count(figures.instructions), ratio, most)
    return table


def _table(*headings: str, left: int = 1) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number < left else "right", no_wrap=True)
    return table


def _verdict(held: Held | None) -> str:
    if held is None:
        return NONE
    return f"{held.ratio:.3f} [red]missed[/]" if held.is_missed else f"{held.ratio:.3f} held"


def _count(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}"


def _ratio(value: float | None, of: float) -> str:
    return NONE if value is None else f"{value / of:.2f}"
