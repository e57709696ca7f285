"""Weight sharing: the weights of a layer take few values, found by k-means (Han et al. 2016, "Deep Compression", 3).

A layer of at most 16 values is kept as indices of 4 bits by the compiler, which looks at the integers; so the values
are shared among those of a whole layer. Weights are `reach * level / 127`, with a reach for each output; the levels of
all outputs are clustered together and become whole numbers, the ends -127 and 127. Every output has a weight at one of
the ends, so static_int8 after this step finds the same reach, and thereby the same levels. 0 is a level too: what was
pruned stays pruned. The integers of a quantized network are clustered as they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgecompress.compress import _clusters, _layer_weights
from edgecompress.compress._clusters import Initialisation
from edgecompress.compress._layer_weights import LayerWeights
from edgecompress.compress.training import TrainingOptions
from edgecompress.core import toml_file
from edgecompress.core.values import AppliedStep, Array, Context, Model, Option

LEVELS = 127
"""The largest level: that of int8 without -128."""
LEAST_WEIGHTS = 256
"""A layer with fewer weights stays as it is: what it would save is less than what reads it."""
DECIMALS = 3
"""Levels closer than this are one: float32 weights on a grid are off it by less."""


class Options(TrainingOptions):
    """The options of the step in a recipe.

    `entries`: the most values of a layer. `initialisation`: how k-means begins. `per_channel`: each output has its
    own reach, as in static_int8 with the same option; without, a layer has one. `skip`: layers that stay as they are.
    `epochs`: the values are trained, each by the gradients of all weights that share it; none by default.
    """

    entries: int = Field(default=16, ge=2, le=256)
    initialisation: Initialisation = "linear"
    per_channel: bool = True
    least_weights: int = Field(default=LEAST_WEIGHTS, ge=1)
    skip: tuple[str, ...] = ()
    epochs: int = Field(default=0, ge=0)


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Give every layer's weights few values.

    Raises ConfigError for wrong options, ModelError for a network without weights, and where a quantized one is to be
    trained.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    shared = share(model, chosen, context)
    step = AppliedStep(method="codebook", options=chosen.model_dump())
    return dataclasses.replace(shared, steps=(*model.steps, step))


def share(model: Model, options: Options, context: Context) -> Model:
    """Do what the step does, without saying that it was applied."""
    layers = selected(model, options, context)
    graph = _layer_weights.replaced(model.graph, shared_weights(layers, options), layers)
    shared = dataclasses.replace(model, graph=graph)
    if options.epochs:
        from edgecompress.compress._centroids import fine_tune

        shared = fine_tune(model, shared, [each.layer for each in layers], options, context)
    context.record(_layer_weights.errors("Weights that share values", layers, _layer_weights.read(shared)))
    return shared


def selected(model: Model, options: Options, context: Context) -> tuple[LayerWeights, ...]:
    """List the layers that take part. Raises ConfigError for a name in `skip` that no layer has."""
    layers = _layer_weights.read(model)
    _layer_weights.check_names(options.skip, layers, where=f"{context.where}: skip")
    return tuple(
        each for each in layers if each.layer not in options.skip and each.values.size >= options.least_weights
    )


def shared_weights(layers: Sequence[LayerWeights], options: Options) -> dict[str, Array]:
    """Find the shared weights of each layer, by the name of its tensor."""
    return {each.tensor: (_integers if each.is_quantized else _reals)(each, options) for each in layers}


def reach_of(weights: NDArray[np.floating], *, per_channel: bool) -> NDArray[np.float64]:
    """What level 127 stands for in weights (outputs, n): (outputs, 1); 1 where all weights are zero."""
    magnitudes = np.abs(weights.astype(np.float64))
    reach = magnitudes.max(axis=1, keepdims=True) if per_channel else np.full((len(magnitudes), 1), magnitudes.max())
    return np.where(reach > 0, reach, 1.0)


def _integers(layer: LayerWeights, options: Options) -> Array:
    """Cluster integers as they are, each as important as its output's scale is large."""
    levels = layer.rows.astype(np.float64)
    scale = np.ones(len(levels)) if layer.scale is None else layer.scale
    importance = np.broadcast_to(np.square(scale)[:, np.newaxis], levels.shape)
    book = np.unique(np.rint(_book(levels, importance, options, tied_ends=False)))
    shared: Array = book[_clusters.nearest(levels, book)].reshape(layer.values.shape)
    return shared


def _reals(layer: LayerWeights, options: Options) -> Array:
    """Cluster the levels of float weights; where the ends move in, so does the reach."""
    reach = reach_of(layer.rows, per_channel=options.per_channel)
    levels = np.round(layer.rows / reach * LEVELS, DECIMALS)
    centres = _book(levels, np.broadcast_to(np.square(reach), levels.shape), options, tied_ends=True)
    end = np.abs(centres).max() or 1.0
    book = np.rint(centres * (LEVELS / end))
    return to_weights(book[_clusters.nearest(levels, centres)], reach * end / LEVELS).reshape(layer.values.shape)


def levels_of(weights: NDArray[np.floating], *, per_channel: bool) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the levels of shared weights (outputs, n), and the reach of each output."""
    reach = reach_of(weights, per_channel=per_channel)
    return np.rint(weights / reach * LEVELS).astype(np.int64), reach


def to_weights(levels: NDArray[Any], reach: NDArray[np.float64]) -> NDArray[np.float32]:
    """Bring levels to weights; a reach is one of float32, so that it comes back as the largest weight."""
    exact = reach.astype(np.float32).astype(np.float64)
    weights: NDArray[np.float32] = (levels * (exact / LEVELS)).astype(np.float32)
    return weights


def _book(
    levels: NDArray[np.float64], importance: NDArray[np.float64], options: Options, *, tied_ends: bool
) -> NDArray[np.float64]:
    return _clusters.cluster(
        levels.reshape(-1),
        importance.reshape(-1),
        options.entries,
        options.initialisation,
        keep_zero=True,
        tied_ends=tied_ends,
        seed=options.seed,
    )
