"""The charts of report.html, drawn once as SVG when it is written: no script and no network in the page.

Altair describes them, vl-convert draws them, offline. They are drawn in stand-in colours, which become CSS variables
of the page, so that a chart follows the reader's light or dark scheme.
"""

from __future__ import annotations

import io
import re
from typing import Any

import altair as alt

from edgecompress.core.bundle import Arena, Placement
from edgecompress.core.report import Candidate
from edgecompress.report import _tables

WIDTH = 880
BAR_HEIGHT = 22
ARENA_HEIGHT = 340
LETTER_WIDTH, LINE_HEIGHT = 9, 16
"""Room, in pixels, that a label in a rectangle needs, for a letter and for a line."""
LONGEST_NAME = 30
KINDS = ("intermediate", "input", "output")
PADDING = {"left": 24, "right": 12, "top": 4, "bottom": 4}
"""Room for a reader's font that is wider than the one the chart was measured with."""
AUTOSIZE = alt.AutoSizeParams(type="fit-x", contains="padding")
INK, FAINT, PAPER = "#010101", "#020202", "#030303"
HUES = tuple(f"#0400{index:02x}" for index in range(1, 9))
CSS_OF = {INK: "var(--ink)", FAINT: "var(--faint)", PAPER: "var(--paper)"} | {
    hue: f"var(--hue-{index})" for index, hue in enumerate(HUES, start=1)
}


def layers(candidate: Candidate) -> str:
    """Draw a bar a layer, in order of execution: how long it is, and its share of the whole."""
    amounts = _tables.layer_amounts(candidate.layers)
    whole = sum(amounts.values()) or 1.0
    rows = [
        {
            "layer": f"{layer.index}  {end(layer.name)}",
            "operator": layer.op,
            "amount": amounts[layer.index],
            "share": f"{amounts[layer.index] / whole:.1%}",
        }
        for layer in candidate.bundle.layers
        if layer.index in amounts
    ]
    base = alt.Chart(_data(rows)).encode(
        y=alt.Y(
            "layer:N", sort=None, title=None, axis=alt.Axis(labelLimit=300, ticks=False, domain=False, labelPadding=6)
        ),
        x=alt.X("amount:Q", title=_tables.layer_unit(candidate), axis=alt.Axis(format="~s", tickCount=5)),
    )
    bars = base.mark_bar(cornerRadiusEnd=3).encode(color=by("operator", list(dict.fromkeys(_column(rows, "operator")))))
    shares = base.mark_text(align="left", dx=5, color=INK, fontSize=11).encode(text="share:N")
    return draw(
        (bars + shares).properties(width=WIDTH, height=BAR_HEIGHT * len(rows)), f"layers-{candidate.bundle.build_id}"
    )


def memory(candidate: Candidate) -> str:
    """Draw what fills flash and RAM, in KiB, the runtime's own part included."""
    rows = [
        {"memory": memory, "part": part, "kib": count / 1024, "order": order}
        for order, (memory, part, count) in enumerate(memory_parts(candidate))
        if count > 0
    ]
    parts = list(dict.fromkeys(_column(rows, "part")))
    chart = (
        alt.Chart(_data(rows))
        .mark_bar(stroke=PAPER, strokeWidth=1)
        .encode(
            y=alt.Y(
                "memory:N", sort=["Flash", "RAM"], title=None, axis=alt.Axis(ticks=False, domain=False, labelPadding=6)
            ),
            x=alt.X("kib:Q", title="KiB", stack="zero", axis=alt.Axis(tickCount=8)),
            color=by("part", parts),
            order=alt.Order("order:Q"),
        )
    )
    return draw(chart.properties(width=WIDTH, height=100), f"memory-{candidate.bundle.build_id}")


def arena(candidate: Candidate) -> str:
    """Draw the arena: a rectangle a tensor, from its first layer to its last, from its lowest byte to its highest."""
    plan = candidate.bundle.arena
    last = max((layer.index for layer in candidate.bundle.layers), default=0)
    rows = [
        {
            "tensor": placement.name,
            "kind": _kind(candidate, placement.name),
            "first": placement.first - 0.5,
            "last": placement.last + 0.5,
            "middle": (placement.first + placement.last) / 2,
            "low": placement.offset,
            "centre": placement.offset + placement.bytes / 2,
            "high": placement.offset + placement.bytes,
            "label": placement.name if _has_room(placement, plan, last) else "",
        }
        for placement in plan.placements
    ]
    x = alt.Scale(domain=[-0.5, last + 0.5], nice=False)
    ticks = alt.Axis(values=list(range(0, last + 1, max(1, last // 16))), format="d", grid=False)
    rectangles = (
        alt.Chart(_data(rows))
        .mark_rect(stroke=PAPER, strokeWidth=1.5, cornerRadius=2)
        .encode(
            x=alt.X("first:Q", scale=x, axis=ticks, title="Layer"),
            x2="last:Q",
            y=alt.Y("low:Q", title="Offset in the arena, bytes", axis=alt.Axis(format="~s")),
            y2="high:Q",
            color=by("kind", list(KINDS)),
        )
    )
    labels = rectangles.mark_text(color=PAPER, fontSize=11).encode(
        x=alt.X("middle:Q", scale=x),
        x2=alt.Undefined,
        y="centre:Q",
        y2=alt.Undefined,
        color=alt.value(PAPER),
        text="label:N",
    )
    peak = (
        alt.Chart(_data([{"layer": plan.peak_layer, "text": "peak"}]))
        .mark_rule(color=INK, strokeDash=[4, 3], strokeWidth=1.2)
        .encode(x=alt.X("layer:Q", scale=x))
    )
    word = peak.mark_text(color=INK, dy=-5, baseline="bottom", fontSize=11).encode(text="text:N", y=alt.value(0))
    return draw(
        (rectangles + labels + peak + word).properties(width=WIDTH, height=ARENA_HEIGHT),
        f"arena-{candidate.bundle.build_id}",
    )


def memory_parts(candidate: Candidate) -> tuple[tuple[str, str, int], ...]:
    """Split flash and RAM into (memory, part, bytes). The stack is there only when the device counted it."""
    sizes, planned = candidate.bundle.sizes, candidate.bundle.arena.bytes
    stack = candidate.metric("stack_bytes")
    stack_bytes = int(stack.value) if stack is not None and stack.value is not None else 0
    return (
        ("Flash", "weights", sizes.weights_bytes),
        ("Flash", "network's code", sizes.code_bytes),
        ("Flash", "rest of the network", sizes.flash_bytes - sizes.weights_bytes - sizes.code_bytes),
        ("Flash", "runtime", sizes.firmware_flash_bytes - sizes.flash_bytes),
        ("RAM", "arena", planned),
        ("RAM", "rest of the network", sizes.static_ram_bytes - planned),
        ("RAM", "stack", stack_bytes),
        ("RAM", "runtime", sizes.firmware_static_ram_bytes - sizes.static_ram_bytes),
    )


def _data(rows: list[dict[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=rows)


def _has_room(placement: Placement, plan: Arena, last: int) -> bool:
    width = WIDTH * (placement.last - placement.first + 1) / (last + 1)
    height = ARENA_HEIGHT * placement.bytes / plan.bytes
    return width > LETTER_WIDTH * len(placement.name) and height > LINE_HEIGHT


def _kind(candidate: Candidate, tensor: str) -> str:
    if tensor in {spec.name for spec in candidate.bundle.inputs}:
        return "input"
    return "output" if tensor in {spec.name for spec in candidate.bundle.outputs} else "intermediate"


def end(name: str) -> str:
    """Keep the end of a long name: frameworks put the path in front. ONNX Runtime's quantizer ends all names alike."""
    name = re.sub(r"_(De)?[Qq]uantizeLinear_(Out|In)put(_\d+)?$", "", name)
    return name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}"


def by(field: str, values: list[str]) -> Any:
    """Colour by a field of these values, with a legend above the chart."""
    hues = [HUES[index % len(HUES)] for index in range(len(values))]
    legend = alt.Legend(title=None, orient="top", symbolType="square", columns=6, columnPadding=28, labelLimit=160)
    return alt.Color(f"{field}:N", scale=alt.Scale(domain=values, range=hues), legend=legend)


def _column(rows: list[dict[str, Any]], key: str) -> list[str]:
    return [str(row[key]) for row in rows]


def draw(chart: Any, name: str) -> str:
    """Draw a chart as SVG in the page's colours. `name` tells it from the page's other charts."""
    axis = {"labelColor": INK, "titleColor": INK, "gridColor": FAINT, "domainColor": FAINT, "tickColor": FAINT}
    styled = (
        chart.configure(
            background="transparent", padding=PADDING, autosize=AUTOSIZE, aria=False, font="system-ui, sans-serif"
        )
        .configure_view(stroke=None)
        .configure_axis(**axis, labelFontSize=12, titleFontSize=12, titleFontWeight="normal")
        .configure_legend(labelColor=INK, labelFontSize=12)
    )
    drawn = io.StringIO()
    styled.save(drawn, format="svg")
    svg = _own_ids(drawn.getvalue(), name)
    for stand_in, css in CSS_OF.items():
        svg = svg.replace(f'"{stand_in}"', f'"{css}"')
    return svg


def _own_ids(svg: str, name: str) -> str:
    """Name the clip paths after their chart: Vega numbers them over the whole process, a page must not differ by it."""
    for index, identity in enumerate(dict.fromkeys(re.findall(r'id="(clip\d+)"', svg))):
        own = f"{name}-{index}"
        svg = svg.replace(f'id="{identity}"', f'id="{own}"').replace(f"url(#{identity})", f"url(#{own})")
    return svg
