"""The samples of a training as torch tensors, and the share of them that is held out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgecompress.core.errors import ConfigError
from edgecompress.core.values import Context, Samples

FEWEST = 2
"""A batch norm needs two samples a batch."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples that the network saw together.

    `inputs` in the order of the network's inputs, `labels` (n,) or None; `indices` (n,) are the samples' places among
    all that `Loss.prepare` saw. `varied`: a loss made the inputs anew, and perhaps labels of shares of each class
    (n, classes); they belong to no place any more.
    """

    inputs: tuple[Tensor, ...]
    labels: Tensor | None
    indices: Tensor
    varied: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainingSamples:
    """All samples that train or are held out, in the memory of the CPU, and on which device batches are wanted."""

    inputs: tuple[Tensor, ...]
    labels: Tensor | None
    device: torch.device

    @property
    def count(self) -> int:
        """How many samples there are."""
        return len(self.inputs[0])

    def batch(self, indices: Tensor) -> Batch:
        """Pick samples."""
        return Batch(
            inputs=tuple(tensor[indices].to(self.device) for tensor in self.inputs),
            labels=None if self.labels is None else self.labels[indices].to(self.device),
            indices=indices.to(self.device),
        )

    def batches(self, indices: Tensor, size: int) -> Iterator[Batch]:
        """Pick samples in order, `size` at a time."""
        for part in torch.split(indices, size):
            yield self.batch(part)


def read(context: Context, name: str, device: torch.device) -> TrainingSamples:
    """Take the samples that train: those that the recipe keeps for it, else those that calibrate.

    Raises ConfigError when there are none, or too few.
    """
    if context.data is None:
        raise ConfigError(f"{context.where}: training {name} needs samples", hint="add a [data] table to the recipe")
    samples: Samples = context.data.training or context.data.calibration
    if samples.count < FEWEST:
        raise ConfigError(
            f"{context.where}: training {name} needs at least {FEWEST} samples; there is {samples.count}",
            hint="raise training_share or the calibration count of the recipe's [data]",
        )
    return TrainingSamples(
        inputs=tuple(torch.from_numpy(np.require(array, requirements="W")) for array in samples.inputs.values()),
        labels=None if samples.labels is None else torch.from_numpy(np.require(samples.labels, requirements="W")),
        device=device,
    )


def hold_out(samples: TrainingSamples, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the places of the samples that train and of those that are held out, drawn evenly over the classes."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(samples.count, generator=generator)
    if samples.labels is not None:
        order = order[torch.argsort(samples.labels[order], stable=True)]
    held = round(share * samples.count)
    if not held:
        return order, order[:0]
    chosen = torch.zeros(samples.count, dtype=torch.bool)
    # Every n-th sample of the classes laid end to end.
    chosen[(torch.arange(held) * samples.count) // held] = True
    return order[~chosen], order[chosen]
