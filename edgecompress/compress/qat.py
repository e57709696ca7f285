"""Quantization-aware training: the network rounds while it trains as it will on the device, and learns to live with it.

Weights are rounded per channel and activations per tensor, with steps that are learned (Esser et al. 2020) or follow
the extremes (Jacob et al. 2018). The result has the form of static_int8. Weights of fewer than 8 bits lie in int8, and
take so few values that the compiler keeps them as indices.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import onnx
from pydantic import Field

from edgecompress.compress._calibration import observe
from edgecompress.compress.training import AfterStep, TrainingOptions, train
from edgecompress.core import toml_file
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import AppliedStep, Context, Data, Model, Option

if TYPE_CHECKING:
    from torch import fx

NORMS_FREEZE_AT = 0.5
"""The part of the training after which batch normalizations keep their statistics."""


class Options(TrainingOptions):
    """The options of the step in a recipe, beside those of every training.

    `steps`: `learned` trains the steps with the weights, `observed` takes them from the extremes. `ends_in_8_bits`
    keeps the first and the last layer at 8 bits, with what they read and the output. `batch_norm` puts a batch
    normalization behind each convolution while it trains, folded before the weights are rounded.
    """

    weight_bits: int = Field(default=8, ge=2, le=8)
    activation_bits: int = Field(default=8, ge=2, le=8)
    steps: Literal["learned", "observed"] = "learned"
    ends_in_8_bits: bool = True
    batch_norm: bool = False


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Train a float network with rounding, and quantize it to what was trained.

    Raises ConfigError for wrong options, missing samples or labels, MissingToolError without torch, and ModelError for
    a network that is quantized already or holds an operator that cannot be trained.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    if model.is_quantized:
        raise ModelError(f"{model.name} is already quantized", hint="qat quantizes: take out the step that does it too")
    if context.data is None:
        raise ConfigError(f"qat needs samples to train {model.name} with", hint="add a [data] table to the recipe")
    graph = _quantized(model, chosen, context.data, context)
    step = AppliedStep(method="qat", options=chosen.model_dump())
    return dataclasses.replace(model, graph=graph, steps=(*model.steps, step))


def _quantized(model: Model, options: Options, data: Data, context: Context) -> onnx.ModelProto:
    from edgecompress.compress import _qat_graph, torch_graph

    # Written by our own exporter first, so that every tensor has the name that it will have in the end.
    plain = torch_graph.to_onnx(torch_graph.to_torch(model), like=model)
    seen = observe(plain.graph, data.calibration, context.progress)
    places = _qat_graph.find_places(plain, seen)
    module = torch_graph.to_torch(plain)
    if options.batch_norm:
        module = torch_graph.restore_batch_norm(module, data.training or data.calibration)
    widths = _qat_graph.Widths(
        weights=options.weight_bits,
        activations=options.activation_bits,
        ends_in_8_bits=options.ends_in_8_bits,
        learned=options.steps == "learned",
    )
    module = _qat_graph.prepare(module, plain, places, seen, widths)
    best_from = NORMS_FREEZE_AT if options.batch_norm else 0.0
    train(
        module,
        context,
        options,
        name=model.name,
        given=model,
        after_step=_freezing(module) if options.batch_norm else None,
        best_from=best_from,
    )
    trained = torch_graph.to_onnx(_qat_graph.plain(module), like=plain)
    graph = _qat_graph.quantized(trained, seen, _qat_graph.parameters_of(module, trained.graph, places))
    _qat_graph.keep_bounds(graph, trained.graph, module, places)
    return onnx.shape_inference.infer_shapes(graph, check_type=True, strict_mode=True)


def _freezing(module: fx.GraphModule) -> AfterStep:
    from edgecompress.compress._qat_graph import freeze_norms

    def freeze(done: int, total: int) -> None:
        if done >= NORMS_FREEZE_AT * total:
            freeze_norms(module)

    return freeze
