"""Low rank: what full ranks compute is what the layer computes, fewer lose what the energy says, budgets are kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from digits import cnn, data
from torch import nn

from edgecompress.compress import activation_pca, cp, low_rank_svd, tucker
from edgecompress.compress._low_rank import Place
from edgecompress.compress._ranks import by_energy, by_variational_bayes
from edgecompress.compress.low_rank_svd import MatrixDecomposition, randomised
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import Context, Finding, Model, no_progress
from edgecompress.measure.networks import score, size

UNTRAINED = {"epochs": 0}


def convolution(**settings: object) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(5, 7, **({"kernel_size": 3, "padding": 1} | settings))  # type: ignore[arg-type]


def figures(model: Model) -> dict[str, float | None]:
    return {each.metric: each.value for each in size.read(model)}


def accuracy(model: Model) -> float:
    found = score.read(model, model, data().evaluation, "", no_progress).value
    assert found is not None
    return found


def largest_difference(layer: nn.Module, chain: nn.Module, shape: tuple[int, ...]) -> float:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return float((layer(x) - chain(x)).abs().max())


@pytest.mark.parametrize("bias", [True, False])
def test_every_component_of_a_matrix_is_the_layer_itself(bias: bool) -> None:
    torch.manual_seed(0)
    dense, pointwise = nn.Linear(9, 6, bias=bias), nn.Conv2d(5, 7, 1, stride=2, bias=bias)

    for layer, shape in ((dense, (4, 9)), (pointwise, (2, 5, 6, 5))):
        whole = MatrixDecomposition(layer, solver="exact", seed=0)
        assert largest_difference(layer, whole.chain(whole.largest), shape) < 1e-6


@pytest.mark.parametrize(
    "settings", [{}, {"stride": 2}, {"kernel_size": (3, 1), "padding": (1, 0)}, {"dilation": 2, "bias": False}]
)
def test_full_tucker_ranks_are_the_convolution_itself(settings: dict[str, object]) -> None:
    layer = convolution(**settings)
    whole = tucker.TuckerDecomposition(layer)

    assert whole.largest == (7, 5)
    assert largest_difference(layer, whole.chain(whole.largest), (2, 5, 9, 8)) < 1e-5


def test_a_separable_convolution_is_found_by_cp_with_its_own_rank() -> None:
    layer = convolution()
    random = np.random.default_rng(0)
    terms = [random.standard_normal((count, 2)) for count in (7, 5, 9)]
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.einsum("or,ir,tr->oit", *terms).reshape(7, 5, 3, 3)))
    found = cp.CpDecomposition(layer, seed=0)

    assert largest_difference(layer, found.chain((2,)), (1, 5, 6, 6)) < 1e-3
    assert found.ranks(0.999)[0] in (2, 3)


def test_all_principal_components_are_the_layer_itself_and_few_are_enough_for_what_the_data_asks() -> None:
    layer = convolution(stride=2)
    flat = torch.randn(8, 1, 9, 9, generator=torch.Generator().manual_seed(2)).expand(8, 5, 9, 9).contiguous()
    found = activation_pca.ActivationDecomposition(layer, flat)

    assert largest_difference(layer, found.chain(found.largest), (2, 5, 9, 9)) < 1e-5
    with torch.no_grad():
        spread = layer(flat).std()
        error = (layer(flat) - found.chain(found.ranks(0.999))(flat)).std()
    assert float(error / spread) < 0.04


def test_the_energy_decides_how_many_components_stay() -> None:
    values = np.array([3.0, 2.0, 1.0])

    found = [by_energy(values, energy) for energy in (0.0, 0.5, 9 / 14, 0.65, 13 / 14, 0.95, 1.0)]
    assert found == [1, 1, 1, 2, 2, 3, 3]
    assert by_energy(np.zeros(3), 0.9) == 1


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_variational_bayes_tells_components_from_noise(rank: int) -> None:
    random = np.random.default_rng(rank)
    clean = random.standard_normal((40, rank)) @ random.standard_normal((rank, 90))

    assert by_variational_bayes(clean + 0.3 * random.standard_normal((40, 90))) == rank
    assert by_variational_bayes(random.standard_normal((40, 90))) == 1


def test_the_randomised_solver_finds_the_first_components() -> None:
    random = np.random.default_rng(0)
    matrix = random.standard_normal((60, 8)) @ random.standard_normal((8, 50))
    u, s, v = randomised(matrix, seed=0)

    assert len(s) == 25
    assert np.allclose(u * s @ v, matrix)
    assert np.allclose(s[:8], np.linalg.svd(matrix, compute_uv=False)[:8])


@pytest.mark.parametrize("method", [tucker, activation_pca])
def test_a_budget_of_multiplications_is_kept_and_the_exported_network_computes(method: object) -> None:
    found: list[Finding] = []
    smaller = method.apply(cnn(), UNTRAINED | {"ratio": 0.4}, Context(data=data(), record=found.append))  # type: ignore[attr-defined]

    assert 0.45 * 239_232 < (figures(smaller)["macs"] or 0) <= 0.6 * 239_232
    assert accuracy(smaller) > 0.4
    assert found[0].title == "Ranks"
    assert smaller.steps[-1].method == method.__name__.rpartition(".")[2]  # type: ignore[attr-defined]


def test_training_brings_the_accuracy_back() -> None:
    options = {"ratio": 0.5, "epochs": 6, "learning_rate": 3e-3}

    assert accuracy(tucker.apply(cnn(), options, Context(data=data()))) > 0.96


def test_ranks_are_multiples_of_what_the_target_asks_for() -> None:
    found: list[Finding] = []
    tucker.apply(cnn(), UNTRAINED, Context(data=data(), channel_multiple=4, record=found.append))

    kept = [y for series in found[0].series if series.name.startswith("rank") for y in series.y]
    assert all(rank % 4 == 0 or rank == 1 for rank in kept)


def test_a_chain_counts_the_positions_it_reads_and_writes() -> None:
    strided = tucker.TuckerDecomposition(convolution(stride=2))

    assert strided.macs((4, 2), Place(inputs=100, outputs=25, macs=0)) == 2 * 5 * 100 + (4 * 2 * 9 + 7 * 4) * 25


def test_a_budget_that_no_rank_meets_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        low_rank_svd.apply(cnn(), UNTRAINED | {"ratio": 0.9}, Context(data=data(), where="r.toml: step 1"))

    assert caught.value.message.startswith("r.toml: step 1: ratio = 0.9 cannot be reached: 0.0")
    assert caught.value.hint == "ask for a smaller ratio, keep fewer layers, or prune channels"


@pytest.mark.parametrize("options", [{"ratio": 1}, {"ratio": 0}, {"energy": 1.5}, {"keep": ["no_layer"]}])
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        tucker.apply(cnn(), options, Context(data=data()))  # type: ignore[arg-type]


def test_a_network_without_such_layers_is_told_so() -> None:
    kept = tucker.apply(cnn(), UNTRAINED, Context(data=data()))

    with pytest.raises(ModelError, match="has no layer that cp factorises"):
        cp.apply(kept, UNTRAINED | {"keep": _windows(kept)}, Context(data=data()))


def _windows(model: Model) -> tuple[str, ...]:
    from edgecompress.compress import torch_graph

    modules = torch_graph.to_torch(model).named_modules()
    return tuple(name for name, layer in modules if isinstance(layer, nn.Conv2d) and layer.kernel_size != (1, 1))
