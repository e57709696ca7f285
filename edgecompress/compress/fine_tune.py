"""Train a float network further: on labels, or to compute again what it computed when the step got it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from edgecompress.compress.training import TrainingOptions, train
from edgecompress.core import toml_file
from edgecompress.core.values import AppliedStep, Context, Model, Option


class Options(TrainingOptions):
    """The options of the step in a recipe, beside those of every training.

    `batch_norm` puts a batch normalization behind each convolution while it trains; it is folded in again afterwards.
    """

    batch_norm: bool = True


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Train all weights of a float network with the context's training samples.

    Raises ConfigError for wrong options, missing samples or labels, MissingToolError without torch, and ModelError for
    a network that is quantized or holds an operator that cannot be trained.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    from edgecompress.compress import torch_graph

    module = torch_graph.to_torch(model)
    if chosen.batch_norm and context.data is not None:
        module = torch_graph.restore_batch_norm(module, context.data.training or context.data.calibration)
    train(module, context, chosen, name=model.name, given=model)
    tuned = torch_graph.to_onnx(module, like=model)
    step = AppliedStep(method="fine_tune", options=chosen.model_dump())
    return dataclasses.replace(tuned, steps=(*model.steps, step))
