"""The losses of distillation: what a student is to have in common with its teachers."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional

from edgecompress.compress._features import FeatureLoss
from edgecompress.compress._matching import Matching
from edgecompress.compress._teachers import Teachers
from edgecompress.compress.training.losses import Loss, check_classes, variance
from edgecompress.compress.training.samples import Batch, TrainingSamples


class DistillationLoss(Loss):
    """(1 - labels_weight) * distance from the teachers + labels_weight * cross entropy + distances of inner layers."""

    def __init__(self, teachers: Teachers, how: Matching, features: FeatureLoss | None = None) -> None:
        super().__init__()
        self.teachers = teachers
        self.how = how
        self.features = features
        self.needs_labels = how.labels_weight > 0
        self._scores: Tensor | None = None
        self._classes = 0

    def extra_repr(self) -> str:
        """Say everything that decides how the training ends."""
        return repr(self.how)

    def prepare(self, samples: TrainingSamples, outputs: tuple[Tensor, ...], where: str) -> None:
        """Compute the teachers' scores for all samples; nothing but mixing makes others."""
        if self.how.targets != "outputs" or self.needs_labels:
            check_classes(samples, outputs, where)
        self._scores = self.teachers.all_scores(samples)
        self._classes = outputs[0].shape[1]
        if self.features is not None:
            with torch.no_grad():
                self.teachers.first(*samples.batch(torch.arange(len(outputs[0]))).inputs)
            self.features.prepare(where)

    def vary(self, batch: Batch) -> Batch:
        """Mix each sample with another one, where the options want it."""
        return mixed(batch, self._classes) if self.how.mix else batch

    def forward(self, outputs: tuple[Tensor, ...], batch: Batch) -> Tensor:
        """Return the weighted sum."""
        student, weight = outputs[0].float(), self.how.labels_weight
        loss = (1 - weight) * self.distance(student, self.scores(batch))
        if batch.labels is not None and weight > 0:
            labels = functional.one_hot(batch.labels, student.shape[1]) if batch.labels.ndim == 1 else batch.labels
            loss = loss + weight * functional.cross_entropy(student, labels.float())
        return loss if self.features is None else loss + self.features()

    def scores(self, batch: Batch) -> Tensor:
        """Return what the teachers compute for a batch, (teachers, n, classes)."""
        if batch.varied or self.features is not None or self._scores is None:
            scores: Tensor = self.teachers(*batch.inputs)
            return scores
        return self._scores[:, batch.indices]

    def distance(self, student: Tensor, scores: Tensor) -> Tensor:
        """Return the distance of the student's scores (n, classes) from the teachers' (teachers, n, classes)."""
        weights = self.teachers.weights
        if self.how.targets == "outputs":
            wanted = torch.einsum("t,t...->...", weights, scores)
            return (student - wanted).square().mean() / variance(wanted)
        temperature = self.how.temperature if self.how.targets == "soft" else 1.0
        wanted = self.targets(scores, temperature)
        if self.how.targets == "hard":
            return functional.cross_entropy(student, wanted.argmax(dim=1))
        return soft_distance(student, wanted, temperature)

    def targets(self, scores: Tensor, temperature: float) -> Tensor:
        """Return the probabilities that the student is to learn, (n, classes): the teachers' weighted mean."""
        return torch.einsum("t,tnc->nc", self.teachers.weights, (scores / temperature).softmax(dim=2))


def soft_distance(student: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """Return T² KL(wanted || softmax(student / T)): Hinton et al. 2015, section 2.

    T² keeps the gradients' size whatever the temperature. `wanted` are probabilities at that temperature.
    """
    found = functional.log_softmax(student / temperature, dim=1)
    return temperature**2 * functional.kl_div(found, wanted, reduction="batchmean")


def mixed(batch: Batch, classes: int) -> Batch:
    """Return sums of two samples each, in uniformly drawn shares (Zhang et al. 2018, alpha = 1)."""
    count = len(batch.indices)
    other = torch.randperm(count, device=batch.indices.device)
    share = torch.rand(count, device=batch.indices.device)

    def sum_of_two(values: Tensor) -> Tensor:
        each = share.reshape(-1, *[1] * (values.ndim - 1)).to(values.dtype)
        return each * values + (1 - each) * values[other]

    labels = batch.labels
    if labels is not None:
        labels = sum_of_two(functional.one_hot(labels, classes).float())
    return dataclasses.replace(batch, inputs=tuple(map(sum_of_two, batch.inputs)), labels=labels, varied=True)
