"""Unstructured pruning: single weights, or whole kernels, become zero.

At once, in rounds (iterative) or along a training (Zhu and Gupta 2017, "To prune, or not to prune"). What goes is told
by `criterion`: `magnitude` |w| (Han et al. 2015), `gradient` |dL/dw|, `taylor` |w dL/dw| (Molchanov et al. 2017, eq. 6)
or `sensitivity`: what the output suffers when a layer alone loses shares of its smallest weights is measured, and
those go next that the output misses the least (the curves of Han et al. 2015, figure 6, followed by a rule).
A lottery ticket (Frankle and Carbin 2019) begins again, after each round, with its first weights: those that the step
was given, or those of a file, from before or early in the training that led to them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from edgecompress.compress import _layer_weights, _masks, _pruned, _sensitivity, _shares
from edgecompress.compress._layer_weights import LayerWeights
from edgecompress.compress._masks import Group, Mask, Norm, Scope, Scores
from edgecompress.compress.training import TrainingOptions
from edgecompress.core import toml_file
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import AppliedStep, Context, Model, Option

if TYPE_CHECKING:
    from torch import Tensor

    from edgecompress.compress._masked_training import MaskedNetwork

Criterion = Literal["magnitude", "gradient", "taylor", "sensitivity"]
WITHOUT_GRADIENTS: frozenset[Criterion] = frozenset({"magnitude", "sensitivity"})
NOTHING: Mapping[str, Any] = MappingProxyType({})
LEAST_WEIGHTS = 64
"""A layer with fewer weights stays as it is."""


class Options(TrainingOptions):
    """The options of the step in a recipe.

    `ratio`: the share of weights that become zero, of each layer (`scope = "local"`) or of all (`"global"`).
    `group`: single weights, or the `kernel` of an input and an output by its `norm`. `pace`: `one_shot`; `iterative` in
    `rounds`, which share the epochs; `linear` or `cubic` in `rounds` over the first `prune_until` of one training.
    `rewind`: after each round, what is left gets its first values again; a file name: those of that ONNX network.
    `samples`: how many give the gradients.
    `batch_norm` puts a batch normalization behind each convolution while it trains. `epochs`: all together; with 0,
    which only `one_shot` can do, nothing is trained.
    """

    ratio: float = Field(gt=0, lt=1)
    criterion: Criterion = "magnitude"
    scope: Scope = "global"
    group: Group = "weight"
    norm: Norm = "l1"
    pace: Literal["one_shot", "iterative", "linear", "cubic"] = "one_shot"
    rounds: int = Field(default=5, ge=1)
    prune_until: float = Field(default=0.5, gt=0, lt=1)
    rewind: bool | str = False
    samples: int = Field(default=256, ge=1)
    least_weights: int = Field(default=LEAST_WEIGHTS, ge=1)
    skip: tuple[str, ...] = ()
    batch_norm: bool = True
    epochs: int = Field(default=0, ge=0)


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Set weights to zero, and train what is left if epochs are given. Without both, no torch is needed.

    Raises ConfigError for wrong options, a `rewind` of another network, missing samples or labels; ModelError for a
    network without weights, and for one that is quantized where gradients, sensitivity or training are asked for.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    pruned = prune(model, chosen, context)
    step = AppliedStep(method="prune_weights", options=chosen.model_dump(), stored_bytes=_pruned.stored_bytes(pruned))
    return dataclasses.replace(pruned, steps=(*model.steps, step))


def prune(model: Model, options: Options, context: Context) -> Model:
    """Do what the step does, without saying that it was applied."""
    _check(options, context)
    layers = selected(model, options, context)
    errors = _measured(model, layers, context) if options.criterion == "sensitivity" else {}
    if options.epochs or options.criterion not in WITHOUT_GRADIENTS:
        pruned = _trained(model, [each.layer for each in layers], errors, options, context)
    else:
        found = masks({each.layer: each.real for each in layers}, options, errors=errors)
        pruned = _pruned.masked(model, found, layers)
    context.record(_pruned.zeros_finding("Weights that were pruned", pruned))
    return pruned


def selected(model: Model, options: Options, context: Context) -> tuple[LayerWeights, ...]:
    """List the layers that take part. Raises ConfigError for a name in `skip` that no layer has."""
    layers = _layer_weights.read(model)
    _layer_weights.check_names(options.skip, layers, where=f"{context.where}: skip")
    taking_part = [each for each in layers if each.layer not in options.skip]
    return tuple(each for each in taking_part if each.values.size >= options.least_weights)


def masks(
    weights: Mapping[str, Scores],
    options: Options,
    ratio: float | None = None,
    *,
    gradients: Mapping[str, Scores] = NOTHING,
    errors: Mapping[str, Sequence[float]] = NOTHING,
) -> dict[str, Mask]:
    """Score weights by the criterion, and take out the lowest; `ratio` in the place of the options'.

    `errors` are what a criterion of sensitivity was measured to be, at _shares.SHARES.
    """
    ratio = options.ratio if ratio is None else ratio
    scores = {
        name: _masks.grouped(_score(values, gradients.get(name), options.criterion), options.group, options.norm)
        for name, values in weights.items()
    }
    if options.criterion != "sensitivity":
        return _masks.lowest_out(scores, ratio, options.scope)
    sizes = {name: each.size for name, each in scores.items()}
    return _masks.shares_out(scores, _shares.of_layers(errors, sizes, ratio))


def ratio_at(progress: float, final: float, pace: str) -> float:
    """The share that is pruned at a point of the schedule, from 0 to 1 (Zhu and Gupta 2017, eq. 1)."""
    left = max(0.0, 1.0 - progress)
    return final * (1 - (left**3 if pace == "cubic" else left))


def _score(values: Scores, gradient: Scores | None, criterion: Criterion) -> Scores:
    if criterion in WITHOUT_GRADIENTS:
        return np.abs(values)
    if gradient is None:
        raise ValueError(f"{criterion} needs gradients")
    return np.abs(gradient if criterion == "gradient" else values * gradient)


def _check(options: Options, context: Context) -> None:
    if options.pace != "one_shot" and not options.epochs:
        raise ConfigError(
            f"{context.where}: pace = {options.pace!r} prunes while it trains, and epochs is 0",
            hint='set epochs, or pace = "one_shot"',
        )
    if options.pace in ("linear", "cubic") and options.criterion not in WITHOUT_GRADIENTS:
        raise ConfigError(
            f"{context.where}: pace = {options.pace!r} goes by the weights alone, not by criterion = "
            f"{options.criterion!r}",
            hint='pace = "iterative" takes every criterion',
        )
    if options.rewind and options.pace in ("linear", "cubic"):
        raise ConfigError(
            f"{context.where}: rewind begins again after each round, and pace = {options.pace!r} trains once",
            hint='set pace = "iterative"',
        )
    if options.rewind and not options.epochs:
        raise ConfigError(
            f"{context.where}: rewind begins again and trains, and epochs is 0", hint="set epochs, or leave out rewind"
        )
    if options.criterion == "sensitivity" and options.scope == "local":
        raise ConfigError(
            f'{context.where}: criterion = "sensitivity" gives each layer a share of its own, and scope is "local"',
            hint='leave out scope, or set criterion = "magnitude"',
        )


def _measured(model: Model, layers: Sequence[LayerWeights], context: Context) -> dict[str, tuple[float, ...]]:
    """Measure the relative rise of the error when each layer alone loses shares of its weights."""
    if context.data is None:
        raise ConfigError(
            f'{context.where}: criterion = "sensitivity" needs samples to measure {model.name} with',
            hint="add a [data] table to the recipe",
        )
    if model.is_quantized:
        raise ModelError(
            f"{model.name} is quantized, and sensitivity is measured on float networks",
            hint='put prune_weights before the step that quantizes, or set criterion = "magnitude"',
        )
    measured = _sensitivity.measure(model.graph, context.data.calibration, "weights", context, _shares.SHARES)
    context.record(_sensitivity.finding(measured, "weights", _shares.SHARES))
    return {each.layer: measured[each.layer] for each in layers}


def _trained(
    model: Model, names: Sequence[str], errors: Mapping[str, Sequence[float]], options: Options, context: Context
) -> Model:
    from edgecompress.compress._masked_training import MaskedNetwork

    network = MaskedNetwork(model, names, context, batch_norm=options.batch_norm)
    if options.pace in ("linear", "cubic"):
        _scheduled(network, model, errors, options)
    else:
        first = network.state()
        if isinstance(options.rewind, str):
            first = network.state_of(context.load_model(context.base / options.rewind), named=options.rewind)
        _in_rounds(network, model, first, errors, options)
    return network.to_onnx()


def _in_rounds(
    network: MaskedNetwork,
    model: Model,
    first: Mapping[str, Tensor],
    errors: Mapping[str, Sequence[float]],
    options: Options,
) -> None:
    """Prune the same share of what is left in each round, and train; one_shot is one round."""
    rounds = options.rounds if options.pace == "iterative" else 1
    for number in range(1, rounds + 1):
        ratio = 1 - (1 - options.ratio) ** (number / rounds)
        gradients: Mapping[str, Scores] = {}
        if options.criterion not in WITHOUT_GRADIENTS:
            gradients = network.measured_gradients(options, model, options.samples)
        network.mask(masks(network.values(), options, ratio, gradients=gradients, errors=errors))
        if options.rewind:
            network.restore(first)
        epochs = options.epochs * number // rounds - options.epochs * (number - 1) // rounds
        name = model.name if rounds == 1 else f"{model.name}, round {number} of {rounds}"
        network.train(options.model_copy(update={"epochs": epochs}), name, model)


def _scheduled(network: MaskedNetwork, model: Model, errors: Mapping[str, Sequence[float]], options: Options) -> None:
    """Prune more and more along the first part of one training, by the weights as they then are."""

    def prune(done: int, total: int) -> None:
        end = max(1, round(total * options.prune_until))
        every = max(1, end // options.rounds)
        if done <= end and (done % every == 0 or done == end):
            ratio = ratio_at(done / end, options.ratio, options.pace)
            network.mask(masks(network.values(), options, ratio, errors=errors))

    network.train(options, model.name, model, prune, best_from=options.prune_until)
