"""The benchmark names every bar that is missed, and only those."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import cortex_m

Baselines = dict[tuple[str, str], cortex_m.Baseline]


@pytest.fixture
def good() -> cortex_m.Figures:
    return cortex_m.Figures(
        network="kws_dscnn_int8",
        target="mps2-an386",
        cpu="cortex-m4",
        macs=2_656_768,
        instructions=19_245_547,
        flash_bytes=106_471,
        ram_bytes=24_323,
        arena_bytes=20_000,
        stack_bytes=400,
        mismatched_bytes=0,
        max_lsb=1,
        max_lsb_reason=None,
        top1_agreement=1.0,
        vectors=8,
        outputs_sha256="a",
    )


@pytest.fixture
def baselines() -> Baselines:
    return cortex_m.read_baselines(cortex_m.BASELINE)


def test_figures_just_inside_every_bar_miss_none(good: cortex_m.Figures, baselines: Baselines) -> None:
    assert cortex_m.missed_bars([good], baselines) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"instructions": 19_245_548}, "19,245,548 instructions, and must be at most 19,245,548"),
        ({"flash_bytes": 106_472}, "106,472 bytes of flash, and must be below 106,472"),
        ({"ram_bytes": 24_324}, "24,324 bytes of RAM, and must be below 24,324"),
        ({"ram_bytes": None}, "- bytes of RAM, and must be below 24,324"),
        ({"mismatched_bytes": 3}, "3 bytes differ from the host program"),
        ({"vectors": 7}, "7 test vectors, and must be at least 8"),
        ({"max_lsb": 2}, "2 LSB from ONNX Runtime without a reason"),
    ],
)
def test_a_figure_over_its_bar_is_named(
    good: cortex_m.Figures, baselines: Baselines, change: dict[str, float | None], message: str
) -> None:
    missed = cortex_m.missed_bars([replace(good, **change)], baselines)
    assert missed == [f"kws_dscnn_int8 on mps2-an386: {message}"]


def test_a_larger_distance_from_onnx_runtime_with_a_reason_is_no_miss(
    good: cortex_m.Figures, baselines: Baselines
) -> None:
    explained = replace(good, max_lsb=16, max_lsb_reason="the softmax turns 1 LSB into 16 LSB")
    assert cortex_m.missed_bars([explained], baselines) == []


def test_only_the_main_target_is_held_against_the_baseline(good: cortex_m.Figures, baselines: Baselines) -> None:
    other = replace(good, target="mps2-an500", cpu="cortex-m7", instructions=10**9, flash_bytes=10**9)
    assert cortex_m.missed_bars([other], baselines) == []


def test_outputs_that_differ_between_targets_are_named_with_the_targets(good: cortex_m.Figures) -> None:
    same = replace(good, target="host")
    other = replace(good, target="mps2-an500", outputs_sha256="b")
    assert cortex_m.unequal_outputs([good, same]) == []
    assert cortex_m.unequal_outputs([good, same, other]) == [
        "kws_dscnn_int8: outputs differ between targets: mps2-an386 host | mps2-an500"
    ]
