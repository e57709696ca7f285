"""Taking channels out of a torch network, whole dependency groups at a time, until it computes as little as wanted.

A channel of one layer is the input of others, and a residual ties channels of several layers together; torch-pruning
finds these groups (Fang et al. 2023, "DepGraph"). Counts of channels are rounded to a multiple, so the share of
channels says little about the work that is left: it is searched for, with the multiply-accumulates counted each time.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch_pruning
from torch import Tensor, fx, nn

from edgecompress.core.errors import ConfigError, ModelError

Criterion = Literal["l1", "l2", "taylor", "batch_norm", "fpgm"]
Scope = Literal["local", "global"]
WEIGHTED = (nn.modules.conv._ConvNd, nn.Linear)
SEARCH_STEPS = 10
TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """How channels are chosen. `multiple` is what channel counts are rounded to; `kept` layers keep their outputs."""

    criterion: Criterion
    scope: Scope
    multiple: int
    kept: frozenset[str]


def prune_to(module: fx.GraphModule, example: tuple[Tensor, ...], macs: float, how: Pruning) -> fx.GraphModule:
    """Return a copy with the fewest channels gone such that it takes at most `macs` multiply-accumulates.

    First the least share of channels is searched for that is enough; then groups that rounding made smaller than they
    need be get their channels back, the most important first. `criterion = "taylor"` reads the gradients that the
    parameters hold. Raises ConfigError when no share of channels is enough, ModelError when the network's channels
    cannot be told apart.
    """
    importances = [group.importance for group in _grouped(_copied(module), example, how)[1]]

    def pruned(counts: list[int]) -> tuple[fx.GraphModule, int]:
        smaller = _pruned(module, example, counts, how)
        with _explained():
            return smaller, multiplications(smaller, example)

    more, less = _counts(importances, 0.0, how), _counts(importances, 1.0, how)
    best, least = pruned(less)
    if least > macs:
        raise ConfigError(
            f"{macs:,.0f} multiply-accumulates cannot be reached: {least:,} are left when every group keeps its last "
            f"{how.multiple} channels",
            hint="ask for a smaller ratio, keep fewer layers, or choose a smaller multiple",
        )
    low, high = 0.0, 1.0
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        counts = _counts(importances, middle, how)
        candidate, found = pruned(counts)
        if found <= macs:
            best, less, high = candidate, counts, middle
        else:
            more, low = counts, middle
    for place in sorted(range(len(less)), key=lambda place: -float(importances[place].mean())):
        if more[place] > less[place]:
            counts = [*less[:place], more[place], *less[place + 1 :]]
            candidate, found = pruned(counts)
            if found <= macs:
                best, less = candidate, counts
    return best


def narrowed(module: fx.GraphModule, example: tuple[Tensor, ...], share: float, how: Pruning) -> fx.GraphModule:
    """Return a copy whose groups keep `share` of their channels, the most important ones."""
    importances = [group.importance for group in _grouped(_copied(module), example, how)[1]]
    return _pruned(module, example, _counts(importances, 1 - share, how), how)


def multiplications(module: nn.Module, example: tuple[Tensor, ...]) -> int:
    """Count the multiply-accumulates of convolutions and fully connected layers for one sample."""
    counted: list[int] = []

    def count(layer: nn.Module, inputs: Any, output: Tensor) -> None:
        del inputs
        weights: Tensor = layer.weight  # type: ignore[assignment]
        outputs = layer.out_channels if isinstance(layer, nn.modules.conv._ConvNd) else weights.shape[0]
        counted.append(output.numel() // len(output) * weights.numel() // int(outputs))

    hooks = [layer.register_forward_hook(count) for layer in module.modules() if isinstance(layer, WEIGHTED)]
    try:
        with torch.no_grad():
            module(*example)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(counted)


def channels(module: nn.Module) -> dict[str, int]:
    """Count the output channels of every layer with weights, by name."""
    return {name: int(layer.weight.shape[0]) for name, layer in module.named_modules() if isinstance(layer, WEIGHTED)}


def fixed_layers(module: fx.GraphModule) -> frozenset[str]:
    """Name the layers whose channels must stay, for they are those of an input or an output of the network."""
    outputs = [node for node in module.graph.nodes if node.op == "output"]
    return _makers(outputs, dict(module.named_modules())) | _input_layers(module)


def _input_layers(module: fx.GraphModule) -> frozenset[str]:
    """Name the depthwise convolutions that read an input, and the layers whose outputs are added to one."""
    layers = dict(module.named_modules())
    tied: set[fx.Node] = set()
    beside: list[fx.Node] = []
    for node in module.graph.nodes:
        layer = layers.get(str(node.target)) if node.op == "call_module" else None
        reads_tied = not tied.isdisjoint(node.all_input_nodes)
        if node.op == "placeholder" or (reads_tied and not _mixes_channels(layer)):
            tied.add(node)
            beside += [node, *(each for each in node.all_input_nodes if each not in tied)]
    return _makers(beside, layers)


def _mixes_channels(layer: nn.Module | None) -> bool:
    """Whether outputs of a layer are channels of their own."""
    return isinstance(layer, WEIGHTED) and getattr(layer, "groups", 1) == 1


def _makers(waiting: list[fx.Node], layers: Mapping[str, nn.Module]) -> frozenset[str]:
    """Name the layers with weights that are these nodes, or that they get their channels from."""
    found: set[str] = set()
    seen = set(waiting)
    waiting = [*waiting]
    while waiting:
        node = waiting.pop()
        if node.op == "call_module" and isinstance(layers[str(node.target)], WEIGHTED):
            found.add(str(node.target))
            continue
        fresh = [each for each in node.all_input_nodes if each not in seen]
        waiting += fresh
        seen.update(fresh)
    return frozenset(found)


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Channels that go together, named by the layer that makes them: how important each is."""

    layer: nn.Module
    prune: Any
    importance: Tensor


def _pruned(module: fx.GraphModule, example: tuple[Tensor, ...], counts: list[int], how: Pruning) -> fx.GraphModule:
    """Return a copy whose groups keep so many of their channels, the most important ones."""
    smaller = _copied(module)
    graph, groups = _grouped(smaller, example, how)
    with _explained():
        for group, count in zip(groups, counts, strict=True):
            gone = group.importance.argsort(stable=True)[: len(group.importance) - count].tolist()
            if gone:
                graph.get_pruning_group(group.layer, group.prune, gone).prune()
    return smaller


def _grouped(module: fx.GraphModule, example: tuple[Tensor, ...], how: Pruning) -> tuple[Any, list[_Group]]:
    """Find the groups of channels that may go, always in the same order."""
    layers = dict(module.named_modules())
    kept = [layers[name] for name in sorted(how.kept)]
    importance = _importance(how.criterion)
    found = []
    with _explained(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = torch_pruning.DependencyGraph().build_dependency(module, example_inputs=example)
        for group in graph.get_all_groups(ignored_layers=kept, root_module_types=list(WEIGHTED)):
            makers = (each.dep for each in group if graph.is_out_channel_pruning_fn(each.dep.handler))
            if any(maker.target.module in kept for maker in makers):
                continue
            measured = importance(group)
            if measured is not None and measured.isfinite().all():
                root = group[0].dep
                found.append(_Group(layer=root.target.module, prune=root.handler, importance=measured.detach()))
    return graph, found


def _counts(importances: list[Tensor], share: float, how: Pruning) -> list[int]:
    """How many channels each group keeps when `share` of them go: a multiple, and at least one of it."""
    if how.scope == "local":
        wanted = [share * len(importance) for importance in importances]
    else:
        relative = [importance / importance.mean().clamp_min(TINY) for importance in importances]
        every = torch.cat(relative).sort().values
        threshold = every[min(int(share * len(every)), len(every) - 1)]
        wanted = [float((importance < threshold).sum()) for importance in relative]
    return [_rounded(len(each), gone, how.multiple) for each, gone in zip(importances, wanted, strict=True)]


def _rounded(count: int, gone: float, multiple: int) -> int:
    left = math.floor((count - gone) / multiple) * multiple if gone > 0 else count
    return min(count, max(multiple, left))


def _copied(module: fx.GraphModule) -> fx.GraphModule:
    """Copy a module with its gradients, which `deepcopy` leaves behind."""
    twin = copy.deepcopy(module)
    for mine, its in zip(module.parameters(), twin.parameters(), strict=True):
        its.grad = None if mine.grad is None else mine.grad.clone()
    return twin


def _importance(criterion: Criterion) -> Any:
    importance = torch_pruning.importance
    if criterion == "taylor":
        return importance.GroupTaylorImportance()
    if criterion == "batch_norm":
        return importance.BNScaleImportance()
    if criterion == "fpgm":
        return importance.FPGMImportance()
    return importance.GroupMagnitudeImportance(p=1 if criterion == "l1" else 2)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        text = " ".join(str(error).split())[:200]
        raise ModelError(
            f"the network's channels cannot be grouped: {type(error).__name__}: {text}",
            hint="name the layers that are in the way in `keep`, or prune with prune_weights",
        ) from error


def share_after(done: int, rounds: int, progression: Literal["linear", "cubic"]) -> float:
    """The part of the whole way that is gone after so many of `rounds`; cubic: Zhu and Gupta 2017, eq. 1."""
    part = done / rounds
    return part if progression == "linear" else 1 - math.pow(1 - part, 3)
