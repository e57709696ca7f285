"""N:M pruning: of every M weights that are neighbours along the inputs, the N largest stay (Mishra et al. 2021).

The places of what is left are then a few bits for each group, and units that multiply 2 of 4 need no more. Layers with
one input for each output, as depthwise convolutions, have no such neighbours and stay as they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pydantic import Field

from edgecompress.compress import _layer_weights, _masks, _pruned
from edgecompress.compress.training import TrainingOptions
from edgecompress.core import toml_file
from edgecompress.core.errors import ConfigError
from edgecompress.core.values import AppliedStep, Context, Model, Option


class Options(TrainingOptions):
    """The options of the step in a recipe.

    `kept` of every `of` weights stay, of the largest magnitude; a last group that is smaller keeps as many. `skip`:
    layers that stay as they are. `batch_norm` puts a batch normalization behind each convolution while it trains.
    `epochs`: what is left is trained; with 0 it is not, and no torch is needed.
    """

    kept: int = Field(default=2, ge=1)
    of: int = Field(default=4, ge=2)
    skip: tuple[str, ...] = ()
    batch_norm: bool = True
    epochs: int = Field(default=0, ge=0)


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Set all but N of every M weights to zero, and train what is left if epochs are given.

    Raises ConfigError for wrong options and missing samples or labels, ModelError for a network without weights, and
    for a quantized one that is to be trained.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    if chosen.kept >= chosen.of:
        raise ConfigError(
            f"{context.where}: kept = {chosen.kept} of {chosen.of} weights prunes nothing",
            hint="set kept below of, such as 2 of 4",
        )
    layers = _layer_weights.read(model)
    _layer_weights.check_names(chosen.skip, layers, where=f"{context.where}: skip")
    layers = tuple(each for each in layers if each.layer not in chosen.skip)
    masks = {each.layer: _masks.n_of_m(abs(each.real), chosen.kept, chosen.of) for each in layers}
    pruned = _pruned.masked(model, masks, layers)
    if chosen.epochs:
        from edgecompress.compress._masked_training import MaskedNetwork

        network = MaskedNetwork(model, masks, context, batch_norm=chosen.batch_norm)
        network.mask({name: mask for name, mask in masks.items() if name in network.layers})
        network.train(chosen, model.name, model)
        pruned = network.to_onnx()
    context.record(_pruned.zeros_finding(f"Weights pruned to {chosen.kept} of {chosen.of}", pruned))
    step = AppliedStep(method="prune_n_m", options=chosen.model_dump(), stored_bytes=_pruned.stored_bytes(pruned))
    return dataclasses.replace(pruned, steps=(*model.steps, step))
