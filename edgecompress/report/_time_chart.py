"""The chart of one timed figure: every inference a dot, in the order in which they ran."""

from __future__ import annotations

from dataclasses import dataclass

import altair as alt

from edgecompress.core import figures
from edgecompress.core.report import Candidate
from edgecompress.core.values import Measurement
from edgecompress.report import _charts

MOST_DOTS = 500
HEIGHT = 160
STATES = ("steady state", "warm-up")


@dataclass(frozen=True, kw_only=True)
class Captioned:
    """A chart as SVG, what it is, and what to know of it."""

    svg: str
    label: str
    caption: str


def draw(candidate: Candidate, timed: Measurement) -> Captioned:
    """Draw the samples over their number, and the median as a line. Of many, some: the slowest are all there."""
    shown = dots(timed)
    rows = [
        {"number": number, "time": timed.samples[number], "state": STATES[number < timed.warm_up]} for number in shown
    ]
    title = {"us": "µs"}.get(timed.unit, timed.unit)
    points = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_circle(size=18, opacity=0.7)
        .encode(
            x=alt.X("number:Q", title="Inference", scale=alt.Scale(nice=False), axis=alt.Axis(format="d", grid=False)),
            y=alt.Y("time:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5)),
            color=_charts.by("state", list(STATES) if timed.warm_up else list(STATES[:1])),
        )
    )
    line = (
        alt.Chart(alt.InlineData(values=[{"time": timed.value}]))
        .mark_rule(color=_charts.INK, strokeDash=[4, 3], strokeWidth=1.2)
        .encode(y="time:Q")
    )
    threads = timed.conditions.get("threads", "1")
    chart = (points + line).properties(width=_charts.WIDTH, height=HEIGHT)
    heading = figures.heading(timed)
    return Captioned(
        svg=_charts.draw(chart, f"time-{threads}-{candidate.bundle.build_id}"),
        label=f"Strip plot: {heading} over the run",
        caption=_caption(timed, len(shown), heading),
    )


def dots(timed: Measurement) -> tuple[int, ...]:
    """Which samples to draw: all, or evenly spread ones and every one above the 99th percentile."""
    count = len(timed.samples)
    step = -(-count // MOST_DOTS)
    slowest = timed.percentiles["p99"]
    return tuple(i for i in range(count) if i % step == 0 or timed.samples[i] > slowest)


def _caption(timed: Measurement, shown: int, heading: str) -> str:
    count = len(timed.samples)
    which = "" if shown == count else f" Of {count:,} inferences {shown:,} are drawn, the slowest hundredth among them."
    void = f" {figures.VOID}: {timed.void}." if timed.void else ""
    return f"{heading}: each dot an inference, in order; the line is the median.{which}{void}"
