"""`--optimize`: every mode gives the same bytes, and saves what it says."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecompress import compile as compiler
from edgecompress import models
from edgecompress.core import plugins
from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle

NETWORKS = Path(__file__).parents[2] / "examples" / "mlperf_tiny"
NAMES = ("ad_autoencoder", "ic_resnet8", "kws_dscnn", "sww_stream", "vww_mobilenetv1_025")
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module", params=NAMES)
def in_ram(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Bundle]:
    model = models.load(NETWORKS / f"{request.param}_int8.onnx")
    folder = tmp_path_factory.mktemp(request.param) / "bundle"
    return request.param, compiler.build(model, targets.load("host"), folder, optimize="ram")


def test_mode_ram_gives_the_vectors_of_the_default_in_less_memory(
    in_ram: tuple[str, Bundle], compiled: Callable[..., Any]
) -> None:
    name, bundle = in_ram
    default = compiled(name).bundle
    inputs, outputs = bundle.vectors()

    assert (bundle.manifest.optimize, bundle.manifest.keeps_inputs) == ("ram", False)
    assert (default.manifest.optimize, default.manifest.keeps_inputs) == ("balanced", True)
    assert bundle.manifest.arena.bytes <= default.manifest.arena.bytes
    for tensor, values in default.run_on_host(inputs).items():
        assert np.array_equal(values, outputs[tensor])


def test_repeated_inferences_in_mode_ram_are_all_right(in_ram: tuple[str, Bundle]) -> None:
    _, bundle = in_ram
    inputs, outputs = bundle.vectors()
    first = {name: values[0] for name, values in inputs.items()}
    host = targets.load("host")

    with plugins.find("deploy", "local", where="test").connect(host) as device:
        device.install(bundle)
        run = device.run(first, repeat=5)
        layers = device.profile(first, repeat=3)

    assert len(run.ticks) == 5
    assert {len(ticks) for ticks in layers} == {3}
    for name, values in outputs.items():
        assert np.array_equal(run.outputs[name], values[0])


@pytest.mark.parametrize("target", ["host", "mps2-an386", "mps3-an547"])
def test_mode_size_gives_the_same_bytes_with_fewer_constants(
    target: str, compiled: Callable[..., Any], tmp_path: Path
) -> None:
    default = compiled("ad_autoencoder").bundle
    chosen = targets.load(target)
    model = models.load(NETWORKS / "ad_autoencoder_int8.onnx")

    bundle = compiler.build(model, chosen, tmp_path / "bundle", optimize="size")

    with plugins.find("deploy", chosen.link, where="test").connect(chosen) as device:
        device.install(bundle)
    inputs, outputs = bundle.vectors()
    for tensor, values in default.run_on_host(inputs).items():
        assert np.array_equal(values, outputs[tensor])
    assert bundle.manifest.optimize == "size"
    assert bundle.manifest.sizes.weights_bytes < 0.85 * default.manifest.sizes.weights_bytes


def test_a_bare_metal_bundle_says_what_every_mode_takes(tmp_path: Path) -> None:
    model = models.load(NETWORKS / "kws_dscnn_int8.onnx")

    manifest = compiler.build(model, targets.load("mps2-an386"), tmp_path / "bundle", optimize="ram").manifest

    modes = {mode.optimize: mode for mode in manifest.modes}
    assert set(modes) == {"speed", "size", "ram", "balanced"}
    assert modes["ram"].arena_bytes == manifest.arena.bytes < modes["balanced"].arena_bytes
    assert modes["ram"].weights_bytes >= manifest.sizes.weights_bytes
    assert modes["ram"].code_bytes >= manifest.sizes.code_bytes


def test_the_mode_is_in_the_report_and_another_mode_compiles_again(tmp_path: Path, edgecompress: Command) -> None:
    network = NETWORKS / "sww_stream_int8.onnx"

    def run(*words: str) -> str:
        done = edgecompress("run", network, "-t", "host", "-o", tmp_path / "run", *words, "--json")
        mode: str = json.loads(done.stdout)["candidates"][0]["bundle"]["optimize"]
        return mode

    assert run() == "balanced"
    assert run("--optimize", "ram") == "ram"
    assert "Optimized for | ram" in (tmp_path / "run" / "report.md").read_text()
    edgecompress("check", network, "-t", "host", "--optimize", "tiny", code=2)
