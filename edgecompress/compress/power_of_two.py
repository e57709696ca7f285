"""Weights that are powers of two: a reach for each output times 0, 1, 1/2, 1/4 … with a sign (Miyashita et al. 2016).

Products with such weights are shifts; the largest is 127/128 of its power, for int8 has no 128. With `epochs` they are
found as in incremental quantization (Zhou et al. 2017, INQ): the largest weights of each layer become powers of two and
stay, the others are trained, and so on until none is left. static_int8 after this step finds the levels 127, 64, 32 …:
with four bits at most 15 values, which the compiler keeps as indices. The integers of a quantized network take the
nearest of these levels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from edgecompress.compress import _layer_weights
from edgecompress.compress._layer_weights import LayerWeights
from edgecompress.compress.codebook import LEAST_WEIGHTS, LEVELS, reach_of
from edgecompress.compress.training import TrainingOptions
from edgecompress.core import toml_file
from edgecompress.core.values import AppliedStep, Array, Context, Model, Option

LARGEST = LEVELS / (LEVELS + 1)
REACHES = 16
"""Factors of the largest weight, from 1 down to above 1/2, that are tried as an output's reach."""


class Options(TrainingOptions):
    """The options of the step in a recipe.

    `bits` of a weight: `2**(bits - 1) - 1` magnitudes, two signs and 0. `per_channel`: each output has its own reach.
    `portions`: the shares of the weights that are powers of two after each round of training; the last is 1. `skip`:
    layers that stay as they are. `batch_norm` puts a batch normalization behind each convolution while it trains.
    `epochs`: of all rounds together; with 0 nothing is trained, and no torch is needed.
    """

    bits: int = Field(default=4, ge=2, le=5)
    per_channel: bool = True
    portions: tuple[float, ...] = (0.5, 0.75, 0.875, 1.0)
    least_weights: int = Field(default=LEAST_WEIGHTS, ge=1)
    skip: tuple[str, ...] = ()
    batch_norm: bool = True
    epochs: int = Field(default=0, ge=0)

    @field_validator("portions")
    @classmethod
    def _rise_to_one(cls, portions: tuple[float, ...]) -> tuple[float, ...]:
        if not portions or portions[-1] != 1 or list(portions) != sorted({*portions}) or portions[0] <= 0:
            raise ValueError(f"portions rise from above 0 to 1 (got {portions})")
        return portions


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Make every weight a power of two.

    Raises ConfigError for wrong options, ModelError for a network without weights, and for a quantized one that is to
    be trained.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    layers = _layer_weights.read(model)
    _layer_weights.check_names(chosen.skip, layers, where=f"{context.where}: skip")
    parts = [each for each in layers if each.layer not in chosen.skip and each.values.size >= chosen.least_weights]
    if chosen.epochs:
        from edgecompress.compress._incremental import quantize_in_portions

        trained = quantize_in_portions(model, [each.layer for each in parts], chosen, context)
        parts = [each for each in _layer_weights.read(trained) if each.layer in {part.layer for part in parts}]
    else:
        trained = model
    graph = _layer_weights.replaced(trained.graph, powers(parts, chosen), parts)
    made = dataclasses.replace(trained, graph=graph)
    context.record(_layer_weights.errors("Weights as powers of two", layers, _layer_weights.read(made)))
    step = AppliedStep(method="power_of_two", options=chosen.model_dump())
    return dataclasses.replace(made, steps=(*model.steps, step))


def powers(layers: Sequence[LayerWeights], options: Options) -> dict[str, Array]:
    """Find the powers of two of each layer, by the name of its tensor."""
    return {each.tensor: (_integers if each.is_quantized else _reals)(each, options) for each in layers}


def nearest(weights: NDArray[np.float64], reach: NDArray[np.float64], bits: int) -> NDArray[np.float64]:
    """Bring weights (outputs, n) to the nearest of 0 and plus or minus reach / 2**k, k from 0 (there times 127/128)."""
    magnitudes = 2.0 ** -np.arange(2 ** (bits - 1) - 1)
    magnitudes[0] = LARGEST
    levels = np.concatenate([[0.0], magnitudes[::-1]])
    places = np.searchsorted((levels[1:] + levels[:-1]) / 2, np.abs(weights) / reach)
    found: NDArray[np.float64] = np.sign(weights) * levels[places] * reach
    return found


def best_reach(weights: NDArray[np.float64], options: Options) -> NDArray[np.float64]:
    """Find the reach of each output, (outputs, 1), that leaves the smallest squared error."""
    largest = reach_of(weights, per_channel=options.per_channel) / LARGEST
    tried = [largest * 2.0 ** (-step / REACHES) for step in range(REACHES)]
    errors = np.array([np.square(weights - nearest(weights, each, options.bits)).sum(axis=1) for each in tried])
    if not options.per_channel:
        errors = np.broadcast_to(errors.sum(axis=1, keepdims=True), errors.shape)
    best = np.argmin(errors, axis=0)
    found: NDArray[np.float64] = np.take_along_axis(np.stack(tried), best[np.newaxis, :, np.newaxis], axis=0)[0]
    return found


def _reals(layer: LayerWeights, options: Options) -> Array:
    rows = layer.rows.astype(np.float64)
    return nearest(rows, best_reach(rows, options), options.bits).astype(np.float32).reshape(layer.values.shape)


def _integers(layer: LayerWeights, options: Options) -> Array:
    rows = layer.rows.astype(np.float64)
    found: Array = np.rint(nearest(rows, np.full((len(rows), 1), LEVELS / LARGEST), options.bits))
    return found.reshape(layer.values.shape)
