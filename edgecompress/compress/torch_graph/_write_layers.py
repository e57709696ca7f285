"""Modules of torch.nn -> ONNX nodes. A rule writes what a module computes of one tensor; it returns the result's name.

A rule raises TypeError, naming what it met, for settings of a module that it cannot write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from edgecompress.compress.torch_graph import _resizing
from edgecompress.compress.torch_graph._modules import Reshape
from edgecompress.compress.torch_graph._writer import Call, Value

Rule = Callable[[Call, Any, Value], str]
"""(call, module, input) -> name of the output."""


def convolution(call: Call, layer: nn.Conv1d | nn.Conv2d, x: Value) -> str:
    """Write a convolution with its weights."""
    if layer.padding_mode != "zeros":
        raise TypeError(f"a convolution with the padding mode {layer.padding_mode!r}")
    return call.node(
        "Conv",
        x,
        *_parameters(call, layer),
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.stride),
        dilations=list(layer.dilation),
        pads=_pads(layer),
        group=layer.groups,
    )


def linear(call: Call, layer: nn.Linear, x: Value) -> str:
    """Write a linear layer: Gemm on rows, also for tensors of more axes, so that a bias stays part of it."""
    if x.tensor.ndim == 2:
        return call.node("Gemm", x, *_parameters(call, layer), transB=1)
    rows = call.helping_node("flat", "Reshape", x, call.constant("rows", [-1, layer.in_features]))
    product = call.helping_node("product", "Gemm", rows, *_parameters(call, layer), transB=1)
    return call.node("Reshape", product, call.constant("shape", list(call.made.shape)))


def batch_normalization(call: Call, layer: nn.BatchNorm1d | nn.BatchNorm2d, x: Value) -> str:
    """Write a batch normalization that no convolution could take in."""
    if layer.running_mean is None or layer.running_var is None:
        raise TypeError("a batch normalization without statistics")
    ones = torch.ones(layer.num_features)
    parts = {
        "scale": ones if layer.weight is None else layer.weight,
        "offset": 0 * ones if layer.bias is None else layer.bias,
        "mean": layer.running_mean,
        "variance": layer.running_var,
    }
    return call.node(
        "BatchNormalization", x, *(call.constant(key, part) for key, part in parts.items()), epsilon=layer.eps
    )


def layer_normalization(call: Call, layer: nn.LayerNorm, x: Value) -> str:
    """Write a normalization over the last axes."""
    weight = torch.ones(layer.normalized_shape) if layer.weight is None else layer.weight
    held = [call.constant("weight", weight)]
    if layer.bias is not None:
        held.append(call.constant("bias", layer.bias))
    return call.node("LayerNormalization", x, *held, axis=-len(layer.normalized_shape), epsilon=layer.eps)


def max_pool(call: Call, layer: nn.MaxPool1d | nn.MaxPool2d, x: Value) -> str:
    """Write a maximum over a window."""
    axes = x.tensor.ndim - 2
    return call.node("MaxPool", x, dilations=_each(layer.dilation, axes), **_window(layer, axes))


def average_pool(call: Call, layer: nn.AvgPool1d | nn.AvgPool2d, x: Value) -> str:
    """Write a mean over a window."""
    window = _window(layer, x.tensor.ndim - 2)
    return call.node("AveragePool", x, count_include_pad=int(layer.count_include_pad), **window)


def global_pool(operator: str) -> Rule:
    """Make the rule for a pool over all of an image."""

    def write(call: Call, _layer: Any, x: Value) -> str:
        if any(size != 1 for size in call.made.shape[2:]):
            raise TypeError(f"an adaptive pool to {tuple(call.made.shape[2:])}")
        return call.node(operator, x)

    return write


def reshaped(call: Call, _layer: Any, x: Value) -> str:
    """Write another shape of the same numbers."""
    return call.node("Reshape", x, call.constant("shape", list(call.made.shape)))


def clipped(call: Call, layer: nn.Hardtanh, x: Value) -> str:
    """Write bounds."""
    low, high = np.float32(layer.min_val), np.float32(layer.max_val)
    return call.node("Clip", x, call.constant("low", low), call.constant("high", high))


def framed(call: Call, layer: nn.ConstantPad1d | nn.ConstantPad2d, x: Value) -> str:
    """Write a border around an image."""
    return border(call, x, layer.padding, float(layer.value))


def border(call: Call, x: Value, ends: Sequence[int], number: float) -> str:
    """Write Pad; torch tells the last axis first, and both ends of an axis together."""
    rank = x.tensor.ndim
    befores, afters = [0] * rank, [0] * rank
    for position in range(len(ends) // 2):
        befores[-1 - position], afters[-1 - position] = ends[2 * position], ends[2 * position + 1]
    return call.node("Pad", x, call.constant("pads", befores + afters), call.constant("value", np.float32(number)))


def activation(operator: str, attributes: Callable[[Any], dict[str, Any]] = lambda _layer: {}) -> Rule:
    """Make the rule for an activation; `attributes` reads the node's attributes off the module."""

    def write(call: Call, layer: Any, x: Value) -> str:
        return call.node(operator, x, **attributes(layer))

    return write


def gelu(call: Call, layer: nn.GELU, x: Value) -> str:
    """Write GELU by Erf, as torch.onnx does: the operator itself is younger than the operator set."""
    if layer.approximate != "none":
        raise TypeError("GELU by tanh")
    scaled = call.helping_node("scaled", "Div", x, call.constant("root", np.float32(2**0.5)))
    erf = call.helping_node("erf", "Erf", scaled)
    raised = call.helping_node("raised", "Add", erf, call.constant("one", np.float32(1)))
    halved = call.helping_node("halved", "Mul", call.constant("half", np.float32(0.5)), raised)
    return call.node("Mul", x, halved)


def passed_on(_call: Call, _layer: Any, x: Value) -> str:
    """Write nothing for what does nothing to an inference."""
    return x.name


def _parameters(call: Call, layer: nn.Conv1d | nn.Conv2d | nn.Linear) -> list[str]:
    weight = call.constant("weight", layer.weight)
    return [weight] if layer.bias is None else [weight, call.constant("bias", layer.bias)]


def _pads(layer: nn.Conv1d | nn.Conv2d) -> list[int]:
    if not isinstance(layer.padding, str):
        return list(layer.padding) * 2
    if layer.padding == "valid":
        return [0] * 2 * len(layer.kernel_size)
    missing = [dilation * (size - 1) for size, dilation in zip(layer.kernel_size, layer.dilation, strict=True)]
    return [m // 2 for m in missing] + [m - m // 2 for m in missing]


def _window(layer: Any, axes: int) -> dict[str, Any]:
    return {
        "kernel_shape": _each(layer.kernel_size, axes),
        "strides": _each(layer.stride, axes),
        "pads": _each(layer.padding, axes) * 2,
        "ceil_mode": int(layer.ceil_mode),
    }


def _each(number: int | Sequence[int], axes: int) -> list[int]:
    return [number] * axes if isinstance(number, int) else list(number)


RULES: dict[type[nn.Module], Rule] = {
    Reshape: reshaped,
    nn.AdaptiveAvgPool1d: global_pool("GlobalAveragePool"),
    nn.AdaptiveAvgPool2d: global_pool("GlobalAveragePool"),
    nn.AdaptiveMaxPool1d: global_pool("GlobalMaxPool"),
    nn.AdaptiveMaxPool2d: global_pool("GlobalMaxPool"),
    nn.AvgPool1d: average_pool,
    nn.AvgPool2d: average_pool,
    nn.BatchNorm1d: batch_normalization,
    nn.BatchNorm2d: batch_normalization,
    nn.ConstantPad1d: framed,
    nn.ConstantPad2d: framed,
    nn.Conv1d: convolution,
    nn.Conv2d: convolution,
    nn.Dropout: passed_on,
    nn.Dropout2d: passed_on,
    nn.ELU: activation("Elu", lambda layer: {"alpha": layer.alpha}),
    nn.Flatten: reshaped,
    nn.GELU: gelu,
    nn.Hardsigmoid: activation("HardSigmoid", lambda _layer: {"alpha": 1 / 6, "beta": 0.5}),
    nn.Hardswish: activation("HardSwish"),
    nn.Hardtanh: clipped,
    nn.Identity: passed_on,
    nn.LayerNorm: layer_normalization,
    nn.LeakyReLU: activation("LeakyRelu", lambda layer: {"alpha": layer.negative_slope}),
    nn.Linear: linear,
    nn.MaxPool1d: max_pool,
    nn.MaxPool2d: max_pool,
    nn.ReLU: activation("Relu"),
    nn.ReLU6: clipped,
    nn.Sigmoid: activation("Sigmoid"),
    nn.Softmax: activation("Softmax", lambda layer: {"axis": layer.dim}),
    nn.Tanh: activation("Tanh"),
    nn.Upsample: _resizing.write,
    nn.ZeroPad2d: framed,
}
