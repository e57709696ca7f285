"""The times of other runtimes beside ours: which bars there are, and which are missed."""

from __future__ import annotations

import pytest

from benchmarks import cortex_a_host as host
from benchmarks.cortex_a_host import HostCase, Timed


def timed(network: str = "vww", threads: int = 1, ours: float = 100.0, **others: float) -> Timed:
    return Timed(
        case=HostCase(network=network, precision="float32", threads=threads),
        nanoseconds={"edgecompress": ours, **others},
        on_one_thread=100.0,
        speed_up=100.0 / ours,
        versions={},
        missing={},
    )


def test_the_bar_is_a_share_of_the_fastest_other_runtime() -> None:
    (bar,) = host.hold([timed(ours=106.0, litert=100.0, onnxruntime=130.0)])
    assert bar.is_missed
    assert str(bar) == "vww float32 over litert: 1.06, at most 1.05"
    (bar,) = host.hold([timed(ours=104.0, litert=100.0)])
    assert not bar.is_missed


def test_a_case_that_no_other_runtime_computes_has_no_bar() -> None:
    alone = timed()
    assert (alone.fastest, alone.ratio) == (None, None)
    assert host.hold([alone]) == []


@pytest.mark.parametrize(("two", "is_missed"), [(55.0, False), (65.0, True)])
def test_two_threads_are_held_against_one_on_resnet18_alone(two: float, is_missed: bool) -> None:
    cases = [timed("resnet18"), timed("resnet18", threads=2, ours=two), timed("mbv2", threads=2)]
    (bar,) = host.hold(cases)
    assert bar.is_missed == is_missed
    assert str(bar) == f"resnet18 float32, two threads beside one: {100 / two:.2f}, at least 1.7"


def test_with_more_threads_than_one_nobody_is_raced() -> None:
    assert host.hold([timed(threads=2, ours=500.0, litert=100.0)]) == []


def test_all_figures_are_in_the_json() -> None:
    (figure,) = host.as_json([timed(threads=2, ours=40.0, ncnn=20.0)])["figures"]  # type: ignore[misc]
    assert figure["milliseconds"] == {"edgecompress": 4e-5, "ncnn": 2e-5}
    assert (figure["ratio"], figure["milliseconds_on_one_thread"], figure["speed_up"]) == (2.0, 1e-4, 2.5)
