"""Mixed precision: as few bits for each layer's weights as budgets ask for, taken where they are missed the least.

Each layer alone is rounded to each number of bits, and what that does to the output is measured on the calibration
samples: its sensitivity. Then, from 8 bits everywhere, the layer and width with the least rise of the output's error
for what it saves goes next, until the budgets of bytes and of instructions are met (Dong et al. 2019, "HAWQ", with a
measured error where they take a Hessian; the greedy choice of a knapsack). Instructions are counted on the target,
layer by layer, in a network that has the same width everywhere; kernels need not take fewer of them for fewer bits.
The result is quantized by static_int8: every layer's weights lie in int8, and take few enough values that the compiler
keeps them in 4 bits where that pays.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal

from onnx import ModelProto
from pydantic import Field

from edgecompress.compress import _activations, _budgets, _sensitivity, _weights, _width_counts, static_int8
from edgecompress.compress._budgets import MOST_BITS, BudgetMissedError, Choice, Choices
from edgecompress.compress._width_counts import WidthCounts
from edgecompress.core import toml_file
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import AppliedStep, Context, FileValue, Finding, Model, Option, Samples, Series

MOST_SAMPLES = 32
BITS_A_BYTE = 8
DEFAULT_SIZE = 0.6
SIZE, INSTRUCTIONS = "size", "instructions"


class Options(FileValue):
    """The options of the step in a recipe.

    `size` is a budget: what all weights may take, as a share of what they take with 8 bits; 0.6 when there is no other.
    `instructions` is one too: what the network may take on the target, as a share of what it takes with 8 bits, above 1
    where unpacking may cost something. `bits` are the widths to choose from beside 8. `keep` names layers that stay at
    8 bits; the other options are those of static_int8.
    """

    size: float | None = Field(default=None, gt=0, lt=1)
    instructions: float | None = Field(default=None, gt=0)
    bits: tuple[int, ...] = (4,)
    keep: tuple[str, ...] = ()
    ranges: Literal["minmax", "percentile", "entropy", "mse"] = "minmax"
    correct_bias: bool = True


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Choose the bits of every layer under the budgets, and quantize the network with them.

    Raises ConfigError for wrong options, without samples, when a budget cannot be met, and for a budget of instructions
    without a target; ModelError for a network that is quantized already.
    """
    chosen = _with_a_budget(toml_file.parse(dict(options), Options, where=context.where))
    _check(model, chosen, context)
    if context.data is None:
        raise ConfigError(
            f"mixed_precision needs samples to measure {model.name} with", hint="add a [data] table to the recipe"
        )
    counts = _counts(model, chosen, context)
    choices = measure(model.graph, chosen.bits, context.data.calibration, context, counts)
    quantized = _meet(model, choices, counts, chosen, context)
    step = AppliedStep(method="mixed_precision", options=chosen.model_dump(exclude_none=True))
    return dataclasses.replace(quantized, steps=(*model.steps, step))


def measure(
    graph: ModelProto, widths: tuple[int, ...], samples: Samples, context: Context, counts: WidthCounts | None = None
) -> Choices:
    """Round each layer alone to each width, and measure the output's error: choices by layer and bits, 8 with none."""
    layers = _weights.layers(graph)
    outputs = [output.name for output in graph.graph.output]
    wanted = _activations.read(graph, outputs, samples, MOST_SAMPLES)
    arrays = _weights.values(graph)
    found: dict[str, dict[int, Choice]] = {}
    for done, layer in enumerate(layers):
        context.progress("measure sensitivity", done, len(layers))
        weights = arrays[layer.weights]
        found[layer.name] = {}
        for bits in (MOST_BITS, *widths):
            error = 0.0
            if bits < MOST_BITS:
                changed = _weights.replaced(graph, {layer.weights: _weights.to_grid(weights, layer.axis, bits)})
                got = _activations.read(changed, outputs, samples, MOST_SAMPLES)
                error = _sensitivity.relative_error(wanted, got)
            takes = {SIZE: float(math.ceil(weights.size * bits / BITS_A_BYTE))}
            if counts is not None:
                takes[INSTRUCTIONS] = counts.by_layer[layer.name][bits]
            found[layer.name][bits] = Choice(error=error, takes=takes)
    context.progress("measure sensitivity", len(layers), len(layers))
    return found


def _meet(model: Model, choices: Choices, counts: WidthCounts | None, options: Options, context: Context) -> Model:
    """Choose, quantize and, under a budget of instructions, count again: less is asked of the choice until it is met.

    Layers were counted beside others of their width, and a compiler's choices for one may depend on the others.
    """
    excess = 0.0
    while True:
        bits = _choose(choices, excess, counts, options, context)
        found: list[Finding] = []
        quantized = _quantized(model, bits, options, dataclasses.replace(context, record=found.append))
        total = _total(quantized, context) if counts is not None else 0.0
        over = total - _most(counts, options)
        if over <= 0:
            break
        excess += over
    context.record(_finding(choices, bits))
    if counts is not None:
        context.record(_width_counts.finding(counts, bits, total))
    for finding in found:
        context.record(finding)
    return quantized


def _most(counts: WidthCounts | None, options: Options) -> float:
    """The instructions that the budget has."""
    return math.inf if counts is None or options.instructions is None else options.instructions * counts.total


def _total(quantized: Model, context: Context) -> float:
    return 0.0 if context.count_instructions is None else context.count_instructions(quantized).total


def _choose(
    choices: Choices, excess: float, counts: WidthCounts | None, options: Options, context: Context
) -> dict[str, int]:
    """Choose the bits; `excess` instructions fewer than the budget has are asked for."""
    whole_size = _budgets.taken(choices, dict.fromkeys(choices, MOST_BITS), SIZE)
    limits = {}
    if counts is not None:
        limits[INSTRUCTIONS] = _most(counts, options) - counts.elsewhere - excess
    if options.size is not None:
        limits[SIZE] = options.size * whole_size
    try:
        return _budgets.choose(choices, limits, options.keep)
    except BudgetMissedError as missed:
        if missed.budget == INSTRUCTIONS and counts is not None:
            raise counts.missed(missed.least, options.instructions, options.bits, where=context.where) from None
        beside = f" and instructions = {options.instructions:g}" if options.instructions is not None else ""
        raise ConfigError(
            f"{context.where}: size = {options.size:g} cannot be met: {missed.least / whole_size:.3g} is the least "
            f"with bits = {list(options.bits)}{beside}",
            hint="allow fewer bits, or name fewer layers in `keep`",
        ) from None


def _counts(model: Model, options: Options, context: Context) -> WidthCounts | None:
    """Count the instructions of every layer at every width, if there is a budget of them."""
    if options.instructions is None:
        return None
    if context.count_instructions is None:
        raise ConfigError(
            f"{context.where}: instructions = {options.instructions:g} needs a target to count them on",
            hint="name it with -t, as in -t mps2-an386, or set size",
        )
    layers = [layer.name for layer in _weights.layers(model.graph)]
    networks = {
        bits: _quantized(model, dict.fromkeys(layers, bits), options, dataclasses.replace(context, record=_forget))
        for bits in (MOST_BITS, *options.bits)
    }
    return _width_counts.count(networks, layers, context.count_instructions, context.progress)


def _forget(finding: Finding) -> None:
    """The findings of a network that is only counted are nobody's."""


def _quantized(model: Model, bits: Mapping[str, int], options: Options, context: Context) -> Model:
    rounded = dataclasses.replace(model, graph=_rounded(model.graph, bits))
    quantizing: dict[str, Option] = {"ranges": options.ranges, "correct_bias": options.correct_bias}
    return static_int8.apply(rounded, quantizing, context)


def _rounded(graph: ModelProto, bits: Mapping[str, int]) -> ModelProto:
    arrays = _weights.values(graph)
    return _weights.replaced(
        graph,
        {
            layer.weights: _weights.to_grid(arrays[layer.weights], layer.axis, bits[layer.name])
            for layer in _weights.layers(graph)
            if bits[layer.name] < MOST_BITS
        },
    )


def _finding(choices: Choices, bits: Mapping[str, int]) -> Finding:
    widths = sorted({width for of_layer in choices.values() for width in of_layer} - {MOST_BITS})
    names = tuple(f"{name} ({bits[name]} bits)" for name in choices)
    return Finding(
        title="Sensitivity of the output to each layer's weights",
        kind="bars",
        x_label="layer, and the bits that it got",
        y_label="energy of the output's error, share",
        series=tuple(
            Series(name=f"{width} bits", x=names, y=tuple(of_layer[width].error for of_layer in choices.values()))
            for width in widths
        ),
        note="Each layer alone rounded to so many bits, on the calibration samples.",
    )


def _with_a_budget(options: Options) -> Options:
    if options.size is None and options.instructions is None:
        return options.model_copy(update={"size": DEFAULT_SIZE})
    return options


def _check(model: Model, options: Options, context: Context) -> None:
    if model.is_quantized:
        raise ModelError(
            f"{model.name} is already quantized",
            hint="mixed_precision quantizes: take out the step that does it too",
        )
    wrong = [bits for bits in options.bits if not 2 <= bits < MOST_BITS]
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
