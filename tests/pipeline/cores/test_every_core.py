"""The MLPerf Tiny int8 networks on every Cortex-M: each core's own kernels give the bytes of the host.

The smallest board holds one of them, a second one in mode ram, and refuses the others.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cortex_m import CORES

from edgecompress import compile as compiler
from edgecompress.core import target as targets
from edgecompress.core.errors import DoesNotFitError
from edgecompress.core.values import Array, Optimize, Samples
from edgecompress.deploy import qemu

NETWORKS = ("ad_autoencoder", "ic_resnet8", "kws_dscnn", "sww_stream", "vww_mobilenetv1_025")
DRAWN, COUNT = 16, 2
"""Inputs: how many are drawn, and how many of different outputs each core gets; an emulator takes a second for each."""

TOO_BIG = {
    ("microbit", "ad_autoencoder"): r"needs [\d,]+ bytes of flash; microbit has 262,144",
    ("microbit", "ic_resnet8"): r"needs [\d,]+ bytes of RAM; microbit has 16,384",
    ("microbit", "vww_mobilenetv1_025"): r"needs [\d,]+ bytes of RAM; microbit has 16,384",
}
FITS_IN_MODE_RAM = (("microbit", "kws_dscnn"),)
HELD = [(core, name) for core in CORES for name in NETWORKS if (core, name) not in TOO_BIG]


@pytest.mark.parametrize(("core", "name"), HELD)
def test_a_network_gives_the_same_bytes_as_on_the_host(
    name: str, core: str, compiled: Callable[[str], Any], tmp_path: Path
) -> None:
    network, target = compiled(name), targets.load(core)
    inputs, wanted = telling_samples(network)
    optimize: Optimize = "ram" if (core, name) in FITS_IN_MODE_RAM else "balanced"

    bundle = compiler.build(
        network.model, target, tmp_path / "bundle", samples=Samples(inputs=inputs), optimize=optimize
    )

    _, found = bundle.vectors()
    assert {key: values.tobytes() for key, values in found.items()} == {
        key: values.tobytes() for key, values in wanted.items()
    }
    with qemu.connect(target) as device:
        device.install(bundle)


@pytest.mark.parametrize(("core", "name"), TOO_BIG)
def test_a_network_that_is_too_big_for_a_board_is_refused(
    core: str, name: str, compiled: Callable[[str], Any], tmp_path: Path
) -> None:
    with pytest.raises(DoesNotFitError, match=TOO_BIG[core, name]) as caught:
        compiler.build(compiled(name).model, targets.load(core), tmp_path / "bundle", optimize="ram")

    assert caught.value.exit_code == 5
    assert not (tmp_path / "bundle").exists()


def test_mode_ram_makes_room_for_a_network_that_does_not_fit(compiled: Callable[[str], Any]) -> None:
    model, target = compiled("kws_dscnn").model, targets.load("microbit")

    assert not compiler.check(model, target).fits
    assert compiler.check(model, target, "ram").fits


def telling_samples(network: Any) -> tuple[dict[str, Array], dict[str, Array]]:
    """Some inputs, and the different outputs that the host makes of them."""
    drawn = network.seeded_inputs(DRAWN, seed=3)
    (output,) = network.model.outputs
    computed = network.bundle.run_on_host(drawn)[output.name]
    _, first = np.unique(computed.reshape(DRAWN, -1), axis=0, return_index=True)
    chosen = np.sort(first)[:COUNT]
    assert len(chosen) == COUNT, "the inputs make no difference"
    return {name: values[chosen] for name, values in drawn.items()}, {output.name: computed[chosen]}
