"""Mixed precision: as few bits for each layer's weights as a budget asks for, taken where they are missed the least.

Each layer alone is rounded to each number of bits, and what that does to the output is measured on the calibration
samples: its sensitivity. Then, from 8 bits everywhere, the layer and width with the least rise of the output's error
for a saved byte goes next, until the weights fit the budget (Dong et al. 2019, "HAWQ", with a measured error where they
take a Hessian; the greedy choice of a knapsack). The result is quantized by static_int8: every layer's weights lie in
int8, and take few enough values that the compiler keeps them in 4 bits where that pays.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from onnx import ModelProto
from pydantic import Field

from edgecompress.compress import _activations, _sensitivity, _weights, static_int8
from edgecompress.compress._weights import WeightedLayer
from edgecompress.core import toml_file
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import AppliedStep, Context, FileValue, Finding, Model, Option, Samples, Series

MOST_SAMPLES = 32
INT8_BITS = 8
BITS_A_BYTE = 8


class Options(FileValue):
    """The options of the step in a recipe.

    `size` is the budget: what all weights may take, as a share of what they take with 8 bits. `bits` are the widths to
    choose from beside 8. `keep` names layers that stay at 8 bits; the other options are those of static_int8.
    """

    size: float = Field(default=0.6, gt=0, lt=1)
    bits: tuple[int, ...] = (4,)
    keep: tuple[str, ...] = ()
    ranges: Literal["minmax", "percentile", "entropy", "mse"] = "minmax"
    correct_bias: bool = True


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """A layer at so many bits: what its weights take, and how much of the output's energy the error is."""

    layer: WeightedLayer
    bits: int
    bytes: float
    error: float


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Choose the bits of every layer under the budget, and quantize the network with them.

    Raises ConfigError for wrong options, without samples, and when the budget cannot be met; ModelError for a network
    that is quantized already.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    _check(model, chosen, context)
    if context.data is None:
        raise ConfigError(
            f"mixed_precision needs samples to measure {model.name} with", hint="add a [data] table to the recipe"
        )
    sensitivities = measure(model.graph, chosen.bits, context.data.calibration, context)
    bits = _choose(sensitivities, chosen, context)
    context.record(_finding(sensitivities, bits))
    rounded = dataclasses.replace(model, graph=_rounded(model.graph, bits))
    quantizing = {"ranges": chosen.ranges, "correct_bias": chosen.correct_bias}
    quantized = static_int8.apply(rounded, quantizing, context)
    step = AppliedStep(method="mixed_precision", options=chosen.model_dump())
    return dataclasses.replace(quantized, steps=(*model.steps, step))


def measure(
    graph: ModelProto, widths: tuple[int, ...], samples: Samples, context: Context
) -> dict[str, dict[int, _Choice]]:
    """Round each layer alone to each width, and measure the output's error: choices by layer and bits, 8 with none."""
    layers = _weights.layers(graph)
    outputs = [output.name for output in graph.graph.output]
    wanted = _activations.read(graph, outputs, samples, MOST_SAMPLES)
    arrays = _weights.values(graph)
    found: dict[str, dict[int, _Choice]] = {}
    for done, layer in enumerate(layers):
        context.progress("measure sensitivity", done, len(layers))
        weights = arrays[layer.weights]
        choices = {INT8_BITS: _Choice(layer=layer, bits=INT8_BITS, bytes=float(weights.size), error=0.0)}
        for bits in widths:
            changed = _weights.replaced(graph, {layer.weights: _weights.to_grid(weights, layer.axis, bits)})
            got = _activations.read(changed, outputs, samples, MOST_SAMPLES)
            size = math.ceil(weights.size * bits / BITS_A_BYTE)
            choices[bits] = _Choice(layer=layer, bits=bits, bytes=size, error=_sensitivity.relative_error(wanted, got))
        found[layer.name] = choices
    context.progress("measure sensitivity", len(layers), len(layers))
    return found


def _choose(sensitivities: Mapping[str, Mapping[int, _Choice]], options: Options, context: Context) -> dict[str, int]:
    """Go down from 8 bits, each time where a saved byte costs the least error, until the budget is met."""
    now = {name: choices[INT8_BITS] for name, choices in sensitivities.items()}
    budget = options.size * sum(choice.bytes for choice in now.values())
    while sum(choice.bytes for choice in now.values()) > budget:
        steps = [
            (next_choice.error - now[name].error, now[name].bytes - next_choice.bytes, name, bits)
            for name, choices in sensitivities.items()
            if name not in options.keep
            for bits, next_choice in choices.items()
            if next_choice.bytes < now[name].bytes
        ]
        if not steps:
            least = sum(choice.bytes for choice in now.values()) / budget * options.size
            raise ConfigError(
                f"{context.where}: size = {options.size:g} cannot be met: {least:.3g} is the least with bits = "
                f"{list(options.bits)}",
                hint="allow fewer bits, or name fewer layers in `keep`",
            )
        _, _, name, bits = min(steps, key=lambda step: (step[0] / step[1], step[2], step[3]))
        now[name] = sensitivities[name][bits]
    return {name: choice.bits for name, choice in now.items()}


def _rounded(graph: ModelProto, bits: Mapping[str, int]) -> ModelProto:
    arrays = _weights.values(graph)
    return _weights.replaced(
        graph,
        {
            layer.weights: _weights.to_grid(arrays[layer.weights], layer.axis, bits[layer.name])
            for layer in _weights.layers(graph)
            if bits[layer.name] < INT8_BITS
        },
    )


def _finding(sensitivities: Mapping[str, Mapping[int, _Choice]], bits: Mapping[str, int]) -> Finding:
    widths = sorted({width for choices in sensitivities.values() for width in choices} - {INT8_BITS})
    names = tuple(f"{name} ({bits[name]} bits)" for name in sensitivities)
    return Finding(
        title="Sensitivity of the output to each layer's weights",
        kind="bars",
        x_label="layer, and the bits that it got",
        y_label="energy of the output's error, share",
        series=tuple(
            Series(name=f"{width} bits", x=names, y=tuple(choices[width].error for choices in sensitivities.values()))
            for width in widths
        ),
        note="Each layer alone rounded to so many bits, on the calibration samples.",
    )


def _check(model: Model, options: Options, context: Context) -> None:
    if model.is_quantized:
        raise ModelError(
            f"{model.name} is already quantized",
            hint="mixed_precision quantizes: take out the step that does it too",
        )
    wrong = [bits for bits in options.bits if not 2 <= bits < INT8_BITS]
    if wrong or not options.bits:
        raise ConfigError(
            f"{context.where}: bits = {list(options.bits)}", hint="choose from 2 to 7, as in bits = [4, 6]"
        )
    known = {layer.name for layer in _weights.layers(model.graph)}
    unknown = [name for name in options.keep if name not in known]
    if unknown:
        raise ConfigError(
            f"{context.where}: keep names no layer: {unknown[0]!r}",
            hint=f"layers with weights: {', '.join(sorted(known))}",
        )
