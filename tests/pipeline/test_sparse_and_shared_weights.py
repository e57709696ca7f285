"""Sparse and shared weights on digits: what the steps promise holds in the graph, after training and on the board."""

from __future__ import annotations

import importlib
from pathlib import Path

import digits
import numpy as np
import onnxruntime
import pytest

from edgecompress import compile as compiling
from edgecompress import pipeline
from edgecompress.compile.graph import to_program
from edgecompress.compress import _layer_weights, static_int8
from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.target import Target
from edgecompress.core.values import Array, Context, Finding, Model, Option

BOARD = targets.load("mps2-an386")
QUICK: dict[str, Option] = {"epochs": 3, "learning_rate": 3e-3}
LONGER: dict[str, Option] = {"epochs": 8, "learning_rate": 4e-3}


def step(method: str, model: Model, found: list[Finding] | None = None, **options: Option) -> Model:
    context = Context(data=digits.data(), record=[].append if found is None else found.append)
    stepped: Model = importlib.import_module(f"edgecompress.compress.{method}").apply(model, options, context)
    return stepped


def int8(model: Model) -> Model:
    return static_int8.apply(model, {}, Context(data=digits.data()))


def scores(model: Model) -> Array:
    session = onnxruntime.InferenceSession(model.graph.SerializeToString(), providers=["CPUExecutionProvider"])
    name = model.inputs[0].name
    images = digits.data().evaluation.inputs[name]
    return np.concatenate([session.run(None, {name: images[i : i + 1]})[0] for i in range(len(images))])


def accuracy(model: Model) -> float:
    labels = digits.data().evaluation.labels
    assert labels is not None
    return float(100 * np.mean(scores(model).argmax(axis=1) == labels))


def different_values(model: Model) -> dict[str, int]:
    return {each.layer: len(np.unique(each.values)) for each in _layer_weights.read(model, least=256)}


@pytest.mark.parametrize("network", ["cnn", "depthwise"])
def test_static_int8_finds_the_values_that_a_layer_shares(network: str) -> None:
    shared = step("codebook", getattr(digits, network)(), entries=16)

    assert max(different_values(int8(shared)).values()) <= 16


def test_trained_values_are_as_many_as_before_and_better() -> None:
    few = step("codebook", digits.cnn(), entries=4)
    trained = step("codebook", digits.cnn(), entries=4, **QUICK)

    assert max(different_values(int8(trained)).values()) <= 4
    assert accuracy(trained) > accuracy(few)


def test_a_quantized_network_shares_values_too() -> None:
    found: list[Finding] = []
    shared = step("codebook", int8(digits.cnn()), found, entries=16)

    assert max(different_values(shared).values()) <= 16
    assert accuracy(shared) > 98
    assert [each.title for each in found] == ["Weights that share values"]
    with pytest.raises(ModelError, match="only float networks can be trained"):
        step("codebook", int8(digits.cnn()), **QUICK)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pace": "cubic"},
        {"pace": "iterative", "rounds": 2, "rewind": True},
        {"criterion": "taylor", "scope": "local"},
        {"criterion": "gradient", "group": "kernel", "batch_norm": False},
    ],
)
def test_what_was_pruned_stays_zero_through_training(options: dict[str, Option]) -> None:
    pruned = step("prune_weights", digits.cnn(), ratio=0.7, **QUICK, **options)

    layers = _layer_weights.read(pruned, least=64)
    zeros = sum(np.count_nonzero(each.values == 0) for each in layers)
    assert zeros / sum(each.values.size for each in layers) == pytest.approx(0.7, abs=0.002)
    assert pruned.steps[-1].stored_bytes == pytest.approx(0.3 * 4 * 22_800 + 22_800 / 8 + 616, rel=0.05)


def test_training_brings_back_what_pruning_took() -> None:
    at_once = accuracy(step("prune_weights", digits.cnn(), ratio=0.85))
    trained = accuracy(step("prune_weights", digits.cnn(), ratio=0.85, **LONGER))

    assert at_once < 80
    assert trained > 97


def test_two_of_four_holds_after_training() -> None:
    pruned = step("prune_n_m", digits.depthwise(), kept=2, of=4, **QUICK)

    for each in _layer_weights.read(pruned):
        for first in range(0, each.values.shape[1], 4):
            assert np.count_nonzero(each.values[:, first : first + 4], axis=1).max() <= 2


def test_powers_of_two_survive_int8_and_training() -> None:
    made = step("power_of_two", digits.cnn(), **QUICK)

    assert max(different_values(int8(made)).values()) <= 15
    assert accuracy(made) > 98


@pytest.mark.parametrize(("bits", "group"), [(8, 0), (4, 0), (4, 32)])
def test_integers_of_weights_only_stand_for_what_they_are(bits: int, group: int) -> None:
    quantized = step("weight_only", digits.cnn(), bits=bits, group=group)

    assert accuracy(quantized) > 98
    assert np.allclose(scores(quantized), scores(digits.cnn()), atol=0.3 if bits == 8 else 6)
    stored = quantized.steps[-1].stored_bytes
    assert stored is not None
    assert stored < 22_954 * bits / 8 * 1.4
    with pytest.raises(ModelError, match="is already quantized"):
        step("weight_only", quantized)


def test_deep_compression_stores_a_tenth() -> None:
    compressed = step("deep_compression", digits.cnn(), **LONGER)

    stored = compressed.steps[-1].stored_bytes
    assert stored is not None
    assert _layer_weights.parameter_bytes(digits.cnn().graph) / stored > 10
    assert accuracy(compressed) > 97


def test_a_dictionary_of_all_filters_changes_nothing_and_one_of_half_is_less_work() -> None:
    exact = step("filter_dictionary", digits.cnn(), ratio=0.99, kept=64, rounds=1)
    half = step("filter_dictionary", digits.cnn(), ratio=0.5, kept=8, rounds=3, **QUICK)

    assert np.allclose(scores(exact), scores(digits.cnn()), atol=1.5)
    names = [each.layer for each in _layer_weights.read(half)]
    assert any(name.endswith("/codes") for name in names)
    codes = next(each for each in _layer_weights.read(half) if each.layer.endswith("/codes"))
    assert np.count_nonzero(codes.rows, axis=1).max() <= 8
    assert accuracy(half) > 97


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError) as refused:
        step("codebook", digits.cnn(), skip=("hiden",))

    assert refused.value.message == "the step's options: skip: no layer is called 'hiden'"
    assert refused.value.hint == "did you mean 'hidden'?"


def built(model: Model, folder: Path) -> Bundle:
    """Compile for the board in mode size, and prove there that it gives the host's bytes."""
    bundle = compiling.build(model, BOARD, folder, optimize="size")
    with pipeline.connect(BOARD, pipeline.DeviceChoice()) as device:
        device.install(bundle)
    return bundle


def test_on_the_board_shared_weights_take_half_of_the_flash(tmp_path: Path) -> None:
    plain = compiling.build(int8(digits.cnn()), BOARD, tmp_path / "plain", optimize="size").manifest
    shared = built(int8(step("codebook", digits.cnn(), entries=16)), tmp_path / "shared").manifest

    indexed = [layer.index for layer in shared.layers if "codebook_16_" in layer.kernel]
    assert len(indexed) == 4
    weights = 22_954 - 144 - 154  # but for the first layer and the biases
    saved = sum(plain.layers[i].weight_bytes - shared.layers[i].weight_bytes for i in indexed)
    more_code = shared.sizes.code_bytes - plain.sizes.code_bytes
    assert (weights - saved + more_code) / weights <= 0.55


def test_on_the_board_pruned_weights_are_skipped(tmp_path: Path) -> None:
    pruned = step("prune_weights", digits.cnn(), ratio=0.9)

    quantized = int8(pruned)
    bundle = built(quantized, tmp_path / "pruned")

    inputs, outputs = bundle.vectors()
    session = onnxruntime.InferenceSession(quantized.graph.SerializeToString(), providers=["CPUExecutionProvider"])
    for image, answer in zip(inputs["image"], outputs["scores"], strict=True):
        wanted = session.run(None, {"image": image.reshape(quantized.inputs[0].shape)})[0]
        assert np.abs(answer.reshape(-1) - wanted.reshape(-1)).max() < 0.4  # a few steps
    manifest = bundle.manifest
    assert sum(layer.kernel.startswith("sparse") for layer in manifest.layers) >= 3
    assert manifest.sizes.weights_bytes < 8_000


def test_indices_are_kept_in_every_mode_where_the_weights_would_not_fit() -> None:
    shared = int8(step("codebook", digits.cnn(), entries=16))
    memory = {**BOARD.model_dump()["memory"], "flash": {"origin": 0, "length": 30_000}}
    small = Target.model_validate({**BOARD.model_dump(), "memory": memory})

    def indexed(target: Target) -> int:
        return sum("codebook_" in call.kernel for call in to_program(shared, target, "speed").calls)

    assert (indexed(BOARD), indexed(small)) == (0, 4)
