"""--tune: the fastest ways are measured on the device, once, and change no byte of an int8 network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecompress import models, pipeline
from edgecompress.core import target as targets
from edgecompress.core.errors import UsageError
from edgecompress.core.run_folder import Run, Silent
from edgecompress.core.target import Target
from edgecompress.pipeline import DeviceChoice, tuning

NETWORK = Path(__file__).parents[2] / "examples" / "mlperf_tiny" / "kws_dscnn_int8.onnx"
HERE = DeviceChoice(address="local://")
needs_avx2 = pytest.mark.skipif(" avx2 " not in Path("/proc/cpuinfo").read_text(), reason="this machine has no AVX2")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return pipeline.compress(NETWORK, tmp_path / "run", Silent())


@pytest.fixture
def vectors() -> Target:
    return targets.load("x86-64-v3")


@needs_avx2
def test_a_tuned_int8_network_gives_the_same_bytes(run: Run, vectors: Target) -> None:
    plain = pipeline.compile_network(run, vectors).vectors()[1]
    kernels = (run.folder / "bundle" / "src" / "model.c").read_text()
    ways = pipeline.tune(run, vectors, HERE)
    others = dict.fromkeys(ways, "1x1")

    tuned = pipeline.compile_network(run, vectors, ways=others)

    assert (tuned.folder / "src" / "model.c").read_text() != kernels
    for name, outputs in tuned.vectors()[1].items():
        assert np.array_equal(outputs, plain[name])


@needs_avx2
def test_what_was_measured_once_is_not_measured_again(run: Run, vectors: Target) -> None:
    model = models.load(NETWORK)
    steps: list[str] = []

    def note(what: str, done: int, total: int) -> None:
        steps.append(f"{what} {done}/{total}")

    first, second = (
        tuning.measure(model, vectors, "balanced", lambda: pipeline.connect(vectors, HERE), progress)
        for progress in (Silent().progress, note)
    )

    assert first == second
    assert first.unit == "time"
    assert first.ways
    assert steps == []


def test_a_board_without_ways_has_nothing_to_measure(run: Run) -> None:
    board = targets.load("mps2-an386")

    assert pipeline.tune(run, board, DeviceChoice()) == {}


def test_a_device_that_tells_nothing_cannot_tune(run: Run) -> None:
    with pytest.raises(UsageError, match=r"tells neither time nor instructions$") as caught:
        pipeline.tune(run, targets.load("rpi4"), DeviceChoice(address="loop://rpi4"))

    assert caught.value.hint == (
        "tune on the board itself (ssh://), or on a board whose clock counts instructions (vm://)"
    )
