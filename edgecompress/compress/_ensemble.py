"""What several teachers decide together, as the targets of a student."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from edgecompress.compress._distillation import DistillationLoss
from edgecompress.compress._matching import Matching
from edgecompress.compress._teachers import Teachers
from edgecompress.compress.training.samples import TrainingSamples

Combine = Literal["mean", "vote", "stacking"]
ROUNDS = 100
SHRINKAGE = 1e-3
"""Of the stacking's weights towards the mean."""


class EnsembleLoss(DistillationLoss):
    """The loss of distillation from the targets that `combine` makes."""

    def __init__(self, teachers: Teachers, how: Matching, combine: Combine) -> None:
        super().__init__(teachers, how)
        self.combine = combine
        self.needs_labels = self.needs_labels or combine == "stacking"
        self._shares = teachers.weights

    def extra_repr(self) -> str:
        """Say everything that decides how the training ends."""
        return f"{super().extra_repr()} {self.combine}"

    def prepare(self, samples: TrainingSamples, outputs: tuple[Tensor, ...], where: str) -> None:
        """Learn how much each teacher's word counts, where they are stacked."""
        super().prepare(samples, outputs, where)
        if self.combine == "stacking" and samples.labels is not None:
            scores = self.teachers.all_scores(samples)
            self._shares = stacking_weights(scores, samples.labels.to(scores.device))

    def distance(self, student: Tensor, scores: Tensor) -> Tensor:
        """Votes have no temperature: there the student's is 1 too."""
        if self.combine == "vote":
            return functional.cross_entropy(student, votes(scores))
        return super().distance(student, scores)

    def targets(self, scores: Tensor, temperature: float) -> Tensor:
        """Return the probabilities that the ensemble decides on, (n, classes)."""
        if self.combine == "stacking":
            shares = self._shares.to(scores.device)
            return (torch.einsum("t,tnc->nc", shares, scores.log_softmax(dim=2)) / temperature).softmax(dim=1)
        return super().targets(scores, temperature)


def votes(scores: Tensor) -> Tensor:
    """Return the share of the teachers' votes for each class, (n, classes), of scores (teachers, n, classes)."""
    return functional.one_hot(scores.argmax(dim=2), scores.shape[2]).float().mean(dim=0)


def stacking_weights(scores: Tensor, labels: Tensor) -> Tensor:
    """Return a weight for each teacher such that the weighted sum of log probabilities tells the labels best.

    The least cross entropy, by L-BFGS, with weights that are drawn slightly to the mean: the teachers were trained on
    these very samples and are surer of them than they should be.
    """
    logarithms = scores.double().log_softmax(dim=2)
    mean = torch.full((len(scores),), 1 / len(scores), dtype=torch.float64, device=scores.device)
    weights = mean.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([weights], max_iter=ROUNDS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        combined = torch.einsum("t,tnc->nc", weights, logarithms)
        loss = functional.cross_entropy(combined, labels) + SHRINKAGE * (weights - mean).square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach().float()
