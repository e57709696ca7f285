from __future__ import annotations

from typing import Any

from edgecompress.core.values import Evidence, Measurement, Measurements
from edgecompress.measure import latency, layers


def named(found: Measurements, metric: str) -> Measurement:
    return next(m for m in found.metrics if m.metric == metric)


def test_an_emulated_board_gives_instructions_and_says_why_it_has_no_time(
    board: Any, bundle: Any, evidence: Evidence
) -> None:
    found = latency.read(board, bundle, evidence)

    instructions = named(found, "latency_instructions")
    assert (instructions.value, instructions.unit, instructions.how) == (4_000, "instructions", "emulated")
    assert instructions.instrument == "timer of fake board, one tick is 40 instructions"
    time = named(found, "latency_us")
    assert time.value is None
    assert time.missing == "an emulator counts executed instructions; only a board's own clock gives time"


def test_a_real_device_gives_time_and_says_why_it_has_no_instructions(
    process: Any, bundle: Any, evidence: Evidence
) -> None:
    found = latency.read(process, bundle, evidence)

    time = named(found, "latency_us")
    assert (time.value, time.unit, time.how) == (100, "us", "measured")
    assert time.instrument == "clock of local process, 1,000,000 ticks a second"
    instructions = named(found, "latency_instructions")
    assert instructions.value is None
    assert instructions.missing == "the device's clock counts time, not instructions"


def test_an_emulator_of_unknown_speed_gives_neither(board: Any, bundle: Any, evidence: Evidence) -> None:
    board.instructions_per_tick = None

    found = latency.read(board, bundle, evidence)

    assert [m.value for m in found.metrics] == [None, None]
    why = "the clock of fake board does not count instructions"
    assert named(found, "latency_instructions").missing == why


def test_every_timed_sample_is_kept_and_every_warm_up_left_out(board: Any, bundle: Any, evidence: Evidence) -> None:
    found = named(latency.read(board, bundle, evidence), "latency_instructions")

    assert found.samples == (4_000,) * 12
    assert board.runs == 12 + 3
    assert found.conditions["warm-up"] == "3 more inferences, the first of each call, not counted"


def test_progress_is_told_from_nothing_to_all(board: Any, bundle: Any, evidence: Evidence) -> None:
    told: list[tuple[str, int, int]] = []
    watched = Evidence(
        model=evidence.model, baseline=evidence.baseline, repeat=7, progress=lambda *step: told.append(step)
    )

    latency.read(board, bundle, watched)

    assert told == [("time inferences", 0, 7), ("time inferences", 5, 7), ("time inferences", 7, 7)]


def test_a_layer_has_the_median_of_its_ticks(board: Any, bundle: Any, evidence: Evidence) -> None:
    found = layers.read(board, bundle, evidence)

    assert [(layer.name, layer.ticks, layer.instructions) for layer in found.layers] == [
        ("quantize", (10, 12, 11), 440),
        ("dequantize", (80, 82, 90), 3_280),
    ]
    assert [layer.microseconds for layer in found.layers] == [None, None]


def test_a_layer_on_a_real_device_has_time(process: Any, bundle: Any, evidence: Evidence) -> None:
    found = layers.read(process, bundle, evidence)

    assert [(layer.instructions, layer.microseconds) for layer in found.layers] == [(None, 11), (None, 82)]
