"""What a training makes small."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgecompress.compress.training.outputs import as_tuple, before_softmax, computed
from edgecompress.compress.training.samples import Batch, TrainingSamples
from edgecompress.core.errors import ConfigError


class Loss(nn.Module):
    """A loss of a method. Its own parameters, if it has any, are trained with the network's and then forgotten.

    Networks that it holds (a teacher) are `frozen` submodules: what it is made of decides whether a checkpoint belongs
    to it. All of it stays in evaluation mode.
    """

    needs_labels: bool = False

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode."""
        del mode
        return super().train(False)

    def prepare(self, samples: TrainingSamples, outputs: tuple[Tensor, ...], where: str) -> None:
        """Get ready, once, before the first batch: `outputs` are the network's for a few samples.

        Raises ConfigError, beginning with `where`, when the loss does not fit the network or the samples.
        """

    def vary(self, batch: Batch) -> Batch:
        """Return what the network is to see instead of a batch that trains; held-out ones stay as they are."""
        return batch

    def forward(self, outputs: tuple[Tensor, ...], batch: Batch) -> Tensor:
        """Return a scalar. Where the network ends in a softmax, `outputs` are what it is computed from."""
        raise NotImplementedError


def frozen(network: nn.Module) -> nn.Module:
    """Return the network such that nothing trains it."""
    return network.requires_grad_(False).eval()


class LabelsLoss(Loss):
    """The cross entropy of the first output, (n, classes), and the labels."""

    needs_labels = True

    def prepare(self, samples: TrainingSamples, outputs: tuple[Tensor, ...], where: str) -> None:
        """Check that the network tells as many classes apart as there are labels."""
        check_classes(samples, outputs, where)

    def forward(self, outputs: tuple[Tensor, ...], batch: Batch) -> Tensor:
        """Return the mean over the batch, in nats."""
        if batch.labels is None:
            raise ValueError("a batch has no labels")
        return functional.cross_entropy(outputs[0].float(), batch.labels)


class FidelityLoss(Loss):
    """The squared distance of the outputs from those of a reference network, over the variance of these.

    That is the inverse of the signal-to-noise ratio; on logits it is the loss of Ba and Caruana 2014, eq. 1. A softmax
    does not see a constant that is added to all its inputs, nor does this loss.
    """

    def __init__(self, reference: nn.Module) -> None:
        super().__init__()
        self.reference = frozen(reference)
        self._wanted: tuple[Tensor, ...] = ()
        self._centred: frozenset[int] = frozenset()

    def prepare(self, samples: TrainingSamples, outputs: tuple[Tensor, ...], where: str) -> None:
        """Compute what the reference computes for all samples."""
        del outputs, where
        with before_softmax(self.reference) as self._centred:
            wanted = computed(self.reference, samples)
        self._wanted = tuple(self._shifted(values, i) for i, values in enumerate(wanted))

    def forward(self, outputs: tuple[Tensor, ...], batch: Batch) -> Tensor:
        """Return the mean over the outputs."""
        distances = [
            (self._shifted(output.float(), i) - wanted[batch.indices]).square().mean() / variance(wanted)
            for i, (output, wanted) in enumerate(zip(outputs, self._wanted, strict=True))
        ]
        return torch.stack(distances).mean()

    def _shifted(self, values: Tensor, output: int) -> Tensor:
        return values - values.mean(dim=-1, keepdim=True) if output in self._centred else values


def variance(values: Tensor) -> Tensor:
    """The variance of all numbers, and never 0."""
    return values.var().clamp_min(torch.finfo(values.dtype).tiny)


def check_classes(samples: TrainingSamples, outputs: tuple[Tensor, ...], where: str) -> None:
    """Raise ConfigError when the first output is none of a classifier, or has too few classes for the labels."""
    output = as_tuple(outputs)[0]
    if output.ndim != 2:
        shape = "(" + ", ".join(["n", *(str(dim) for dim in output.shape[1:])]) + ")"
        raise ConfigError(
            f"{where}: labels train a classifier with an output of the shape (n, classes); this one has {shape}",
            hint='loss = "fidelity" trains any network, without labels',
        )
    if samples.labels is None:
        return
    lowest, highest = int(samples.labels.min()), int(samples.labels.max())
    if lowest < 0 or highest >= output.shape[1]:
        raise ConfigError(
            f"{where}: the labels go from {lowest} to {highest}; the network tells {output.shape[1]} classes apart",
            hint="number the classes from 0, in the order of the network's output",
        )
