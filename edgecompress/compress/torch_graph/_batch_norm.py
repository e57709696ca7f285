"""Batch normalization put back behind convolutions for training, and folded into them again."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from edgecompress.compress.torch_graph._reader import ONNX_NAME, ONNX_OUTPUT
from edgecompress.core.values import Samples

BATCH = 64
NORMS = {nn.Conv1d: nn.BatchNorm1d, nn.Conv2d: nn.BatchNorm2d}
FOLDS_INTO = (nn.Conv1d, nn.Conv2d, nn.Linear)
SUFFIX = "_batch_norm"


def restore_batch_norm(module: fx.GraphModule, samples: Samples) -> fx.GraphModule:
    """Give a copy with a batch normalization behind each convolution that has none.

    Its statistics are those of the samples, scale and offset undo them: outside of training nothing changes at first.
    The convolution's bias moves into the offset.
    """
    restored = copy.deepcopy(module)
    places = [node for node in restored.graph.nodes if _is_bare(restored, node)]
    statistics = _statistics(restored, [str(node.target) for node in places], samples)
    for node in places:
        name = str(node.target)
        restored.add_module(name + SUFFIX, _identity(restored.get_submodule(name), *statistics[name]))
        with restored.graph.inserting_after(node):
            norm = restored.graph.call_module(name + SUFFIX, (node,))
        node.replace_all_uses_with(norm, delete_user_cb=lambda user, norm=norm: user is not norm)
        if ONNX_OUTPUT in node.meta:
            norm.meta[ONNX_OUTPUT] = node.meta.pop(ONNX_OUTPUT)
        norm.meta[ONNX_NAME] = name + SUFFIX
    restored.graph.lint()
    restored.recompile()
    return restored


def fold_batch_norm(module: fx.GraphModule) -> fx.GraphModule:
    """Give a copy in which batch normalizations are part of the convolution or linear layer before them.

    y = gamma * (Wx + b - mean) / sqrt(variance + eps) + beta (Jacob et al. 2018, eq. 14). One whose input others read
    too, or that stands behind something else, stays.
    """
    folded = copy.deepcopy(module)
    for norm in list(folded.graph.nodes):
        found = _foldable(folded, norm)
        if found is None:
            continue
        source, layer, statistics = found
        _fold(layer, statistics)
        norm.replace_all_uses_with(source)
        if ONNX_OUTPUT in norm.meta:
            source.meta[ONNX_OUTPUT] = norm.meta[ONNX_OUTPUT]
        folded.graph.erase_node(norm)
        folded.delete_submodule(str(norm.target))
    folded.graph.lint()
    folded.recompile()
    return folded


def _is_bare(module: fx.GraphModule, node: fx.Node) -> bool:
    if node.op != "call_module" or type(module.get_submodule(str(node.target))) not in NORMS:
        return False
    readers = [user for user in node.users if user.op == "call_module"]
    return not any(isinstance(module.get_submodule(str(user.target)), tuple(NORMS.values())) for user in readers)


def _statistics(module: fx.GraphModule, names: list[str], samples: Samples) -> dict[str, tuple[Tensor, Tensor]]:
    """Measure mean and variance of every channel of the layers' outputs, with float64 sums."""
    sums: dict[str, list[Tensor]] = {}

    def add(name: str, made: Tensor) -> None:
        each = made.double().transpose(0, 1).flatten(1)
        count = torch.tensor(each.shape[1], dtype=torch.float64)
        new = [count, each.sum(1), each.square().sum(1)]
        sums[name] = [a + b for a, b in zip(sums[name], new, strict=True)] if name in sums else new

    def hook(name: str) -> torch.utils.hooks.RemovableHandle:
        return module.get_submodule(name).register_forward_hook(lambda _layer, _given, made: add(name, made))

    hooks = [hook(name) for name in names]
    try:
        with torch.no_grad():
            for batch in _batches(samples):
                module.eval()(*batch)
    finally:
        for registered in hooks:
            registered.remove()
    return {
        name: (total / count, (squares / count - (total / count).square()).clamp_min(0))
        for name, (count, total, squares) in sums.items()
    }


def _batches(samples: Samples) -> Iterator[tuple[Tensor, ...]]:
    for start in range(0, samples.count, BATCH):
        yield tuple(torch.from_numpy(array[start : start + BATCH]) for array in samples.inputs.values())


def _identity(layer: Any, mean: Tensor, variance: Tensor) -> nn.Module:
    """Make the normalization that undoes itself, and take the layer's bias into it."""
    kind = next(norm for convolution, norm in NORMS.items() if isinstance(layer, convolution))
    norm = kind(len(mean))
    bias = layer.bias
    with torch.no_grad():
        norm.get_buffer("running_mean").copy_(mean if bias is None else mean - bias)
        norm.get_buffer("running_var").copy_(variance)
        norm.weight.copy_(torch.sqrt(variance + norm.eps))
        norm.bias.copy_(mean)
    layer.bias = None
    return norm.eval()


def _foldable(module: fx.GraphModule, norm: fx.Node) -> tuple[fx.Node, nn.Module, nn.Module] | None:
    if norm.op != "call_module" or not isinstance(
        module.get_submodule(str(norm.target)), nn.BatchNorm1d | nn.BatchNorm2d
    ):
        return None
    source = norm.args[0]
    if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) != 1:
        return None
    if sum(node.target == source.target for node in module.graph.nodes) != 1:
        return None
    layer = module.get_submodule(str(source.target))
    while isinstance(layer, nn.Sequential) and len(layer):
        layer = layer[-1]
    return (source, layer, module.get_submodule(str(norm.target))) if isinstance(layer, FOLDS_INTO) else None


def _fold(layer: Any, norm: Any) -> None:
    """Fold in float64: where a channel hardly varies, offset and mean cancel."""
    mean, variance = norm.get_buffer("running_mean").double(), norm.get_buffer("running_var").double()
    gain = torch.rsqrt(variance + norm.eps) * (1.0 if norm.weight is None else norm.weight.double())
    bias = (0.0 if layer.bias is None else layer.bias.double()) - mean
    offset = 0.0 if norm.bias is None else norm.bias.double()
    with torch.no_grad():
        weight = layer.weight.double() * gain.reshape([-1] + [1] * (layer.weight.ndim - 1))
        layer.weight = nn.Parameter(weight.to(layer.weight.dtype))
        layer.bias = nn.Parameter((bias * gain + offset).to(layer.weight.dtype))
