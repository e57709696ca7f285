"""Low rank by what a layer computes: the principal components of its outputs on the samples, not of its weights.

With the mean m and the first r principal axes U of the outputs y, y is nearly m + U U^T (y - m). U^T goes into the
layer, which then has r outputs, and a 1x1 layer with the weights U brings them back (Zhang et al. 2016, "Accelerating
Very Deep Convolutional Networks for Classification and Detection", section 3.1). Directions that the weights could
compute but the data never asks for cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from edgecompress.compress import _chains, _ranks
from edgecompress.compress._low_rank import LowRankOptions, Place, factorise
from edgecompress.core import toml_file
from edgecompress.core.values import Context, Model, Option

if TYPE_CHECKING:
    from torch import Tensor, nn

TAKES = "fully connected layers and dense convolutions"


class Options(LowRankOptions):
    """The options of the step in a recipe: those of every low-rank step and of a training."""


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Replace dense layers of a float network by one with fewer outputs and a 1x1 layer behind it.

    Raises what `_low_rank.factorise` does, and ConfigError for wrong options.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)

    def decompose(layer: nn.Module, inputs: Tensor) -> ActivationDecomposition | None:
        from torch import nn

        is_dense = isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
        return ActivationDecomposition(layer, inputs) if is_dense else None

    return factorise(model, chosen, context, decompose, method="activation_pca", takes=TAKES)


class ActivationDecomposition:
    """A layer, the mean of its outputs, and their principal axes with the standard deviations along them."""

    def __init__(self, layer: nn.Module, inputs: Tensor) -> None:
        import torch
        from torch import nn

        self.layer = layer
        self.weights = _chains.weights_of(layer)
        with torch.no_grad():
            seen = layer(inputs)
        if isinstance(layer, nn.Conv2d):
            seen = seen.movedim(1, -1)
        outputs = seen.reshape(-1, seen.shape[-1]).numpy().astype(np.float64)
        self.mean = outputs.mean(axis=0)
        self.centred = outputs - self.mean
        variances, axes = np.linalg.eigh(self.centred.T @ self.centred / len(outputs))
        self.deviations = np.sqrt(np.maximum(variances[::-1], 0))
        self.axes = axes[:, ::-1]

    @property
    def largest(self) -> tuple[int, ...]:
        """All outputs."""
        return (len(self.mean),)

    def ranks(self, energy: float) -> tuple[int, ...]:
        """The least number of components that keep this share of the outputs' variance."""
        return (_ranks.by_energy(self.deviations, energy),)

    def bayes_ranks(self) -> tuple[int, ...]:
        """The rank of the outputs by variational Bayes."""
        return (_ranks.by_variational_bayes(self.centred),)

    def macs(self, ranks: tuple[int, ...], place: Place) -> int:
        """Both layers; the first one takes a stride."""
        outputs = len(self.mean)
        return ranks[0] * (self.weights.size // outputs + outputs) * place.outputs

    def chain(self, ranks: tuple[int, ...]) -> nn.Module:
        """Build the two layers; the bias of the second holds what the first one's and the mean make together."""
        import torch
        from torch import nn

        rank, layer, outputs = ranks[0], self.layer, len(self.mean)
        axes = self.axes[:, :rank]
        first = axes.T @ self.weights.reshape(outputs, -1)
        given = layer.bias
        bias = np.zeros(outputs) if not isinstance(given, torch.Tensor) else given.detach().numpy().astype(np.float64)
        rest = torch.from_numpy((self.mean - axes @ (axes.T @ (self.mean - bias))).astype(np.float32))
        layers: tuple[nn.Module, ...]
        if isinstance(layer, nn.Conv2d):
            layers = (_chains.windowed(layer, layer.in_channels, rank), _chains.pointwise(rank, outputs, bias=True))
        else:
            layers = (nn.Linear(first.shape[1], rank, bias=False), nn.Linear(rank, outputs))
        return _chains.filled(layers, (first, axes), rest)
