from __future__ import annotations

from typing import Any

import pytest

from edgecompress.core import figures
from edgecompress.core.report import Report
from edgecompress.core.values import Measurement


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (4_860_880, "instructions", "4,860,880 instructions"),
        (0.9333, "fraction", "93.3 %"),
        (4_860_880.5, "instructions", "4,860,880.5 instructions"),
        (1234.56, "us", "1,234.6 µs"),
        (0.0412, "us", "0.0412 µs"),
        (1.5, "LSB", "1.5 LSB"),
        (1.25e-7, "ratio", "1.25e-07"),
        (7, "", "7"),
    ],
)
def test_a_number_reads_with_its_unit(value: float, unit: str, text: str) -> None:
    assert figures.number(value, unit) == text


def test_a_missing_figure_reads_as_missing_and_never_as_zero() -> None:
    missing = Measurement(metric="stack_bytes", unit="bytes", value=None, missing="nobody painted it")

    assert figures.figure(missing) == "missing: nobody painted it"


def test_a_void_figure_reads_as_void_with_its_value_and_the_reason() -> None:
    void = Measurement(metric="latency_us", unit="us", value=812.34, void="throttled while it ran")

    assert figures.figure(void) == "VOID 812.3 µs: throttled while it ran"


def test_a_figure_on_several_threads_says_so() -> None:
    one, four = (
        Measurement(metric="latency_us", unit="us", value=8, conditions={"threads": count}) for count in ("1", "4")
    )

    assert figures.heading(one) == "Time per inference"
    assert figures.heading(four) == "Time per inference, 4 threads"


def test_a_fraction_reads_with_its_counts() -> None:
    right = Measurement(metric="accuracy", unit="fraction", value=2 / 3, samples=(1, 1, 0), stage="device")

    assert figures.figure(right) == "66.7 % (2 of 3)"


@pytest.mark.parametrize(
    ("samples", "text"),
    [((), ""), ((3,), "1"), ((3, 3), "2, all equal"), ((3, 5, 4), "3, from 3 bytes to 5 bytes")],
)
def test_the_spread_tells_how_many_samples_and_how_far_apart(samples: Any, text: str) -> None:
    assert figures.spread(Measurement(metric="m", unit="bytes", value=3, samples=samples)) == text


def test_the_spread_leaves_out_the_warm_up() -> None:
    measured = Measurement(metric="m", unit="bytes", value=3, samples=(90, 3, 4), warm_up=1)

    assert figures.spread(measured) == "2, from 3 bytes to 4 bytes"


def test_the_summary_leaves_out_the_clock_that_an_emulator_lacks(report: Report) -> None:
    rows = {row.what: (row.figure, row.how) for row in figures.summary(report)}

    assert rows["Instructions per inference"] == ("4,860,880 instructions", "emulated")
    assert "Time per inference" not in rows
    assert rows["Accuracy, device"] == ("90.0 % (9 of 10)", "emulated")


def test_the_summary_ends_with_the_limits(report: Report) -> None:
    assert [(row.what, row.figure) for row in figures.summary(report)[-3:]] == [
        ("Limit: Accuracy drop from as given to device at most 5.0 %", "MISSED: 10.0 %"),
        ("Limit: Flash at most 32,000 bytes", "MISSED: 38,200 bytes"),
        ("Limit: Time per inference at most 1,000.0 µs", "MISSED: missing: an emulator has no time"),
    ]
