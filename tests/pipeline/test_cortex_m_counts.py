"""The figures of a few networks, cores and modes do not grow: the short version of benchmarks/cortex_m.py.

Counts are deterministic, so cortex_m_counts.csv holds them; the slack is for other versions of the compilers. After a
change that is worth its instructions or bytes, run `pytest --update-golden tests/pipeline/test_cortex_m_counts.py`,
and read the diff.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks import cortex_m, cortex_m_bars, cortex_m_figures
from benchmarks.cortex_m_figures import Case, Figures

STORED = Path(__file__).parent / "cortex_m_counts.csv"
METRICS = ("instructions", "flash_bytes", "ram_bytes")
MOST_GROWTH = 1.03
"""A gain of as much is not asked to be stored, but is worth it."""


@pytest.mark.parametrize("case", cortex_m.QUICK, ids=lambda case: f"{case.source.stem}-{case.target}")
def test_a_network_takes_no_more_than_it_did(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    measured = cortex_m_figures.measure(case, tmp_path)
    counted = {
        (figures.network, figures.kind, figures.target, figures.mode, metric): round(getattr(figures, metric))
        for figures in measured.figures
        for metric in METRICS
    }
    if request.config.getoption("--update-golden"):
        write(read() | counted)
    stored = read()

    grown = [
        f"{' '.join(name)}: {count:,}, and was {stored[name]:,}"
        for name, count in counted.items()
        if count > stored[name] * MOST_GROWTH
    ]

    assert [figures.mode for figures in measured.figures] == list(case.modes)
    assert grown == [], "if it is worth it, run pytest --update-golden, then read the diff"
    assert missed_bars(measured.figures) == []


def test_what_is_stored_is_what_is_measured() -> None:
    measured = {(case.network, case.kind, case.target, mode) for case in cortex_m.QUICK for mode in case.modes}
    assert {name[:-1] for name in read()} == measured


def missed_bars(figures: tuple[Figures, ...]) -> list[str]:
    held = cortex_m_bars.hold(figures, cortex_m_bars.read_baselines())
    return [*cortex_m_bars.missed_bars(held), *cortex_m_bars.missed_float_bars(figures)]


def read() -> dict[tuple[str, ...], int]:
    with STORED.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        return {tuple(name): int(count) for *name, count in rows}


def write(counts: dict[tuple[str, ...], int]) -> None:
    with STORED.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("network", "kind", "target", "mode", "metric", "count"))
        rows.writerows((*name, str(count)) for name, count in sorted(counts.items()))
