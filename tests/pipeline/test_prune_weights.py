"""prune_weights on the digits: shares by measured sensitivity, and tickets that begin with an earlier network."""

from __future__ import annotations

from pathlib import Path

import digits
import numpy as np
import pytest

from edgecompress import models
from edgecompress.compress import _layer_weights, _shares, prune_weights, static_int8
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import Array, Context, Finding, Model, Option, no_progress
from edgecompress.measure.networks import score
from edgecompress.models import onnx_file
from examples.digits import train

WHERE = "r.toml: step 1 (prune_weights)"
RESTING: dict[str, Option] = {"epochs": 1, "learning_rate": 1e-12, "batch_norm": False, "held_out": 0.0}
"""A training that leaves the weights where they are."""


def pruned(model: Model, found: list[Finding] | None = None, base: Path = Path(), **options: Option) -> Model:
    record = (found if found is not None else []).append
    context = Context(data=digits.data(), where=WHERE, base=base, record=record, load_model=models.load)
    return prune_weights.apply(model, options, context)


def weights(model: Model) -> dict[str, Array]:
    return {each.layer: each.values for each in _layer_weights.read(model, least=64)}


def kept(model: Model) -> dict[str, float]:
    return {name: np.count_nonzero(values) / values.size for name, values in weights(model).items()}


def accuracy(model: Model) -> float:
    found = score.read(model, model, digits.data().evaluation, "", no_progress).value
    assert found is not None
    return found


@pytest.mark.parametrize("network", ["cnn", "depthwise"])
def test_layers_that_the_output_misses_more_keep_more(network: str) -> None:
    found: list[Finding] = []

    left = kept(pruned(getattr(digits, network)(), found, ratio=0.5, criterion="sensitivity"))

    curves = {series.name: dict(zip(series.x, series.y, strict=True)) for series in found[0].series}
    assert found[0].title == "Sensitivity of the output to each layer's weights"
    assert len(curves) == len(_shares.SHARES)
    sizes = {name: values.size for name, values in weights(getattr(digits, network)()).items()}
    a_weight = {name: curves["50% gone"][name] / size for name, size in sizes.items()}
    ranked = sorted(left, key=lambda name: a_weight[name])
    assert left[ranked[0]] < 0.5 < left[ranked[-1]]
    assert sum(left[name] * size for name, size in sizes.items()) / sum(sizes.values()) == pytest.approx(0.5, abs=0.002)


def test_without_training_shares_by_sensitivity_hurt_less_than_those_by_magnitude() -> None:
    by_sensitivity = pruned(digits.depthwise(), ratio=0.6, criterion="sensitivity")
    by_magnitude = [pruned(digits.depthwise(), ratio=0.6, scope=scope) for scope in ("local", "global")]

    assert all(accuracy(by_sensitivity) > accuracy(other) for other in by_magnitude)


def test_a_ticket_begins_with_the_weights_of_the_file(tmp_path: Path) -> None:
    untrained = train.as_onnx(train.trained("cnn", epochs=0), "cnn")
    onnx_file.save(untrained, tmp_path / "first.onnx")

    ticket = pruned(digits.cnn(), base=tmp_path, ratio=0.8, rewind="first.onnx", **RESTING)
    plain = pruned(digits.cnn(), ratio=0.8)

    for name, values in weights(ticket).items():
        np.testing.assert_array_equal(values != 0, weights(plain)[name] != 0)
        np.testing.assert_allclose(values[values != 0], weights(untrained)[name][values != 0], rtol=1e-5)


def test_a_ticket_of_another_network_is_refused(tmp_path: Path) -> None:
    onnx_file.save(digits.depthwise(), tmp_path / "other.onnx")

    with pytest.raises(ConfigError) as refused:
        pruned(digits.cnn(), base=tmp_path, ratio=0.5, rewind="other.onnx", **RESTING)

    assert str(refused.value) == (
        f"{WHERE}: rewind = 'other.onnx' is another network: first_convolution.weight of cnn is (16, 1, 3, 3), and "
        "depthwise has (8, 1, 3, 3) there"
    )
    assert refused.value.hint == "it must be the network that the step gets, with the weights of an earlier time"


def test_sensitivity_is_measured_on_float_networks() -> None:
    quantized = static_int8.apply(digits.cnn(), {}, Context(data=digits.data()))

    with pytest.raises(ModelError) as refused:
        pruned(quantized, ratio=0.5, criterion="sensitivity")
    assert str(refused.value) == "cnn is quantized, and sensitivity is measured on float networks"

    with pytest.raises(ConfigError) as refused_too:
        prune_weights.apply(digits.cnn(), {"ratio": 0.5, "criterion": "sensitivity"}, Context(where=WHERE))
    assert str(refused_too.value) == f'{WHERE}: criterion = "sensitivity" needs samples to measure cnn with'
