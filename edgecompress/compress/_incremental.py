"""Incremental quantization (Zhou et al. 2017): some weights become powers of two and stay, the others are trained."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import nn

from edgecompress.compress import power_of_two, torch_graph
from edgecompress.compress._masked_training import layers_of
from edgecompress.compress.training import train
from edgecompress.core.values import Context, Model

FIXED, VALUES = "weights_fixed", "fixed_values"


def quantize_in_portions(
    model: Model, names: Collection[str], options: power_of_two.Options, context: Context
) -> Model:
    """Fix the largest weights of each layer as powers of two, portion after portion, and train the others between."""
    module = torch_graph.to_torch(model)
    if options.batch_norm and context.data is not None:
        module = torch_graph.restore_batch_norm(module, context.data.training or context.data.calibration)
    layers = [layer for name, layer in layers_of(module) if name in names]
    for layer in layers:
        weight = layer.get_parameter("weight")
        layer.register_buffer(FIXED, torch.zeros_like(weight, dtype=torch.bool))
        layer.register_buffer(VALUES, torch.zeros_like(weight))
    count = len(options.portions)

    def hold(done: int, total: int) -> None:
        del done, total
        for layer in layers:
            with torch.no_grad():
                weight = layer.get_parameter("weight")
                weight.copy_(torch.where(layer.get_buffer(FIXED), layer.get_buffer(VALUES), weight))

    for number, portion in enumerate(options.portions, 1):
        for layer in layers:
            _fix(layer, portion, options)
        hold(0, 0)
        epochs = options.epochs * number // count - options.epochs * (number - 1) // count
        part = options.model_copy(update={"epochs": epochs})
        train(module, context, part, name=f"{model.name}, {portion:.0%} fixed", given=model, after_step=hold)
        hold(0, 0)
    for layer in layers:
        del layer._buffers[FIXED], layer._buffers[VALUES]
    return torch_graph.to_onnx(module, like=model)


def _fix(layer: nn.Module, portion: float, options: power_of_two.Options) -> None:
    """Fix more of a layer's weights: the largest that are not fixed yet, until the portion is."""
    weight, fixed = layer.get_parameter("weight").detach().double().numpy(), layer.get_buffer(FIXED).numpy()
    rows = weight.reshape(len(weight), -1)
    held = layer.get_buffer(VALUES).double().numpy().reshape(rows.shape)
    known = fixed.reshape(rows.shape)
    # An output's reach is what its first fixed weights were made with: the largest of them.
    reach = np.where(
        known.any(axis=1, keepdims=True), np.abs(held).max(axis=1, keepdims=True) / power_of_two.LARGEST, 0
    )
    reach = np.where(reach > 0, reach, power_of_two.best_reach(rows, options))
    made = power_of_two.nearest(rows, reach, options.bits)
    order = np.argsort(np.where(known, -np.inf, -np.abs(rows)).reshape(-1), kind="stable")
    chosen = np.zeros(rows.size, bool)
    chosen[order[: round(portion * rows.size)]] = True
    chosen = chosen.reshape(rows.shape) | known
    values = np.where(known, held, np.where(chosen, made, 0))
    layer.get_buffer(FIXED).copy_(torch.from_numpy(chosen.reshape(weight.shape)))
    layer.get_buffer(VALUES).copy_(torch.from_numpy(values.reshape(weight.shape)))
