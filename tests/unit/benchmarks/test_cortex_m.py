"""The benchmark names every bar that is missed, and only those; all figures are in its JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from benchmarks import cortex_m, cortex_m_bars, cortex_m_figures, cortex_m_tables
from benchmarks.cortex_m_figures import Case, Figures, Measured

CASE = Case(network="kws_dscnn", target="mps2-an386", modes=("speed",))
GOOD = Figures(
    network="kws_dscnn",
    target="mps2-an386",
    cpu="cortex-m4",
    mode="speed",
    kind="int8",
    macs=2_656_768,
    instructions=4_234_020,
    flash_bytes=106_471,
    ram_bytes=24_323,
    arena_bytes=20_000,
    stack_bytes=400,
    vectors=8,
    outputs_sha256="a",
    max_lsb=1,
)


def results(*figures: Figures) -> cortex_m.Results:
    return cortex_m.Results(measured=[Measured(case=CASE, figures=figures, too_big=("mode ram: too big",))], cycles=())


def test_figures_just_inside_every_bar_miss_none() -> None:
    assert results(GOOD).missed == []


@pytest.mark.parametrize(
    ("change", "message", "most"),
    [
        ({"instructions": 4_234_021}, "mode speed: instructions 4,234,021, 0.550 of TFLM's 7,698,219", 0.55),
        ({"mode": "size"}, "mode size: flash_bytes 106,471, 1.000 of TFLM's 106,472", 0.45),
        ({"mode": "ram"}, "mode ram: ram_bytes 24,323, 1.000 of TFLM's 24,324", 0.55),
    ],
)
def test_a_figure_over_its_bar_is_named(change: dict[str, Any], message: str, most: float) -> None:
    assert results(replace(GOOD, **change)).missed == [
        f"kws_dscnn on mps2-an386, {message}, and must be at most {most}"
    ]


def test_too_many_instructions_of_a_float_network_are_named() -> None:
    figures = replace(GOOD, kind="fp32", network="ic_resnet8", macs=100, instructions=251)
    assert results(figures).missed == [
        "ic_resnet8, float, on mps2-an386: 2.51 instructions a MAC, and must be at most 2.5"
    ]


def test_a_larger_distance_from_onnx_runtime_needs_a_reason() -> None:
    distant = replace(GOOD, max_lsb=16)
    assert results(distant).missed == ["kws_dscnn on mps2-an386: 16 LSB from ONNX Runtime without a reason"]
    assert results(replace(distant, max_lsb_reason="the softmax turns 1 LSB into 16 LSB")).missed == []


def test_outputs_that_differ_between_targets_are_named_with_the_targets() -> None:
    other = replace(GOOD, target="mps2-an500", outputs_sha256="b")
    assert cortex_m_figures.unequal_outputs([GOOD, replace(GOOD, mode="ram")]) == []
    assert cortex_m_figures.unequal_outputs([GOOD, replace(GOOD, mode="ram"), other]) == [
        "kws_dscnn: outputs differ between targets: mps2-an386/speed mps2-an386/ram | mps2-an500/speed"
    ]


def test_every_bar_is_measured_and_has_a_baseline() -> None:
    baselines = cortex_m_bars.read_baselines()
    measured = {
        (case.network, case.target, mode)
        for case in cortex_m_bars.all_cases(cortex_m_figures.NETWORKS)
        for mode in case.modes
    }
    for row in cortex_m_bars.ROWS:
        assert len(row.most) == len(cortex_m_figures.NETWORKS)
        for network in cortex_m_figures.NETWORKS:
            for board, core in row.boards.items():
                assert (network, board, row.mode) in measured
                assert (network, core, row.variant) in baselines


def test_every_board_of_the_benchmark_is_a_target() -> None:
    cores = {board: cortex_m_figures.load_target(board).cpu for board in cortex_m_bars.BASELINE_CORE}
    assert cores["mps2-an385-m0plus"] == "cortex-m0plus"
    assert {core for core in cores.values() if core not in cortex_m_bars.LANES} == {
        "cortex-m0",
        "cortex-m0plus",
        "cortex-m3",
    }


def test_the_table_of_the_bars_says_which_are_held_and_which_missed() -> None:
    found = [GOOD, replace(GOOD, target="mps2-an505", instructions=5_000_000)]
    table = cortex_m_tables.bars(cortex_m_bars.hold(found, cortex_m_bars.read_baselines()))
    console = Console(width=130)
    with console.capture() as captured:
        console.print(table)
    lines = [line.split() for line in captured.get().splitlines()]
    assert lines[1][-5:] == ["0.55", "0.33", "0.52", "0.65", "0.55"]
    assert lines[2:] == [
        ["mps2-an386", "0.550", "held", "-", "-", "-", "-"],
        ["mps2-an505", "0.650", "missed", "-", "-", "-", "-"],
    ]


def test_the_json_holds_figures_bars_and_what_does_not_fit() -> None:
    told = json.loads(json.dumps(cortex_m.as_json(results(GOOD))))
    assert told["figures"][0]["bound_instructions"] == 1_328_384
    assert told["figures"][0]["baseline"]["instructions"] == 7_698_219
    assert [(bar["metric"], bar["missed"]) for bar in told["bars"]] == [("instructions", False)]
    assert told["too_big"] == [{"network": "kws_dscnn", "target": "mps2-an386", "why": "mode ram: too big"}]
    assert told["missed"] == []
