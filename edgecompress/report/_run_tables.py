"""The tables of how a run went: percentiles, power, and the board before and after. Plain text cells, as in _tables."""

from __future__ import annotations

from collections.abc import Callable

from edgecompress.core import figures
from edgecompress.core.report import Candidate
from edgecompress.core.values import BoardState, Conditions, Measurement
from edgecompress.report._tables import Table

POWER = ("idle_power_w", "power_w", "energy_mj", "energy_above_idle_mj")
UNKNOWN = "not told"
NOW_BITS, SINCE_BITS = 0xF, 0xF0000


def percentiles(candidate: Candidate) -> Table:
    """One row a timed figure: its percentiles, of how many samples, how many the warm-up took, and the drift."""
    timed = measured_times(candidate)
    names = tuple(timed[0].percentiles) if timed else ()
    rows = tuple(
        (
            figures.heading(m),
            *(figures.number(m.percentiles[name], m.unit) for name in names),
            f"{len(m.steady):,}",
            f"{m.warm_up:,}",
            m.conditions.get("drift", "").split(" ", 1)[0],
        )
        for m in timed
    )
    headings = ("Figure", *(name.capitalize() for name in names), "Samples", "Warm-up", "Drift")
    return Table(headings=headings, rows=rows, numeric=frozenset(range(1, len(headings))))


def power(candidate: Candidate) -> Table:
    """What a meter saw: power and energy, and how sure they are. No rows without a meter."""
    measured = [m for m in candidate.measurements if m.metric in POWER and m.value is not None]
    rows = tuple(
        (
            figures.heading(m),
            figures.figure(m),
            m.conditions.get("uncertainty", ""),
            m.conditions.get("readings") or m.conditions.get("inferences", ""),
            m.instrument,
        )
        for m in measured
    )
    return Table(headings=("Figure", "Value", "Uncertainty", "Of", "Meter"), rows=rows)


def conditions(candidate: Candidate) -> Table:
    """One row a run: the board before and after it, and whether its figures can be trusted."""
    rows = tuple(
        (
            run.run,
            _change(run, _temperature),
            _change(run, _clock),
            _change(run, _governor),
            _change(run, _throttling),
            _change(run, _load),
            _change(run, _memory),
            "good" if run.void is None else f"{figures.VOID} {run.void}",
        )
        for run in candidate.conditions
    )
    headings = ("Run", "Temperature", "Clock", "Governor", "Throttled", "Load", "Memory available", "Verdict")
    return Table(headings=headings, rows=rows)


def measured_times(candidate: Candidate) -> tuple[Measurement, ...]:
    """The figures that have percentiles."""
    return tuple(m for m in candidate.measurements if m.percentiles)


def layers_void(candidate: Candidate) -> str | None:
    """Why the layers' times must not be trusted; None when they may."""
    return next((layer.void for layer in candidate.layers if layer.void is not None), None)


def _change(run: Conditions, told: Callable[[BoardState], str | None]) -> str:
    """`before → after`, or one of them where they are the same."""
    before, after = (told(state) or UNKNOWN for state in (run.before, run.after))
    return before if before == after else f"{before} → {after}"


def _temperature(state: BoardState) -> str | None:
    return None if state.temperature_c is None else f"{state.temperature_c:.1f} °C"


def _clock(state: BoardState) -> str | None:
    clocks = {clock.current_khz for clock in state.clocks if clock.current_khz is not None}
    if not clocks:
        return None
    least, most = min(clocks) / 1000, max(clocks) / 1000
    return f"{most:,.0f} MHz" if least == most else f"{least:,.0f} to {most:,.0f} MHz"


def _governor(state: BoardState) -> str | None:
    return ", ".join(sorted({clock.governor for clock in state.clocks if clock.governor})) or None


def _throttling(state: BoardState) -> str | None:
    bits = state.throttled_bits
    if bits is None:
        return None if state.throttle_events is None else f"{state.throttle_events:,} times"
    if bits & NOW_BITS:
        return f"now ({bits:#x})"
    return f"earlier ({bits:#x})" if bits & SINCE_BITS else "no"


def _load(state: BoardState) -> str | None:
    return None if state.load is None else f"{state.load:.2f}"


def _memory(state: BoardState) -> str | None:
    return None if state.available_ram_bytes is None else f"{state.available_ram_bytes / 2**20:,.0f} MiB"
