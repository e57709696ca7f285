"""Structured pruning: whole channels go, so that every device computes less without any special kernel.

`ratio` is the share of multiply-accumulates to save, counted on the network as it comes out, not the share of channels.
Channels go by dependency group (_channels.py) with the least importance: the L1 or L2 norm of their weights (Li et al.
2017), the first-order Taylor term |weight x gradient| (Molchanov et al. 2019), the scale of their batch norm (Liu et
al. 2017), or their distance from the layer's geometric median (He et al. 2019, FPGM). In one shot or in rounds, each
followed by its part of the training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgecompress.compress import _sensitivity
from edgecompress.compress.training import TrainingOptions, train
from edgecompress.core import toml_file
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import AppliedStep, Context, Finding, Model, Option, Samples, Series

if TYPE_CHECKING:
    from torch import Tensor, fx

GRADIENT_SAMPLES = 256


class Options(TrainingOptions):
    """The options of the step in a recipe, beside those of every training.

    `ratio`: the share of multiply-accumulates to save. `criterion`: what makes a channel important. `scope`: every
    layer loses the same share of channels, or the least important channels of the network go. `rounds`: prune and train
    so many times, the ratio rising by `progression`; the epochs are spread over the rounds. `multiple`: what channel
    counts are a multiple of, 0 for what the target asks for. `keep`: layers that keep their channels.
    """

    ratio: float = Field(default=0.5, gt=0, lt=1)
    criterion: Literal["l1", "l2", "taylor", "batch_norm", "fpgm"] = "l2"
    scope: Literal["local", "global"] = "local"
    rounds: int = Field(default=1, ge=1, le=100)
    progression: Literal["linear", "cubic"] = "cubic"
    multiple: int = Field(default=0, ge=0, le=256)
    keep: tuple[str, ...] = ()


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Take channels out of a float network and train it again.

    Raises ConfigError for wrong options, missing samples or labels and a ratio that cannot be reached, ModelError for a
    quantized network and for one whose channels cannot be grouped, MissingToolError without torch.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    if model.is_quantized:
        raise ModelError(f"{model.name} is quantized", hint="put prune_channels before the step that quantizes")
    if context.data is None:
        raise ConfigError(f"{context.where}: prune_channels needs samples", hint="add a [data] table to the recipe")
    from edgecompress.compress import torch_graph

    samples = context.data.training or context.data.calibration
    module = torch_graph.to_torch(model)
    if chosen.epochs or chosen.criterion == "batch_norm":
        module = torch_graph.restore_batch_norm(module, samples)
    measured = _sensitivity.measure(model.graph, context.data.calibration, "channels", context)
    context.record(_sensitivity.finding(measured, "channels"))
    smaller = _prune(module, model, samples, chosen, context)
    pruned = torch_graph.to_onnx(smaller, like=model)
    step = AppliedStep(method="prune_channels", options=chosen.model_dump())
    return dataclasses.replace(pruned, steps=(*model.steps, step))


def _prune(
    module: fx.GraphModule, model: Model, samples: Samples, options: Options, context: Context
) -> fx.GraphModule:
    from edgecompress.compress import _channels

    example = _example(samples)
    how = _channels.Pruning(
        criterion=options.criterion,
        scope=options.scope,
        multiple=options.multiple or context.channel_multiple,
        kept=_kept(module, options, context),
    )
    whole, before = _channels.multiplications(module, example), _channels.channels(module)
    for done in range(1, options.rounds + 1):
        share = options.ratio * _channels.share_after(done, options.rounds, options.progression)
        context.progress("prune channels", done, options.rounds)
        if options.criterion == "taylor":
            from edgecompress.compress.training import gradients

            gradients.fill(module, context, options, given=model, most=GRADIENT_SAMPLES, name=model.name)
        module = _channels.prune_to(module.eval(), example, (1 - share) * whole, how)
        module.zero_grad()
        epochs = options.epochs * done // options.rounds - options.epochs * (done - 1) // options.rounds
        if epochs:
            training = options.model_copy(update={"epochs": epochs})
            train(module, context, training, name=f"{model.name} pruned, round {done}", given=model)
    context.record(_finding(before, _channels.channels(module)))
    return module


def _example(samples: Samples) -> tuple[Tensor, ...]:
    import torch

    return tuple(torch.from_numpy(array[:2].copy()) for array in samples.inputs.values())


def _kept(module: fx.GraphModule, options: Options, context: Context) -> frozenset[str]:
    from edgecompress.compress import _channels

    known = _channels.channels(module)
    unknown = [name for name in options.keep if name not in known]
    if unknown:
        raise ConfigError(
            f"{context.where}: keep names no layer: {unknown[0]!r}", hint=f"layers with weights: {', '.join(known)}"
        )
    return _channels.fixed_layers(module) | frozenset(options.keep)


def _finding(before: Mapping[str, int], after: Mapping[str, int]) -> Finding:
    return Finding(
        title="Channels of each layer",
        kind="bars",
        x_label="layer",
        y_label="channels",
        series=(
            Series(name="before", x=tuple(before), y=tuple(map(float, before.values()))),
            Series(name="after", x=tuple(after), y=tuple(map(float, after.values()))),
        ),
    )
