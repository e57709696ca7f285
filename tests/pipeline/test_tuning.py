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
def test_ways_are_measured_once_and_change_no_byte_of_an_int8_network(run: Run, vectors: Target) -> None:
    plain = pipeline.compile_network(run, vectors).vectors()[1]
    kernels = (run.folder / "bundle" / "src" / "model.c").read_text()
    model = models.load(NETWORK)
    steps: list[tuple[object, ...]] = []

    ways = pipeline.tune(run, vectors, HERE)
    again = tuning.measure(
        model, vectors, "balanced", lambda: pipeline.connect(vectors, HERE), lambda *step: steps.append(step)
    )
    others = {name: "generic" if name.startswith("family") else "1x1" for name in ways}
    tuned = pipeline.compile_network(run, vectors, ways=others)

    assert {name.split(":")[0] for name in ways} == {"family", "x86 twos 8"}
    assert (again.unit, again.ways, steps) == ("time", ways, [])
    assert (tuned.folder / "src" / "model.c").read_text() != kernels
    for name, outputs in tuned.vectors()[1].items():
        assert np.array_equal(outputs, plain[name])


def test_an_emulated_board_counts_instructions_of_every_kernel_family(run: Run) -> None:
    board = targets.load("mps2-an386")

    found = pipeline.tune(run, board, DeviceChoice())

    assert run.read("ways.json", tuning.Ways, by="tune").unit == "instructions"
    assert {name.split(":")[0] for name in found} == {"family"}
    assert set(found.values()) == {"dsp"}


def test_a_device_that_tells_nothing_cannot_tune(run: Run) -> None:
    with pytest.raises(UsageError, match=r"tells neither time nor instructions$") as caught:
        pipeline.tune(run, targets.load("rpi4"), DeviceChoice(address="loop://rpi4"))

    assert caught.value.hint == (
        "tune on the board itself (ssh://), or on a board whose clock counts instructions (vm://)"
    )
