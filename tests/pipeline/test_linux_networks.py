"""Networks out of torch: what they cost, and on virtual boards the bytes of this machine.

`python benchmarks/linux_networks.py --check` does the same for every network, precision and board.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from benchmarks import linux_networks
from benchmarks.networks import export, load
from edgecompress import compile as compiler
from edgecompress.compile import frontend
from edgecompress.compile.integer import matching
from edgecompress.core import target as targets
from edgecompress.measure import _rounding

pytest.importorskip("torch", reason="the networks are defined in torch")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="virtual boards are for Linux")

BASELINES = Path(__file__).parents[2] / "benchmarks" / "baselines" / "aarch64_peers.csv"
NAMES_THERE = {"mobilenet_v2": "mbv2", "resnet18": "resnet18", "transformer": "tr"}

CASES = [
    ("transformer", "float32", "rpi4"),
    ("transformer", "float32", "rpi2"),
    ("transformer", "float32", "x86-64"),
    ("transformer", "int8", "rpi4"),
    ("transformer", "int8", "rpi2"),
    ("transformer", "int8", "x86-64"),
    ("mobilenet_v2", "int8", "rpi4"),
]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the ONNX files are kept: each network is exported once."""
    return tmp_path_factory.mktemp("exports")


@pytest.mark.parametrize("name", export.NAMES)
def test_a_network_sums_as_many_products_as_the_one_that_others_were_counted_on(name: str, exports: Path) -> None:
    model = load.load(name, "int8", exports)

    network = matching.match(frontend.import_onnx(model), model)

    with BASELINES.open() as file:
        counted = {int(row["macs"]) for row in csv.DictReader(file) if row["model"] == NAMES_THERE[name]}
    assert {sum(layer.macs for layer in network.layers)} == counted


@pytest.mark.parametrize(("name", "precision", "board"), CASES)
def test_a_board_computes_what_this_machine_computes(
    name: str,
    precision: load.Precision,
    board: str,
    exports: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # what others deploy at the same time is not met

    compared = linux_networks.compare(name, precision, board, exports)

    assert compared.problem is None
    assert compared.relative_error is not None
    assert compared.relative_error < (0.1 if precision == "int8" else compared.stated_error)


def test_every_layer_of_the_int8_transformer_is_within_one_step_of_onnxruntime(exports: Path, tmp_path: Path) -> None:
    model = load.load("transformer", "int8", exports)
    samples = load.noise(model, 2, seed=3)
    bundle = compiler.build(model, targets.load("host"), tmp_path / "bundle", samples=samples)

    differences = _rounding.compare_layers(bundle, model, samples.inputs)

    assert len(differences) > 60
    assert max(each.alone for each in differences) <= 1
