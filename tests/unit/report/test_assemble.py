from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from edgecompress.core.recipe import Limits
from edgecompress.core.report import Baseline, Report, assemble, candidate, judge
from edgecompress.core.target import Target
from edgecompress.core.values import Measurement, Measurements


def flash(value: float | None, missing: str | None = None) -> Measurement:
    return Measurement(metric="flash_bytes", unit="bytes", value=value, missing=missing)


def accuracy(stage: str, value: float | None, missing: str | None = None) -> Measurement:
    return Measurement(metric="accuracy", unit="fraction", stage=stage, value=value, missing=missing)


@pytest.mark.parametrize(("bytes_found", "kept"), [(99, True), (100, True), (101, False)])
def test_a_size_passes_up_to_its_limit(bytes_found: int, kept: bool) -> None:
    (result,) = judge(Limits(flash_bytes=100), [flash(bytes_found)])

    assert (result.passed, result.rule, result.limit, result.value) == (kept, "at most", 100, bytes_found)


@pytest.mark.parametrize(("found", "kept"), [(0.89, False), (0.9, True), (0.95, True)])
def test_the_devices_accuracy_passes_from_its_limit(found: float, kept: bool) -> None:
    (result,) = judge(Limits(accuracy=0.9), [accuracy("float host", 1.0), accuracy("device", found)])

    assert (result.passed, result.rule, result.value) == (kept, "at least", found)


@pytest.mark.parametrize("given", ["float host", "int8 host (ONNX Runtime)"])
def test_the_drop_is_from_the_network_as_given_to_the_device(given: str) -> None:
    measured = [accuracy(given, 0.95), accuracy("int8 host", 0.5), accuracy("device", 0.9)]

    (result,) = judge(Limits(accuracy_drop=0.05), measured)

    assert (result.value, result.passed) == (0.05, True)


def test_a_drop_below_zero_passes() -> None:
    (result,) = judge(Limits(accuracy_drop=0), [accuracy("float host", 0.9), accuracy("device", 0.92)])

    assert (result.value, result.passed) == (-0.02, True)


def test_a_missing_figure_does_not_pass_and_says_why() -> None:
    limits = Limits(accuracy=0.5, accuracy_drop=0.1, flash_bytes=10, latency_us=5)
    measured = [accuracy("float host", None, "no labels"), accuracy("device", None, "no labels"), flash(None, "no ELF")]

    assert [(r.metric, r.passed, r.value, r.missing) for r in judge(limits, measured)] == [
        ("accuracy", False, None, "no labels"),
        ("accuracy_drop", False, None, "no labels"),
        ("flash_bytes", False, None, "no ELF"),
        ("latency_us", False, None, "latency_us was not measured"),
    ]


def test_a_void_figure_does_not_pass_however_good_it_is() -> None:
    void = "the board throttled"
    good = Measurement(metric="latency_us", unit="us", value=5, void=void)

    (result,) = judge(Limits(latency_us=1_000), [good])

    assert (result.passed, result.value, result.void) == (False, 5, void)


def test_an_accuracy_drop_from_a_void_accuracy_is_void() -> None:
    device = accuracy("device", 0.9).model_copy(update={"void": "the board throttled"})

    (result,) = judge(Limits(accuracy_drop=0.5), [accuracy("float host", 0.95), device])

    assert (result.passed, result.void) == (False, "the board throttled")


def test_limits_that_are_not_set_are_not_judged() -> None:
    assert judge(Limits(), [flash(1)]) == ()


def test_a_candidate_joins_what_every_module_found(manifest: Any, found: Measurements) -> None:
    joined = candidate(manifest, [Measurements(metrics=found.metrics[:2]), Measurements(layers=found.layers)], Limits())

    assert joined.measurements == found.metrics[:2]
    assert joined.layers == found.layers
    assert joined.passed


def test_an_emulated_device_is_noted_first_and_empty_notes_are_left_out(report: Report) -> None:
    emulated, data = report.notes

    assert emulated == (
        "board under qemu-system-arm: its figures are executed instructions, not time: an emulator has no caches, no "
        "wait states and no dual issue."
    )
    assert data == "Scored on <calibration> samples."


def note(target: Target, device: str, instructions_per_tick: float | None) -> str:
    (only,) = assemble(
        name="n",
        created=datetime(2026, 1, 2, tzinfo=UTC),
        target=target.model_copy(update={"system": "linux", "emulator": None}),
        device=device,
        emulated=True,
        instructions_per_tick=instructions_per_tick,
        baseline=Baseline(name="n", dtype="float32", parameter_bytes=1),
        candidates=[],
    ).notes
    return only


def test_an_emulated_system_is_noted_with_what_its_instructions_are(target: Target) -> None:
    assert note(target, "vm://rpi4 (emulated)", 1.0) == (
        "vm://rpi4 (emulated): its figures are executed instructions of the whole system, its kernel included, not "
        "time: an emulator has no caches, no wait states and no dual issue."
    )


def test_emulated_programs_are_noted_to_have_no_clock_and_no_memory(target: Target) -> None:
    assert note(target, "loop://rpi4 (emulated)", None) == (
        "loop://rpi4 (emulated): its programs run on the host's kernel, as processes of an emulator. Neither the clock "
        "nor the memory that they see is the board's: there are no figures of time, instructions or memory in use."
    )


def test_a_real_device_needs_no_note(report: Report, target: Any) -> None:
    made = assemble(
        name="n",
        created=report.created,
        target=target,
        device="a board",
        emulated=False,
        baseline=report.baseline,
        candidates=[],
        notes=[""],
    )

    assert made.notes == ()
    assert made.passed


def test_a_report_passes_only_when_every_limit_is_kept(report: Report) -> None:
    assert not report.passed


def test_the_time_it_was_made_must_carry_its_zone(report: Report, target: Any) -> None:
    with pytest.raises(ValidationError, match="Input should have timezone info"):
        assemble(
            name="n",
            created=datetime(2026, 1, 2),
            target=target,
            device="",
            emulated=False,
            baseline=report.baseline,
            candidates=[],
        )
