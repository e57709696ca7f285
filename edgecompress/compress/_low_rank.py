"""Low rank: layers are replaced by chains of smaller ones, by one rule for every decomposition.

A decomposition says which ranks it needs to keep a share of the energy, and builds the chain for them. Ranks come from
a given energy, from a budget of multiply-accumulates (the largest energy that meets it, the same for all layers), or
from variational Bayes. A layer whose chain would compute as much as the layer itself stays.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import Field

from edgecompress.compress.training import TrainingOptions, train
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import AppliedStep, Context, Finding, Model, Samples, Series

if TYPE_CHECKING:
    from torch import Tensor, fx, nn

SEARCH_STEPS = 20
OBSERVED = 64
"""Samples whose inputs of each layer a decomposition may look at."""


class LowRankOptions(TrainingOptions):
    """The options of every step that factorises, beside those of a training.

    `rank_by`: `budget` (save the share `ratio` of multiply-accumulates), `energy` (keep the share `energy` of each
    layer's sum of squares) or `bayes` (variational Bayes). `multiple`: what ranks are a multiple of, 0 for what the
    target asks for. `keep`: layers that stay as they are. The epochs train the factors afterwards; 0 trains nothing.
    """

    rank_by: Literal["budget", "energy", "bayes"] = "budget"
    ratio: float = Field(default=0.5, gt=0, lt=1)
    energy: float = Field(default=0.9, gt=0, le=1)
    multiple: int = Field(default=0, ge=0, le=256)
    keep: tuple[str, ...] = ()


class Decomposition(Protocol):
    """A layer that can be replaced by a chain of smaller ones; ranks are a tuple, of one or more numbers."""

    @property
    def largest(self) -> tuple[int, ...]:
        """The full ranks: with them the chain computes what the layer does."""
        ...

    def ranks(self, energy: float) -> tuple[int, ...]:
        """The least ranks that keep this share of the energy."""
        ...

    def bayes_ranks(self) -> tuple[int, ...]:
        """The ranks by variational Bayes."""
        ...

    def macs(self, ranks: tuple[int, ...], place: Place) -> int:
        """What the chain multiplies and accumulates for one sample."""
        ...

    def chain(self, ranks: tuple[int, ...]) -> nn.Module:
        """Build the chain."""
        ...


@dataclass(frozen=True, kw_only=True)
class Place:
    """How many positions a layer reads and writes for one sample, and what it takes."""

    inputs: int
    outputs: int
    macs: int


Decompose = Callable[["nn.Module", "Tensor"], Decomposition | None]
"""(layer, a few of its inputs) -> how to factorise it, None for a layer that the method is not for."""


def factorise(
    model: Model, options: LowRankOptions, context: Context, decompose: Decompose, *, method: str, takes: str
) -> Model:
    """Replace every layer that `decompose` takes, train the factors, and return the network.

    `takes` says which layers those are, where the network has too few of them.

    Raises ConfigError for a budget that cannot be met, missing samples or labels; ModelError for a quantized network
    and for one without a layer to factorise; MissingToolError without torch.
    """
    if model.is_quantized:
        raise ModelError(f"{model.name} is quantized", hint=f"put {method} before the step that quantizes")
    if context.data is None:
        raise ConfigError(f"{context.where}: {method} needs samples", hint="add a [data] table to the recipe")
    from edgecompress.compress import torch_graph

    module = torch_graph.to_torch(model)
    samples = context.data.training or context.data.calibration
    places, inputs = _observe(module, samples)
    found = _decomposed(module, inputs, options, decompose, context)
    if not found:
        raise ModelError(
            f"{model.name} has no layer that {method} factorises: it takes {takes}",
            hint=f"take {method} out of the recipe",
        )
    ranks = _choose(found, places, options, context, takes=f"{method} takes {takes}")
    for name, each in ranks.items():
        module.set_submodule(name, found[name].chain(each))
    context.record(_finding(found, ranks))
    if options.epochs:
        module = torch_graph.restore_batch_norm(module, samples)
        train(module, context, options, name=f"{model.name} factorised", given=model)
    smaller = torch_graph.to_onnx(module, like=model)
    step = AppliedStep(method=method, options=options.model_dump())
    return dataclasses.replace(smaller, steps=(*model.steps, step))


def _observe(module: fx.GraphModule, samples: Samples) -> tuple[dict[str, Place], dict[str, Tensor]]:
    """Run the samples once: where each layer with weights stands, and its inputs."""
    import torch
    from torch import nn

    places, inputs = {}, {}

    def look(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(layer: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
            weights = layer.weight
            if not isinstance(weights, torch.Tensor):
                return
            spatial = math.prod(made.shape[2:]) if isinstance(layer, nn.Conv2d) else made[0].numel() // made.shape[-1]
            before = math.prod(given[0].shape[2:]) if isinstance(layer, nn.Conv2d) else spatial
            places[name] = Place(inputs=before, outputs=spatial, macs=spatial * weights.numel())
            inputs[name] = given[0]

        return hook

    hooks = [
        layer.register_forward_hook(look(name))
        for name, layer in module.named_modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    ]
    few = tuple(torch.from_numpy(array[:OBSERVED].copy()) for array in samples.inputs.values())
    with torch.no_grad():
        module.eval()(*few)
    for hook in hooks:
        hook.remove()
    return places, inputs


def _decomposed(
    module: fx.GraphModule,
    inputs: Mapping[str, Tensor],
    options: LowRankOptions,
    decompose: Decompose,
    context: Context,
) -> dict[str, Decomposition]:
    layers = {name: module.get_submodule(name) for name in inputs}
    unknown = [name for name in options.keep if name not in layers]
    if unknown:
        raise ConfigError(
            f"{context.where}: keep names no layer: {unknown[0]!r}", hint=f"layers with weights: {', '.join(layers)}"
        )
    found = {}
    for done, (name, layer) in enumerate(layers.items()):
        context.progress("factorise", done, len(layers))
        decomposition = None if name in options.keep else decompose(layer, inputs[name])
        if decomposition is not None:
            found[name] = decomposition
    context.progress("factorise", len(layers), len(layers))
    return found


def _choose(
    found: Mapping[str, Decomposition],
    places: Mapping[str, Place],
    options: LowRankOptions,
    context: Context,
    *,
    takes: str,
) -> dict[str, tuple[int, ...]]:
    """Choose the ranks of every layer that gains by them."""
    multiple = options.multiple or context.channel_multiple
    if options.rank_by == "bayes":
        return dict(_gaining(found, places, {name: each.bayes_ranks() for name, each in found.items()}, multiple))
    if options.rank_by == "energy":
        return dict(_gaining(found, places, _at(found, options.energy), multiple))
    whole = sum(place.macs for place in places.values())
    budget = (1 - options.ratio) * whole
    low, high = 0.0, 1.0
    best = dict(_gaining(found, places, _at(found, low), multiple))
    least = _total(best, found, places)
    if least > budget:
        share = sum(places[name].macs for name in found) / whole
        raise ConfigError(
            f"{context.where}: ratio = {options.ratio:g} cannot be reached: {1 - least / whole:.3g} is the most, with "
            f"ranks of {multiple}; {takes}, {share:.3g} of the multiply-accumulates",
            hint="ask for a smaller ratio, keep fewer layers, or prune channels",
        )
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        ranks = dict(_gaining(found, places, _at(found, middle), multiple))
        if _total(ranks, found, places) <= budget:
            best, low = ranks, middle
        else:
            high = middle
    return best


def _at(found: Mapping[str, Decomposition], energy: float) -> dict[str, tuple[int, ...]]:
    return {name: each.ranks(energy) for name, each in found.items()}


def _gaining(
    found: Mapping[str, Decomposition],
    places: Mapping[str, Place],
    ranks: Mapping[str, tuple[int, ...]],
    multiple: int,
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Round the ranks up to the multiple, and leave out layers that would not gain."""
    for name, wanted in ranks.items():
        largest = found[name].largest
        rounded = tuple(
            min(most, math.ceil(rank / multiple) * multiple) for rank, most in zip(wanted, largest, strict=True)
        )
        if found[name].macs(rounded, places[name]) < places[name].macs:
            yield name, rounded


def _total(
    ranks: Mapping[str, tuple[int, ...]], found: Mapping[str, Decomposition], places: Mapping[str, Place]
) -> int:
    return sum(found[name].macs(ranks[name], place) if name in ranks else place.macs for name, place in places.items())


def _finding(found: Mapping[str, Decomposition], ranks: Mapping[str, tuple[int, ...]]) -> Finding:
    names = tuple(found)
    most = max(len(each.largest) for each in found.values())
    series = []
    for place in range(most):
        full = tuple(float(found[name].largest[place]) for name in names)
        kept = tuple(float(ranks.get(name, found[name].largest)[place]) for name in names)
        end = f" {place + 1}" if most > 1 else ""
        series += [Series(name=f"full rank{end}", x=names, y=full), Series(name=f"rank{end}", x=names, y=kept)]
    note = "A layer that keeps its full rank stayed as it was."
    return Finding(title="Ranks", kind="bars", x_label="layer", y_label="rank", series=tuple(series), note=note)
