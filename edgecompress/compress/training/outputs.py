"""A network's outputs: as a tuple, before a final softmax, and for all samples at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from edgecompress.compress.training.samples import TrainingSamples

SOFTMAXES = (torch.softmax, functional.softmax)
BATCH = 256


def as_tuple(outputs: Tensor | tuple[Tensor, ...] | list[Tensor]) -> tuple[Tensor, ...]:
    """Make one output and several look alike."""
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


@contextlib.contextmanager
def before_softmax(module: nn.Module) -> Iterator[frozenset[int]]:
    """Let the network return, within the block, what a final softmax is computed from; tell of which of its outputs.

    A loss on logarithms of rounded probabilities would have no gradient where the network is sure. Only a network as a
    graph can be changed; another one must return its logits itself.
    """
    if not isinstance(module, fx.GraphModule):
        yield frozenset()
        return
    end = _end(module)
    kept = end.args
    try:
        yield bypass_softmax(module)
    finally:
        end.args = kept
        module.recompile()


def bypass_softmax(module: fx.GraphModule) -> frozenset[int]:
    """Do the same for good, to a network that nobody else uses."""
    end = _end(module)
    made = end.args[0]
    whole = made if isinstance(made, (tuple, list)) else (made,)
    inner = tuple(_softmax_input(module, node) for node in whole)
    replaced = tuple(node if found is None else found for node, found in zip(whole, inner, strict=True))
    end.args = (replaced if isinstance(made, (tuple, list)) else replaced[0],)
    module.recompile()
    return frozenset(i for i, found in enumerate(inner) if found is not None)


def _end(module: fx.GraphModule) -> fx.Node:
    return module.graph.output_node()


def computed(network: nn.Module, samples: TrainingSamples) -> tuple[Tensor, ...]:
    """Return the network's outputs for all samples, on the samples' device, in float32."""
    network.to(samples.device).eval()
    with torch.no_grad():
        parts = [as_tuple(network(*batch.inputs)) for batch in samples.batches(torch.arange(samples.count), BATCH)]
    return tuple(torch.cat(each).float() for each in zip(*parts, strict=True))


def _softmax_input(module: fx.GraphModule, node: object) -> fx.Node | None:
    if not isinstance(node, fx.Node) or not node.args or not isinstance(node.args[0], fx.Node):
        return None
    is_softmax = (
        (node.op == "call_function" and node.target in SOFTMAXES)
        or (node.op == "call_method" and node.target == "softmax")
        or (node.op == "call_module" and isinstance(module.get_submodule(str(node.target)), nn.Softmax))
    )
    return node.args[0] if is_softmax else None
