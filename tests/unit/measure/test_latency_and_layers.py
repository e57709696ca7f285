from __future__ import annotations

from typing import Any

import fake_boards
from fake_boards import telling

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
    assert layers.read(board, bundle, evidence).layers == ()
    why = "the clock of fake board does not count instructions"
    assert named(found, "latency_instructions").missing == why


def test_every_timed_sample_is_kept_and_every_warm_up_left_out(board: Any, bundle: Any, evidence: Evidence) -> None:
    found = named(latency.read(board, bundle, evidence), "latency_instructions")

    assert found.samples == (4_000,) * 12
    assert board.runs == 12 + 3
    assert found.conditions["warm-up"] == "3 more inferences, the first of each call, not counted"


def test_a_real_clock_is_read_for_a_second_or_as_often_as_is_useful(
    process: Any, bundle: Any, evidence: Evidence
) -> None:
    for ticks, samples in ((100, 5_000), (1_000, 1_000), (10_000, 200), (500_000, 40), (5_000_000, 12)):
        process.inference_ticks = ticks

        found = named(latency.read(process, bundle, evidence), "latency_us")

        assert (len(found.samples), found.value) == (samples, ticks)


def test_a_time_has_its_percentiles(process: Any, bundle: Any, evidence: Evidence) -> None:
    process.inference_ticks = 10_000
    process.outliers = {20: 12_000, 40: 15_000, 60: 30_000}

    found = named(latency.read(process, bundle, evidence), "latency_us")

    assert found.percentiles == {
        "min": 10_000, "median": 10_000, "p90": 10_000, "p95": 10_000, "p99": 12_000, "max": 30_000
    }  # fmt: skip
    assert found.samples.count(30_000) == 1
    assert found.conditions["drift"] == "+0.0% from first to last quarter"


def test_samples_before_the_steady_state_are_kept_and_do_not_count(
    process: Any, bundle: Any, evidence: Evidence
) -> None:
    process.inference_ticks = 10_000
    process.outliers = dict.fromkeys(range(31), 14_000)

    found = named(latency.read(process, bundle, evidence), "latency_us")

    assert (len(found.samples), found.warm_up) == (200, 30)
    assert found.conditions["warm-up"].endswith("not counted; then the first 30 until the steady state (MSER-5)")
    assert (found.value, found.void) == (10_000, None)


def test_a_time_that_never_becomes_steady_is_void(process: Any, bundle: Any, evidence: Evidence) -> None:
    process.inference_ticks = 10_000
    process.outliers = {index: 10_000 + 20 * index for index in range(300)}

    found = named(latency.read(process, bundle, evidence), "latency_us")

    assert found.void == "it drifted by +28.6% during the run: there is no steady state"


def test_a_board_with_several_cores_is_timed_on_one_and_on_all(process: Any, bundle: Any, evidence: Evidence) -> None:
    process.board = fake_boards.pi4()
    process.inference_ticks = 10_000

    found = latency.read(process, bundle, evidence)

    times = [m for m in found.metrics if m.metric == "latency_us"]
    assert [(m.conditions["threads"], m.value) for m in times] == [("1", 10_000), ("4", 2_500)]
    assert [run.run for run in found.conditions] == ["latency", "latency, 4 threads"]
    assert process.threads == [1, 4, 1]


def test_a_device_that_knows_no_threads_says_so(process: Any, bundle: Any, evidence: Evidence) -> None:
    process.board = fake_boards.pi4()
    process.most_threads = 1

    one, four = (m for m in latency.read(process, bundle, evidence).metrics if m.metric == "latency_us")

    assert (one.value, four.value) == (100, None)
    assert (four.missing, four.conditions) == ("local process refused THREADS: UNSUPPORTED", {"threads": "4"})


def test_a_time_taken_on_a_throttled_board_is_void_and_so_are_its_layers(
    process: Any, bundle: Any, evidence: Evidence
) -> None:
    process.board = telling(fake_boards.pi4(), "vcgencmd get_throttled", "throttled=0x4\n")

    timed = latency.read(process, bundle, evidence)
    profiled = layers.read(process, bundle, evidence)

    assert named(timed, "latency_us").void == "throttled now (get_throttled)"
    assert [run.run for run in (*timed.conditions, *profiled.conditions)] == [
        "latency",
        "latency, 4 threads",
        "layers",
    ]
    assert {layer.void for layer in profiled.layers} == {"throttled now (get_throttled)"}


def test_the_instructions_of_an_emulated_board_are_never_void(board: Any, bundle: Any, evidence: Evidence) -> None:
    board.board = telling(fake_boards.pi4(), "vcgencmd get_throttled", "throttled=0x4\n")

    found = latency.read(board, bundle, evidence)

    assert named(found, "latency_instructions").void is None
    assert found.conditions == ()


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
