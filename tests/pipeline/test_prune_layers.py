"""Depth pruning: what can be passed by is found, the least missed goes, and nothing dead stays behind."""

from __future__ import annotations

import pytest
from digits import cnn, data, depthwise

from edgecompress.compress import prune_layers, static_int8
from edgecompress.compress.prune_layers import Bypass
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import Context, Finding, Model, no_progress
from edgecompress.measure.networks import score, size


def figures(model: Model) -> dict[str, float | None]:
    return {each.metric: each.value for each in size.read(model)}


def test_layers_that_keep_the_shape_and_branches_of_residuals_can_be_passed_by() -> None:
    assert list(prune_layers.bypasses(cnn().graph)) == [
        Bypass(output="residual.convolution", instead="relu_1"),
        Bypass(output="add", instead="relu_1"),
    ]
    assert [way.output for way in prune_layers.bypasses(depthwise().graph)] == [
        "blocks.0.depthwise.convolution",
        "blocks.2.depthwise.convolution",
        "blocks.2.pointwise.convolution",
    ]


def test_the_layer_that_is_missed_the_least_goes_with_all_its_weights() -> None:
    found: list[Finding] = []
    shallow = prune_layers.apply(cnn(), {"epochs": 0}, Context(data=data(), record=found.append))

    errors = dict(zip(found[0].series[0].x, found[0].series[0].y, strict=True))
    assert errors["residual.convolution"] < errors["add"]
    assert figures(shallow)["macs"] == 239_232 - 16 * 32 * 32 * 9
    assert figures(shallow)["parameters"] == 22_954 - (32 * 32 * 9 + 32)


def test_training_brings_the_accuracy_back() -> None:
    options = {"keep": ["residual.convolution"], "epochs": 6, "learning_rate": 4e-3}
    shallow = prune_layers.apply(cnn(), options, Context(data=data()))

    accuracy = score.read(shallow, shallow, data().evaluation, "", no_progress).value
    assert accuracy is not None
    assert accuracy > 0.97
    assert not any(node.op_type == "Add" for node in shallow.graph.graph.node)


def test_more_layers_than_can_go_are_refused() -> None:
    with pytest.raises(ModelError) as caught:
        prune_layers.apply(cnn(), {"layers": 3, "epochs": 0}, Context(data=data()))

    assert caught.value.message == "cnn has 1 layers or blocks to pass by; 3 are asked for"


def test_a_quantized_network_and_missing_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match="prune_layers needs samples"):
        prune_layers.apply(cnn(), {}, Context())
    with pytest.raises(ModelError, match="is quantized"):
        prune_layers.apply(static_int8.apply(cnn(), {}, Context(data=data())), {}, Context(data=data()))
