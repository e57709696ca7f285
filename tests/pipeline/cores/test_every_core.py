"""The MLPerf Tiny int8 networks on every Cortex-M: each core's own kernels give the bytes of the host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecompress import compile as compiler
from edgecompress.core import target as targets
from edgecompress.core.values import Array, Samples
from edgecompress.deploy import qemu

NETWORKS = ("ad_autoencoder", "ic_resnet8", "kws_dscnn", "sww_stream", "vww_mobilenetv1_025")
DRAWN, COUNT = 16, 2
"""Inputs: how many are drawn, and how many of different outputs each core gets; an emulator takes a second for each."""


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_gives_the_same_bytes_as_on_the_host(
    name: str, core: str, compiled: Callable[[str], Any], tmp_path: Path
) -> None:
    network, target = compiled(name), targets.load(core)
    inputs, wanted = telling_samples(network)

    bundle = compiler.build(network.model, target, tmp_path / "bundle", samples=Samples(inputs=inputs))

    _, found = bundle.vectors()
    assert {key: values.tobytes() for key, values in found.items()} == {
        key: values.tobytes() for key, values in wanted.items()
    }
    with qemu.connect(target) as device:
        device.install(bundle)


def telling_samples(network: Any) -> tuple[dict[str, Array], dict[str, Array]]:
    """Some inputs, and the different outputs that the host makes of them."""
    drawn = network.seeded_inputs(DRAWN, seed=3)
    (output,) = network.model.outputs
    computed = network.bundle.run_on_host(drawn)[output.name]
    _, first = np.unique(computed.reshape(DRAWN, -1), axis=0, return_index=True)
    chosen = np.sort(first)[:COUNT]
    assert len(chosen) == COUNT, "the inputs make no difference"
    return {name: values[chosen] for name, values in drawn.items()}, {output.name: computed[chosen]}
