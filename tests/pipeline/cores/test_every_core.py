"""The MLPerf Tiny .tflite networks on every Cortex-M: what the board computes are TensorFlow Lite Micro's bytes.

The smallest board holds one of them, a second one in mode ram, and refuses the others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cortex_m import CORES

from edgecompress import compile as compiler
from edgecompress import models
from edgecompress.core import target as targets
from edgecompress.core.errors import DoesNotFitError
from edgecompress.core.values import Array, Model, Optimize, Samples
from edgecompress.deploy import qemu

FOLDER = Path(__file__).parents[3] / "examples" / "mlperf_tiny"
NETWORKS = ("ad_autoencoder", "ic_resnet8", "kws_dscnn", "sww_stream", "vww_mobilenetv1_025")
COUNT = 8

TOO_BIG = {
    ("microbit", "ic_resnet8"): r"needs [\d,]+ bytes of RAM; microbit has 16,384",
    ("microbit", "vww_mobilenetv1_025"): r"needs [\d,]+ bytes of RAM; microbit has 16,384",
}
FITS_IN_MODE_RAM = (("microbit", "kws_dscnn"),)
HELD = [(core, name) for core in CORES for name in NETWORKS if (core, name) not in TOO_BIG]


def path_of(name: str) -> Path:
    return FOLDER / f"{name}_int8.tflite"


@functools.cache
def network(name: str) -> Model:
    return models.load(path_of(name))


def drawn(name: str) -> Array:
    (spec,) = network(name).inputs
    return np.random.default_rng(11).integers(-128, 128, (COUNT, *spec.shape[1:])).astype(np.int8)


@pytest.mark.parametrize(("core", "name"), HELD)
def test_a_network_gives_the_bytes_of_tflite_micro(
    name: str, core: str, interpreted: Callable[[Path, Array], Array], tmp_path: Path
) -> None:
    model, target, samples = network(name), targets.load(core), drawn(name)
    (source,), (result,) = model.inputs, model.outputs
    wanted = interpreted(path_of(name), samples)
    optimize: Optimize = "ram" if (core, name) in FITS_IN_MODE_RAM else "balanced"
    one = Samples(inputs={source.name: samples[:1]})

    bundle = compiler.build(model, target, tmp_path / "bundle", samples=one, optimize=optimize)
    with qemu.connect(target) as device:
        device.install(bundle)
        found = [device.run({source.name: sample}).outputs[result.name] for sample in samples]

    assert len(np.unique(wanted, axis=0)) > 1, "the inputs make no difference"
    assert [output.tobytes() for output in found] == [output.tobytes() for output in wanted]


@pytest.mark.parametrize(("core", "name"), TOO_BIG)
def test_a_network_that_is_too_big_for_a_board_is_refused(core: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(DoesNotFitError, match=TOO_BIG[core, name]) as caught:
        compiler.build(network(name), targets.load(core), tmp_path / "bundle", optimize="ram")

    assert caught.value.exit_code == 5
    assert not (tmp_path / "bundle").exists()


def test_mode_ram_makes_room_for_a_network_that_does_not_fit() -> None:
    model, target = network("kws_dscnn"), targets.load("microbit")

    assert not compiler.check(model, target).fits
    assert compiler.check(model, target, "ram").fits
