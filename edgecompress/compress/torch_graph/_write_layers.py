"""Modules of torch.nn -> ONNX nodes. A rule writes what a module computes of one tensor and returns the result's name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgecompress.compress.torch_graph._modules import Reshape
from edgecompress.compress.torch_graph._writer import Value, Writer

Rule = Callable[[Writer, Any, Value, Tensor, str, str], str]
"""(writer, module, input, what torch computes of it, name of the node, wanted name of the output) -> output's name."""


def convolution(writer: Writer, layer: nn.Conv1d | nn.Conv2d, x: Value, made: Tensor, name: str, output: str) -> str:
    """Write a convolution with its weights."""
    if layer.padding_mode != "zeros":
        raise TypeError(f"a convolution with the padding mode {layer.padding_mode!r}")
    inputs = [x, writer.constant(layer.weight, f"{name}_weight")]
    if layer.bias is not None:
        inputs.append(writer.constant(layer.bias, f"{name}_bias"))
    return writer.add(
        "Conv",
        inputs,
        name,
        output,
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.stride),
        dilations=list(layer.dilation),
        pads=_pads(layer),
        group=layer.groups,
    )


def linear(writer: Writer, layer: nn.Linear, x: Value, made: Tensor, name: str, output: str) -> str:
    """Write a linear layer: Gemm on rows, also for tensors of more axes, so that a bias stays part of it."""
    if x.tensor.ndim == 2:
        return _gemm(writer, layer, x, name, output)
    rows = writer.constant([-1, layer.in_features], f"{name}_rows")
    flat = writer.add("Reshape", [x, rows], f"{name}_flat")
    product = _gemm(writer, layer, flat, name, f"{name}_product")
    shape = writer.constant(list(made.shape), f"{name}_shape")
    return writer.add("Reshape", [product, shape], f"{name}_unflat", output)


def _gemm(writer: Writer, layer: nn.Linear, x: Value | str, name: str, output: str) -> str:
    inputs = [x, writer.constant(layer.weight, f"{name}_weight")]
    if layer.bias is not None:
        inputs.append(writer.constant(layer.bias, f"{name}_bias"))
    return writer.add("Gemm", inputs, name, output, transB=1)


def batch_normalization(writer: Writer, layer: Any, x: Value, made: Tensor, name: str, output: str) -> str:
    """Write a batch normalization that no convolution could take in."""
    ones = torch.ones(layer.num_features)
    parts = {
        "scale": ones if layer.weight is None else layer.weight,
        "offset": 0 * ones if layer.bias is None else layer.bias,
        "mean": layer.running_mean,
        "variance": layer.running_var,
    }
    inputs = [x, *(writer.constant(part, f"{name}_{key}") for key, part in parts.items())]
    return writer.add("BatchNormalization", inputs, name, output, epsilon=layer.eps)


def layer_normalization(writer: Writer, layer: nn.LayerNorm, x: Value, made: Tensor, name: str, output: str) -> str:
    """Write a normalization over the last axes."""
    weight = torch.ones(layer.normalized_shape) if layer.weight is None else layer.weight
    inputs = [x, writer.constant(weight, f"{name}_weight")]
    if layer.bias is not None:
        inputs.append(writer.constant(layer.bias, f"{name}_bias"))
    axis = -len(layer.normalized_shape)
    return writer.add("LayerNormalization", inputs, name, output, axis=axis, epsilon=layer.eps)


def max_pool(writer: Writer, layer: Any, x: Value, made: Tensor, name: str, output: str) -> str:
    """Write a maximum over a window."""
    axes = x.tensor.ndim - 2
    return writer.add("MaxPool", [x], name, output, dilations=_each(layer.dilation, axes), **_window(layer, axes))


def average_pool(writer: Writer, layer: Any, x: Value, made: Tensor, name: str, output: str) -> str:
    """Write a mean over a window."""
    return writer.add(
        "AveragePool",
        [x],
        name,
        output,
        count_include_pad=int(layer.count_include_pad),
        **_window(layer, x.tensor.ndim - 2),
    )


def global_pool(operator: str) -> Rule:
    """Make the rule for a pool over all of an image."""

    def write(writer: Writer, layer: Any, x: Value, made: Tensor, name: str, output: str) -> str:
        if any(size != 1 for size in made.shape[2:]):
            raise TypeError(f"an adaptive pool to {tuple(made.shape[2:])}")
        return writer.add(operator, [x], name, output)

    return write


def reshaped(writer: Writer, layer: nn.Module, x: Value, made: Tensor, name: str, output: str) -> str:
    """Write another shape of the same numbers."""
    shape = writer.constant(list(made.shape), f"{name}_shape")
    return writer.add("Reshape", [x, shape], name, output)


def clipped(writer: Writer, layer: nn.Hardtanh, x: Value, made: Tensor, name: str, output: str) -> str:
    """Write bounds."""
    low, high = (
        writer.constant(np.float32(bound), f"{name}_{what}")
        for what, bound in (("low", layer.min_val), ("high", layer.max_val))
    )
    return writer.add("Clip", [x, low, high], name, output)


def zero_border(writer: Writer, layer: Any, x: Value, made: Tensor, name: str, output: str) -> str:
    """Write a border around an image."""
    return bordered(writer, x, list(layer.padding), float(layer.value), name, output)


def bordered(writer: Writer, x: Value, ends: Sequence[int], number: float, name: str, output: str) -> str:
    """Write Pad; torch tells the last axis first, and both ends of an axis together."""
    rank = x.tensor.ndim
    befores, afters = [0] * rank, [0] * rank
    for position in range(len(ends) // 2):
        befores[-1 - position], afters[-1 - position] = ends[2 * position], ends[2 * position + 1]
    pads = writer.constant(befores + afters, f"{name}_pads")
    return writer.add("Pad", [x, pads, writer.constant(np.float32(number), f"{name}_value")], name, output)


def of_one(operator: str, attributes: Callable[[Any], dict[str, Any]] = lambda layer: {}) -> Rule:
    """Make the rule for an activation; `attributes` reads the node's attributes off the module."""

    def write(writer: Writer, layer: Any, x: Value, made: Tensor, name: str, output: str) -> str:
        return writer.add(operator, [x], name, output, **attributes(layer))

    return write


def gelu(writer: Writer, layer: nn.GELU, x: Value, made: Tensor, name: str, output: str) -> str:
    """Write GELU by Erf, as torch.onnx does: the operator itself is younger than the operator set."""
    if layer.approximate != "none":
        raise TypeError("GELU by tanh")
    root, one, half = (
        writer.constant(np.float32(number), f"{name}_{key}")
        for key, number in (("root", 2**0.5), ("one", 1.0), ("half", 0.5))
    )
    scaled = writer.add("Div", [x, root], f"{name}_scaled")
    erf = writer.add("Erf", [scaled], f"{name}_erf")
    raised = writer.add("Add", [erf, one], f"{name}_raised")
    halved = writer.add("Mul", [half, raised], f"{name}_halved")
    return writer.add("Mul", [x, halved], name, output)


def passed_on(writer: Writer, layer: nn.Module, x: Value, made: Tensor, name: str, output: str) -> str:
    """Write nothing for what does nothing to an inference."""
    return x.name


def _pads(layer: Any) -> list[int]:
    if isinstance(layer.padding, str):
        if layer.padding == "valid":
            return [0] * 2 * len(layer.kernel_size)
        missing = [dilation * (size - 1) for size, dilation in zip(layer.kernel_size, layer.dilation, strict=True)]
        return [m // 2 for m in missing] + [m - m // 2 for m in missing]
    return list(layer.padding) * 2


def _window(layer: Any, axes: int) -> dict[str, Any]:
    return {
        "kernel_shape": _each(layer.kernel_size, axes),
        "strides": _each(layer.stride if layer.stride is not None else layer.kernel_size, axes),
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
    nn.ConstantPad1d: zero_border,
    nn.ConstantPad2d: zero_border,
    nn.Conv1d: convolution,
    nn.Conv2d: convolution,
    nn.Dropout: passed_on,
    nn.Dropout2d: passed_on,
    nn.ELU: of_one("Elu", lambda layer: {"alpha": layer.alpha}),
    nn.Flatten: reshaped,
    nn.GELU: gelu,
    nn.Hardsigmoid: of_one("HardSigmoid", lambda layer: {"alpha": 1 / 6, "beta": 0.5}),
    nn.Hardswish: of_one("HardSwish"),
    nn.Hardtanh: clipped,
    nn.Identity: passed_on,
    nn.LayerNorm: layer_normalization,
    nn.LeakyReLU: of_one("LeakyRelu", lambda layer: {"alpha": layer.negative_slope}),
    nn.Linear: linear,
    nn.MaxPool1d: max_pool,
    nn.MaxPool2d: max_pool,
    nn.ReLU: of_one("Relu"),
    nn.ReLU6: clipped,
    nn.Sigmoid: of_one("Sigmoid"),
    nn.Softmax: of_one("Softmax", lambda layer: {"axis": layer.dim}),
    nn.Tanh: of_one("Tanh"),
    nn.ZeroPad2d: zero_border,
}
