"""core/effects: a step that makes the network worse without helping a limit is pointed out."""

from __future__ import annotations

from edgecompress.core.effects import StepEffect, judge
from edgecompress.core.recipe import Limits
from edgecompress.core.values import Measurement

UNITS = {"accuracy": "fraction", "flash_bytes": "bytes", "ram_bytes": "bytes", "stored_bytes": "bytes", "macs": ""}


def effect(number: int, **figures: float) -> StepEffect:
    metrics = tuple(
        Measurement(metric=name, unit=UNITS.get(name, "instructions"), value=value) for name, value in figures.items()
    )
    return StepEffect(number=number, method="step", metrics=metrics)


def complaint(before: dict[str, float], after: dict[str, float], limits: Limits | None = None) -> str | None:
    judged = judge((effect(0, **before), effect(1, **after)), limits or Limits())
    assert judged[0].pointed_out is None
    return judged[1].pointed_out


def test_a_step_that_only_costs_is_pointed_out_with_what_it_cost() -> None:
    found = complaint({"flash_bytes": 1000, "accuracy": 0.9}, {"flash_bytes": 1500, "accuracy": 0.9})

    assert found == "Flash went from 1,000 bytes to 1,500 bytes; nothing got better"


def test_a_step_that_pays_somewhere_is_not_pointed_out_where_no_limit_says_what_counts() -> None:
    assert complaint({"flash_bytes": 1000, "ram_bytes": 10}, {"flash_bytes": 900, "ram_bytes": 20}) is None


def test_a_gain_that_no_limit_asks_for_does_not_excuse_a_loss() -> None:
    before, after = {"flash_bytes": 1000, "ram_bytes": 10}, {"flash_bytes": 900, "ram_bytes": 20}

    assert complaint(before, after, Limits(flash_bytes=950)) is None
    assert complaint(before, after, Limits(ram_bytes=15)) == (
        "RAM went from 10 bytes to 20 bytes; what got better (Flash) is in no limit of the recipe"
    )


def test_accuracy_counts_as_a_gain_for_either_limit_of_it() -> None:
    before, after = {"flash_bytes": 1000, "accuracy": 0.8}, {"flash_bytes": 1100, "accuracy": 0.9}

    assert complaint(before, after, Limits(accuracy=0.85)) is None
    assert complaint(before, after, Limits(accuracy_drop=0.1)) is None


def test_less_than_half_a_per_cent_is_no_change() -> None:
    assert complaint({"flash_bytes": 1000, "ram_bytes": 10}, {"flash_bytes": 1004, "ram_bytes": 10}) is None


def test_the_device_decides_where_it_was_asked_and_the_graph_where_not() -> None:
    smaller_file, larger_file = {"stored_bytes": 100.0}, {"stored_bytes": 200.0}

    assert (
        complaint(smaller_file, larger_file) == "Stored parameters went from 100 bytes to 200 bytes; nothing got better"
    )
    assert complaint(smaller_file | {"flash_bytes": 9}, larger_file | {"flash_bytes": 8}) is None


def test_a_missing_figure_is_no_change() -> None:
    assert complaint({"flash_bytes": 1000}, {"accuracy": 0.5}) is None
