"""Samples at a teacher's decision boundary, and the loss on them (Heo et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgecompress.compress._distillation import DistillationLoss, soft_distance
from edgecompress.compress._matching import Matching
from edgecompress.compress._teachers import Teachers
from edgecompress.compress.training.outputs import as_tuple
from edgecompress.compress.training.samples import Batch, TrainingSamples

BEYOND = 1e-4
"""How far past the boundary a step aims, in scores."""


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """The weight of the samples at the boundary, and how they are moved there."""

    weight: float
    steps: int
    rate: float


class MarginLoss(DistillationLoss):
    """The loss of distillation, and the same distance on samples at the boundary while it trains.

    The paper lowers their weight during the training; here it stays.
    """

    def __init__(self, teachers: Teachers, how: Matching, student: nn.Module, boundary: Boundary) -> None:
        super().__init__(teachers, how)
        self.boundary = boundary
        # In a tuple the student is no part of the loss: it is trained and saved as what it is.
        self._student = (student,)
        self._ranges: list[tuple[Tensor, Tensor]] = []

    def extra_repr(self) -> str:
        """Say everything that decides how the training ends."""
        return f"{super().extra_repr()} {self.boundary}"

    def prepare(self, samples: TrainingSamples, outputs: tuple[Tensor, ...], where: str) -> None:
        """Learn the range of the inputs too: no sample leaves it."""
        super().prepare(samples, outputs, where)
        self._ranges = [(each.min(), each.max()) for each in samples.inputs]

    def forward(self, outputs: tuple[Tensor, ...], batch: Batch) -> Tensor:
        """Return the weighted sum; on held-out samples, where nothing has a gradient, without the boundary."""
        loss = super().forward(outputs, batch)
        if not torch.is_grad_enabled():
            return loss
        scores = self.scores(batch)[0]
        chosen = _told_right(scores, batch)
        if not chosen.any():
            return loss
        target = other_classes(scores[chosen])
        inputs = tuple(each[chosen] for each in batch.inputs)
        moved = to_boundary(self.teachers.first, inputs, target, self._ranges, self.boundary)
        found = as_tuple(self._student[0](*moved))[0].float()
        wanted = self.targets(self.teachers(*moved), self.how.temperature)
        return loss + self.boundary.weight * soft_distance(found, wanted, self.how.temperature)


def other_classes(scores: Tensor) -> Tensor:
    """Draw a class other than the teacher's for each sample, by the teacher's own probabilities."""
    probabilities = scores.softmax(dim=1)
    others = probabilities.scatter(1, scores.argmax(dim=1, keepdim=True), 0.0)
    # A teacher that is quite sure leaves nothing to draw from.
    others = others + torch.finfo(others.dtype).tiny
    return torch.multinomial(others.scatter(1, scores.argmax(dim=1, keepdim=True), 0.0), 1).squeeze(1)


def to_boundary(
    teacher: nn.Module,
    inputs: tuple[Tensor, ...],
    target: Tensor,
    ranges: list[tuple[Tensor, Tensor]],
    boundary: Boundary,
) -> tuple[Tensor, ...]:
    """Move each sample until the teacher no longer tells its first class, towards the class `target`.

    x <- x - rate (f_b(x) - f_k(x) + margin) / |g|² g, with the gradient g of f_b - f_k: a share of a step of Newton's
    method on the difference of two scores.
    """
    first: Tensor | None = None
    moving = inputs
    for _ in range(boundary.steps):
        moving = tuple(each.detach().requires_grad_() for each in moving)
        with torch.enable_grad():
            scores = as_tuple(teacher(*moving))[0].float()
            first = scores.argmax(dim=1) if first is None else first
            gap = (scores.gather(1, first[:, None]) - scores.gather(1, target[:, None])).squeeze(1)
            gradients = torch.autograd.grad(gap.sum(), moving)
        on_this_side = scores.argmax(dim=1) == first
        if not on_this_side.any():
            break
        squares = torch.stack([each.flatten(1).square().sum(dim=1) for each in gradients]).sum(dim=0)
        length = boundary.rate * (gap.detach() + BEYOND) / squares.clamp_min(torch.finfo(squares.dtype).tiny)
        length = length * on_this_side
        moving = tuple(
            (each - length.reshape(-1, *[1] * (each.ndim - 1)) * gradient).clamp(*(bound.to(each) for bound in bounds))
            for each, gradient, bounds in zip(moving, gradients, ranges, strict=True)
        )
    return tuple(each.detach() for each in moving)


def _told_right(scores: Tensor, batch: Batch) -> Tensor:
    """Choose the samples that the teacher tells right; all of them where there are no labels, or those are mixed."""
    if batch.labels is None or batch.labels.ndim > 1:
        return torch.ones(len(scores), dtype=torch.bool, device=scores.device)
    return torch.eq(scores.argmax(dim=1), batch.labels)
