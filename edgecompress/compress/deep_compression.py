"""Deep Compression (Han, Mao and Dally 2016): prune, let the weights that are left share values, entropy-code them.

The stored size is that of real bytes, tables included, which are decoded again and compared (_stored_form.py). On the
device the network is what the graph says: after static_int8, layers of at most 16 values are kept as indices and layers
of many zeros are computed by the sparse kernel, where that wins.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from onnx import numpy_helper
from pydantic import Field

from edgecompress.compress import _layer_weights, _stored_form, codebook, prune_weights
from edgecompress.compress._clusters import Initialisation
from edgecompress.compress._masks import Scope
from edgecompress.compress.prune_weights import Criterion
from edgecompress.compress.training import TrainingOptions
from edgecompress.core import toml_file
from edgecompress.core.errors import ModelError
from edgecompress.core.values import AppliedStep, Context, Model, Option


class Options(TrainingOptions):
    """The options of the step in a recipe.

    `ratio`, `criterion`, `scope`: what is pruned, as in prune_weights. `entries`, `initialisation`, `per_channel`: how
    weights share values, as in codebook. `skip`: layers that stay as they are. `epochs`: how long pruned weights are
    trained; shared values are for a `share_epochs`. With 0 neither is trained, and no torch is needed.
    """

    ratio: float = Field(default=0.85, gt=0, lt=1)
    criterion: Criterion = "magnitude"
    scope: Scope = "global"
    entries: int = Field(default=16, ge=2, le=256)
    initialisation: Initialisation = "linear"
    per_channel: bool = True
    skip: tuple[str, ...] = ()
    epochs: int = Field(default=0, ge=0)
    share_epochs: float = Field(default=0.5, ge=0, le=1)


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Prune, share and code; the step's `stored_bytes` are what all parameters then take.

    Raises ConfigError for wrong options and missing samples or labels, ModelError for a network without weights, and
    for one that is quantized where training or gradients are asked for.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    training = chosen.model_dump(include=set(TrainingOptions.model_fields))
    pruning = {"ratio": chosen.ratio, "criterion": chosen.criterion, "scope": chosen.scope, "skip": chosen.skip}
    pruned = prune_weights.prune(model, prune_weights.Options(**{**training, **pruning}), context)
    sharing = {
        "entries": chosen.entries,
        "initialisation": chosen.initialisation,
        "per_channel": chosen.per_channel,
        "skip": chosen.skip,
        "least_weights": 1,
        "epochs": round(chosen.epochs * chosen.share_epochs),
    }
    shared = codebook.share(pruned, codebook.Options(**{**training, **sharing}), context)
    step = AppliedStep(method="deep_compression", options=chosen.model_dump(), stored_bytes=stored_bytes(shared))
    return dataclasses.replace(shared, steps=(*model.steps, step))


def stored_bytes(model: Model) -> int:
    """Code all parameters, decode them again, and say how many bytes they took.

    Raises ModelError when what comes back is not what was coded.
    """
    stream = _stored_form.encode(model)
    layers = {each.tensor: each for each in _layer_weights.read(model)}
    decoded = _stored_form.decode(stream, model.graph, layers)
    for tensor in model.graph.graph.initializer:
        if not np.array_equal(decoded[tensor.name], numpy_helper.to_array(tensor)):
            raise ModelError(f"{model.name}: {tensor.name!r} comes back differently from its coded form")
    return len(stream)
