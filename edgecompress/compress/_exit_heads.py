"""Exits of a network in torch: the heads that are put behind layers, and the loss of all of them together."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from edgecompress.compress._exit_places import Place
from edgecompress.compress.torch_graph._reader import ONNX_OUTPUT
from edgecompress.compress.training.losses import Loss, check_classes, frozen
from edgecompress.compress.training.outputs import before_softmax, computed
from edgecompress.compress.training.samples import Batch, TrainingSamples
from edgecompress.core.errors import ConfigError

POOLS = {3: nn.AvgPool1d, 4: nn.AvgPool2d}


def attach(module: fx.GraphModule, places: Sequence[Place], classes: int, grid: int, where: str) -> None:
    """Let the module return, behind its own output, the logits of an exit at every place, in place.

    Raises ConfigError, beginning with `where`, for a place whose image is smaller than the grid.
    """
    end = module.graph.output_node()
    whole = end.args[0]
    logits = []
    for number, place in enumerate(places, start=1):
        node = next(node for node in module.graph.nodes if node.meta.get(ONNX_OUTPUT) == place.value)
        name = f"exit_{number}"
        module.add_module(name, _head(place, classes, grid, where))
        with module.graph.inserting_after(node):
            logits.append(module.graph.call_module(name, (node,)))
    end.args = ((whole, *logits),)
    module.graph.lint()
    module.recompile()


def _head(place: Place, classes: int, grid: int, where: str) -> nn.Module:
    """Average over the regions of a grid, then one fully connected layer; that alone where there is no image."""
    channels, *image = place.shape[1:]
    if not image:
        return nn.Sequential(OrderedDict(scores=nn.Linear(channels, classes)))
    if min(image) < grid:
        size = "x".join(map(str, image))
        raise ConfigError(
            f"{where}: grid = {grid}, and behind {place.layers[0]!r} the image has {size} pixels",
            hint="choose a smaller grid",
        )
    window = tuple(extent // grid for extent in image)
    regions = [extent // side for extent, side in zip(image, window, strict=True)]
    parts = OrderedDict(
        pool=POOLS[len(place.shape)](window),
        flat=nn.Flatten(),
        scores=nn.Linear(channels * int(torch.tensor(regions).prod()), classes),
    )
    return nn.Sequential(parts)


class ExitLoss(Loss):
    """The weighted mean of the cross entropies of the network's own output and of every exit.

    BranchyNet (Teerapittayanon et al. 2016), eq. 2. The targets are the labels, or, with a `reference`, the
    probabilities that it gives.
    """

    def __init__(self, weights: Sequence[float], reference: nn.Module | None) -> None:
        super().__init__()
        self.reference = frozen(reference) if reference is not None else None
        self.weights = tuple(weights)
        self.needs_labels = reference is None
        self._wanted: Tensor | None = None

    def extra_repr(self) -> str:
        """Say everything that decides how the training ends."""
        return f"weights={self.weights}"

    def prepare(self, samples: TrainingSamples, outputs: tuple[Tensor, ...], where: str) -> None:
        """Check the labels, or compute what the reference computes for all samples."""
        if self.reference is None:
            check_classes(samples, outputs, where)
            return
        with before_softmax(self.reference):
            self._wanted = computed(self.reference, samples)[0].softmax(dim=1)

    def forward(self, outputs: tuple[Tensor, ...], batch: Batch) -> Tensor:
        """Return the weighted mean over the outputs, in nats."""
        targets = batch.labels if self._wanted is None else self._wanted[batch.indices]
        if targets is None:
            raise ValueError("a batch has no labels")
        losses = [
            weight * functional.cross_entropy(output.float(), targets)
            for weight, output in zip(self.weights, outputs, strict=True)
        ]
        return torch.stack(losses).sum() / sum(self.weights)
