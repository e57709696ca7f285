"""Structured pruning: groups stay consistent, the budget is kept, and channel counts are what the target asks for."""

from __future__ import annotations

import pytest
import torch
from digits import cnn, data, depthwise

from edgecompress.compress import _channels, prune_channels, static_int8, torch_graph
from edgecompress.compress._channels import Pruning
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import Context, Finding, Model, Samples, no_progress
from edgecompress.measure.networks import score, size

UNTRAINED = {"epochs": 0}


def figures(model: Model) -> dict[str, float | None]:
    return {each.metric: each.value for each in size.read(model)}


def accuracy(model: Model) -> float:
    found = score.read(model, model, data().evaluation, "", no_progress).value
    assert found is not None
    return found


def channels(finding: Finding) -> dict[str, float]:
    after = finding.series[1]
    return {str(name): count for name, count in zip(after.x, after.y, strict=True)}


@pytest.mark.parametrize("network", [cnn, depthwise])
@pytest.mark.parametrize("options", [{"criterion": "l1", "scope": "global"}, {"criterion": "fpgm"}])
def test_the_share_of_the_work_is_saved_and_no_group_falls_apart(network: object, options: dict[str, object]) -> None:
    model: Model = network()  # type: ignore[operator]
    smaller = prune_channels.apply(model, UNTRAINED | {"ratio": 0.4} | options, Context(data=data()))

    share = (figures(smaller)["macs"] or 0) / (figures(model)["macs"] or 1)
    assert 0.5 < share <= 0.6
    assert smaller.inputs == model.inputs
    assert smaller.outputs == model.outputs


def test_channel_counts_are_multiples_of_what_the_target_asks_for() -> None:
    found: list[Finding] = []
    prune_channels.apply(cnn(), UNTRAINED, Context(data=data(), channel_multiple=8, record=found.append))

    counts = channels(found[-1])
    assert counts.pop("node_scores") if "node_scores" in counts else counts.popitem()[1] == 10
    assert all(count % 8 == 0 for count in counts.values())


def test_layers_that_a_residual_ties_keep_the_same_channels() -> None:
    module = torch_graph.to_torch(cnn())
    how = Pruning(criterion="l2", scope="global", multiple=1, kept=_channels.fixed_layers(module))
    example = (torch.zeros(2, 1, 8, 8),)
    smaller = _channels.prune_to(module, example, 0.5 * _channels.multiplications(module, example), how)

    first, second, residual, hidden, scores = _channels.channels(smaller).values()
    assert second == residual < 32
    assert (first, hidden, scores) != (16, 64, 10)
    assert scores == 10


def test_the_weakest_channels_are_the_ones_that_go() -> None:
    module = torch_graph.to_torch(cnn())
    layer = module.get_submodule(next(iter(_channels.channels(module))))
    with torch.no_grad():
        layer.weight[3:] *= 100
    how = Pruning(criterion="l2", scope="local", multiple=1, kept=frozenset(list(_channels.channels(module))[1:]))
    whole = _channels.multiplications(module, (torch.zeros(2, 1, 8, 8),))
    smaller = _channels.prune_to(module, (torch.zeros(2, 1, 8, 8),), 0.95 * whole, how)

    left = smaller.get_submodule(next(iter(_channels.channels(smaller)))).weight.detach()
    assert len(left) < 16
    assert float(left.abs().amax(dim=(1, 2, 3)).min()) > float(layer.weight[:3].detach().abs().max())


@pytest.mark.parametrize("criterion", ["taylor", "batch_norm"])
def test_training_brings_the_accuracy_back(criterion: str) -> None:
    options = {"ratio": 0.5, "criterion": criterion, "epochs": 6, "learning_rate": 4e-3}
    found: list[Finding] = []
    smaller = prune_channels.apply(cnn(), options, Context(data=data(), channel_multiple=4, record=found.append))

    assert accuracy(smaller) > 0.97
    assert {finding.title for finding in found} >= {
        "Sensitivity of the output to each layer's channels",
        "Channels of each layer",
    }


def test_rounds_lead_to_the_same_budget() -> None:
    options = {"ratio": 0.5, "rounds": 3, "epochs": 3, "learning_rate": 4e-3, "progression": "cubic"}
    smaller = prune_channels.apply(cnn(), options, Context(data=data()))

    assert 0.4 < (figures(smaller)["macs"] or 0) / 239_232 <= 0.5
    assert accuracy(smaller) > 0.9


def test_the_way_to_the_budget_is_linear_or_cubic() -> None:
    assert [_channels.share_after(done, 4, "linear") for done in (1, 2, 4)] == [0.25, 0.5, 1.0]
    assert [_channels.share_after(done, 2, "cubic") for done in (1, 2)] == [0.875, 1.0]


def test_what_cannot_be_pruned_is_refused() -> None:
    context = Context(data=data(), where="r.toml: step 2", channel_multiple=4)
    with pytest.raises(ConfigError, match="'ratio': Input should be less than 1"):
        prune_channels.apply(cnn(), {"ratio": 1}, context)
    with pytest.raises(ConfigError, match="keep names no layer: 'x'"):
        prune_channels.apply(cnn(), {"keep": ["x"]}, context)
    with pytest.raises(ConfigError, match="239 multiply-accumulates cannot be reached: 7,016 are left"):
        prune_channels.apply(cnn(), UNTRAINED | {"ratio": 0.999}, context)
    with pytest.raises(ModelError, match="is quantized"):
        prune_channels.apply(static_int8.apply(cnn(), {}, context), {}, context)
    unlabelled = Samples(inputs=data().calibration.inputs)
    blind = Context(data=type(data())(calibration=unlabelled, evaluation=unlabelled))
    with pytest.raises(ConfigError, match="needs labels, and the data has none"):
        prune_channels.apply(cnn(), {"epochs": 1}, blind)
