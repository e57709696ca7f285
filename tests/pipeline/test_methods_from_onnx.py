"""Pruning, low rank and mixed precision on the MLPerf Tiny networks, from ONNX to the bytes of the board.

Those without labelled samples imitate themselves on seeded noise. tests/pipeline/test_qat.py does it for qat.
"""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import ModelProto, TensorProto, numpy_helper

from benchmarks.networks import load
from edgecompress import compile as compiler
from edgecompress import models
from edgecompress.compress import low_rank_svd, mixed_precision, prune_channels, static_int8, tucker
from edgecompress.core import data, recipe
from edgecompress.core import target as targets
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import Context, Data, Model, Option, no_progress
from edgecompress.deploy import qemu
from edgecompress.measure.networks import size
from edgecompress.models import onnx_file

Command = Callable[..., subprocess.CompletedProcess[str]]

EXAMPLES = Path(__file__).parents[2] / "examples"
BOARD = "mps2-an386"
SHORT: Mapping[str, Option] = {"epochs": 1, "learning_rate": 1e-4}
LOW_RANK = {
    "kws_dscnn": low_rank_svd,
    "vww_mobilenetv1_025": low_rank_svd,
    "ic_resnet8": tucker,
    "ad_autoencoder": low_rank_svd,
    "sww_stream": low_rank_svd,
}
"""Depthwise networks and autoencoders are matrices; ResNet8 is 3x3 convolutions."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@functools.cache
def network(name: str) -> Model:
    return models.load(EXAMPLES / "mlperf_tiny" / f"{name}_fp32.onnx")


@functools.cache
def samples(name: str) -> Data:
    source = recipe.load(EXAMPLES / "wakeword.toml").data
    if name == "sww_stream" and source is not None:
        return data.load(source, network(name).inputs)
    return Data(calibration=load.noise(network(name), 8, seed=0), evaluation=load.noise(network(name), 2, seed=1))


def context(name: str) -> Context:
    return Context(data=samples(name), where="r.toml: step 1", channel_multiple=targets.load(BOARD).channel_multiple)


def training(name: str) -> dict[str, Option]:
    return {**SHORT} if name == "sww_stream" else {**SHORT, "loss": "fidelity", "held_out": 0.0}


def macs(model: Model) -> float:
    return next(metric.value or 0 for metric in size.read(model) if metric.metric == "macs")


def widths(proto: ModelProto) -> list[int]:
    """The least bits that hold each layer's int8 weights."""
    arrays = [
        numpy_helper.to_array(tensor) for tensor in proto.graph.initializer if tensor.data_type == TensorProto.INT8
    ]
    return [4 if len(np.unique(array)) <= 16 else 8 for array in arrays if array.ndim > 1]


def assert_the_board_computes_the_same_bytes(quantized: Model, name: str, folder: Path) -> None:
    onnx_file.save(quantized, folder / "quantized.onnx")
    board = targets.load(BOARD)
    saved = models.load(folder / "quantized.onnx")
    bundle = compiler.build(saved, board, folder / "bundle", samples=samples(name).evaluation)
    with qemu.connect(board, None) as device:
        device.install(bundle, no_progress)  # raises when a test vector comes out otherwise


@pytest.mark.parametrize("name", load.TINY_NAMES)
def test_channels_are_pruned_and_the_board_computes_the_same_bytes(name: str, tmp_path: Path) -> None:
    pruned = prune_channels.apply(network(name), {"ratio": 0.3, **training(name)}, context(name))

    assert 0.55 < macs(pruned) / macs(network(name)) <= 0.7
    assert_the_board_computes_the_same_bytes(static_int8.apply(pruned, {}, context(name)), name, tmp_path)


@pytest.mark.parametrize("name", load.TINY_NAMES)
def test_layers_are_factorised_and_the_board_computes_the_same_bytes(name: str, tmp_path: Path) -> None:
    factorised = LOW_RANK[name].apply(network(name), {"ratio": 0.2, **training(name)}, context(name))

    assert macs(factorised) <= 0.8 * macs(network(name))
    assert len(factorised.graph.graph.node) > len(network(name).graph.graph.node)
    assert_the_board_computes_the_same_bytes(static_int8.apply(factorised, {}, context(name)), name, tmp_path)


@pytest.mark.parametrize("name", load.TINY_NAMES)
def test_layers_get_their_bits_and_the_board_computes_the_same_bytes(name: str, tmp_path: Path) -> None:
    mixed = mixed_precision.apply(network(name), {"size": 0.7}, context(name))

    assert set(widths(mixed.graph)) == {4, 8}
    assert_the_board_computes_the_same_bytes(mixed, name, tmp_path)


@pytest.mark.parametrize("name", ["ad_autoencoder", "sww_stream"])
def test_a_network_without_a_layer_for_tucker_is_told_so(name: str) -> None:
    with pytest.raises(ModelError) as refused:
        tucker.apply(network(name), {**training(name)}, context(name))
    assert str(refused.value) == (
        f"{name}_fp32 has no layer that tucker factorises: it takes dense convolutions of more than one tap"
    )
    assert refused.value.hint == "take tucker out of the recipe"


def test_a_network_of_3x3_convolutions_is_told_how_little_singular_values_save() -> None:
    with pytest.raises(ConfigError) as refused:
        low_rank_svd.apply(network("ic_resnet8"), {"ratio": 0.2, **training("ic_resnet8")}, context("ic_resnet8"))
    assert str(refused.value) == (
        "r.toml: step 1: ratio = 0.2 cannot be reached: 0.0151 is the most, with ranks of 4; low_rank_svd takes fully "
        "connected and 1x1 layers, 0.021 of the multiply-accumulates"
    )


def test_the_report_shows_how_many_wake_words_were_right_before_and_after(
    tmp_path: Path, edgecompress: Command
) -> None:
    text = (EXAMPLES / "wakeword.toml").read_text().replace('"mlperf_tiny/', f'"{EXAMPLES}/mlperf_tiny/')
    pruning = '[[steps]]\nmethod = "prune_channels"\noptions = { ratio = 0.3, epochs = 20, loss = "fidelity" }\n'
    (tmp_path / "pruned.toml").write_text(text.replace("[[steps]]", f"{pruning}\n[[steps]]", 1))
    run = tmp_path / "run"

    done = edgecompress(
        "run", tmp_path / "pruned.toml", "-t", BOARD, "-o", run, "--no-step-figures", "--repeat", "3", "--json"
    )

    found = json.loads(done.stdout)["candidates"][0]
    scores = {each["method"]: m for each in found["effects"] for m in each["metrics"] if m["metric"] == "accuracy"}
    on_board = next(m for m in found["measurements"] if m["metric"] == "accuracy" and m["stage"] == "device")
    assert list(scores) == ["as given", "prune_channels", "static_int8"]
    assert scores["as given"]["value"] == 28 / 30
    assert all(score["conditions"]["samples"] == "30" and score["value"] >= 26 / 30 for score in scores.values())
    assert on_board["value"] == scores["static_int8"]["value"]
    report = (run / "report.md").read_text()
    assert f"| as given | {scores['as given']['value']:.1%}".replace("%", " % |") in report
    assert f"| 1 prune\\_channels | {scores['prune_channels']['value']:.1%}".replace("%", " % |") in report
    assert f"| 2 static\\_int8 | {scores['static_int8']['value']:.1%}".replace("%", " % |") in report
