"""An int8 network with parts that compute in float gives the same bytes on every core, with a float unit or without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_networks import NETWORKS, Drawing

from edgecompress import compile as compiler
from edgecompress import models
from edgecompress.compress import static_int8
from edgecompress.core import target as targets
from edgecompress.core.values import Context, Data, Model, Samples
from edgecompress.deploy import qemu

CORES = ("microbit", "mps2-an385", "mps2-an386", "mps3-an547")
"""Without and with a multiplication of 64 bits, with a float unit and DSP, with Helium."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Attention out of static_int8: the normalisation and the gate's mean compute in float."""
    shape, draw = NETWORKS["attention"]
    path = tmp_path_factory.mktemp("attention") / "attention.onnx"
    drawing = Drawing(shape)
    drawing.save(draw(drawing), path)
    model = models.load(path)
    samples = Samples(inputs={"x": np.random.default_rng(3).normal(0, 1, (8, *shape[1:])).astype(np.float32)})
    return static_int8.apply(model, {}, Context(data=Data(calibration=samples, evaluation=samples)))


@pytest.mark.parametrize("core", CORES)
def test_a_network_with_float_parts_gives_the_hosts_bytes(core: str, network: Model, tmp_path: Path) -> None:
    target = targets.load(core)
    samples = Samples(inputs={"x": np.random.default_rng(4).normal(0, 1, (3, 6, 8)).astype(np.float32)})

    bundle = compiler.build(network, target, tmp_path / "bundle", samples=samples)
    inputs, wanted = bundle.vectors()
    with qemu.connect(target) as device:
        device.install(bundle)
        found = [device.run({"x": sample}).outputs for sample in inputs["x"]]

    operators = {layer.op for layer in bundle.manifest.layers}
    assert {"layer_norm", "matrix_product", "slice", "softmax"} <= operators
    assert [b"".join(value.tobytes() for value in outputs.values()) for outputs in found] == [
        b"".join(values[i].tobytes() for values in wanted.values()) for i in range(3)
    ]
