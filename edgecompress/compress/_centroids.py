"""Training of shared weights: a value's gradient is the sum of those of all weights that share it (Han et al. 2016).

A layer's weights are a function of its values and nothing else: `reach * value[place]`. The ends and 0 stay where they
are, so that reach and pruned weights do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from edgecompress.compress import _layer_weights, torch_graph
from edgecompress.compress._masked_training import layers_of
from edgecompress.compress.codebook import LEVELS, Options, levels_of, to_weights
from edgecompress.compress.training import train
from edgecompress.core.values import Array, Context, Model


class SharedValues(nn.Module):
    """Weights as places in a list of values between -1 and 1, times a reach for each output."""

    def __init__(self, weights: Tensor, *, per_channel: bool) -> None:
        super().__init__()
        rows = weights.detach().reshape(len(weights), -1).double().numpy()
        levels, reach = levels_of(rows, per_channel=per_channel)
        values, places = np.unique(levels, return_inverse=True)
        shape = [len(weights), *[1] * (weights.ndim - 1)]
        self.register_buffer("reach", torch.tensor(reach, dtype=torch.float32).reshape(shape))
        self.register_buffer("places", torch.from_numpy(places.reshape(tuple(weights.shape))))
        self.register_buffer("first", torch.tensor(values / LEVELS, dtype=torch.float32))
        self.register_buffer("held", torch.tensor((np.abs(values) == LEVELS) | (values == 0)))

    def right_inverse(self, weights: Tensor) -> Tensor:
        """The values of the weights that this was made from."""
        del weights
        return self.get_buffer("first").clone()

    def forward(self, values: Tensor) -> Tensor:
        """Return the weights."""
        inside = torch.where(self.get_buffer("held"), self.get_buffer("first"), values.clamp(-1, 1))
        return self.get_buffer("reach") * inside[self.get_buffer("places")]


def fine_tune(given: Model, shared: Model, names: Collection[str], options: Options, context: Context) -> Model:
    """Train the values of some layers, and all other parameters, to do what `given` does or the labels say."""
    module = torch_graph.to_torch(shared)
    tuned = {name: layer for name, layer in layers_of(module) if name in names}
    for layer in tuned.values():
        values = SharedValues(layer.get_parameter("weight"), per_channel=options.per_channel)
        parametrize.register_parametrization(layer, "weight", values, unsafe=True)
    train(module, context, options, name=f"{given.name}, shared values", given=given)
    for layer in tuned.values():
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    return _on_levels(torch_graph.to_onnx(module, like=shared), names, options)


def _on_levels(model: Model, names: Collection[str], options: Options) -> Model:
    """Bring the values back to whole levels."""
    layers = [each for each in _layer_weights.read(model) if each.layer in names]
    changed: dict[str, Array] = {}
    for each in layers:
        levels, reach = levels_of(each.rows, per_channel=options.per_channel)
        changed[each.tensor] = to_weights(levels, reach).reshape(each.values.shape)
    return dataclasses.replace(model, graph=_layer_weights.replaced(model.graph, changed, layers))
