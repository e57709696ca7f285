"""The losses of distillation: what a student is to have in common with its teachers."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from edgecompress.compress import _taps
from edgecompress.compress._teachers import Teachers
from edgecompress.compress.training.losses import Loss, check_classes, variance
from edgecompress.compress.training.samples import Batch, TrainingSamples
from edgecompress.core.errors import ConfigError

Targets = Literal["soft", "hard", "outputs"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matching:
    """How outputs are compared; see the options of distill."""

    targets: Targets = "soft"
    temperature: float = 4.0
    labels_weight: float = 0.0
    mix: bool = False


class DistillationLoss(Loss):
    """(1 - labels_weight) * distance from the teachers + labels_weight * cross entropy + distances of inner layers."""

    def __init__(self, teachers: Teachers, how: Matching, features: FeatureLoss | None = None) -> None:
        super().__init__()
        self.teachers = teachers
        self.how = how
        self.features = features
        self.needs_labels = how.labels_weight > 0  # type: ignore[misc]
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


class FeatureLoss(nn.Module):
    """What inner layers of the student are to have in common with layers of the first teacher."""

    def __init__(
        self,
        teacher: fx.GraphModule,
        student: fx.GraphModule,
        layers: dict[str, tuple[str, ...]],
        weights: dict[str, float],
        where: str,
    ) -> None:
        """Tap the layers: for `hints` and `attention` pairs `teacher's=student's`, or one name for both."""
        super().__init__()
        self.layers = layers
        self._taps = {
            kind: [self._tap_both(teacher, student, pair, where) for pair in pairs] for kind, pairs in layers.items()
        }
        self.weights = weights
        self.regressors = nn.ModuleList()

    def extra_repr(self) -> str:
        """Say everything that decides how the training ends."""
        return f"{self.layers} {self.weights}"

    def prepare(self, where: str) -> None:
        """Make the regressors that bring the student's hints to the teacher's channels."""
        for (of_teacher, of_student), pair in zip(self._taps["hints"], self.layers["hints"], strict=True):
            self.regressors.append(_regressor(of_teacher.value, of_student.value, f"{where}: hint {pair}"))
        for (of_teacher, of_student), pair in zip(self._taps["attention"], self.layers["attention"], strict=True):
            if of_teacher.value.ndim < 3 or of_student.value.ndim < 3:
                raise ConfigError(
                    f"{where}: attention {pair}: a layer without places has no attention",
                    hint="choose convolutions; `hints` take any layer",
                )

    def forward(self) -> Tensor:
        """Return the weighted distances for what both networks saw last."""
        hints = [
            hint_distance(of_teacher.value, regressor(of_student.value.float()))
            for (of_teacher, of_student), regressor in zip(self._taps["hints"], self.regressors, strict=True)
        ]
        attention = [
            attention_distance(of_teacher.value, of_student.value.float())
            for of_teacher, of_student in self._taps["attention"]
        ]
        parts = [self.weights["hints"] * part for part in hints]
        parts += [self.weights["attention"] * part for part in attention]
        return torch.stack(parts).sum()

    @staticmethod
    def _tap_both(
        teacher: fx.GraphModule, student: fx.GraphModule, pair: str, where: str
    ) -> tuple[_taps.Tap, _taps.Tap]:
        of_teacher, _, of_student = pair.partition("=")
        return (
            _taps.insert(teacher, of_teacher, where=f"{where}: the teacher"),
            _taps.insert(student, of_student or of_teacher, where=f"{where}: the student"),
        )


def hint_distance(teacher: Tensor, student: Tensor) -> Tensor:
    """Return the squared distance over the variance of the teacher's (Romero et al. 2015, eq. 3, without its units)."""
    wanted = _of_size(teacher, student)
    return (student - wanted).square().mean() / variance(wanted)


def attention_distance(teacher: Tensor, student: Tensor) -> Tensor:
    """Return the distance of the normed maps of where a layer is active (Zagoruyko and Komodakis 2017, eq. 2).

    A map is the sum over channels of squared activations; the norm is L2, and distances are squared.
    """
    maps = [each.square().sum(dim=1).flatten(1) for each in (_of_size(teacher, student), student)]
    wanted, found = (functional.normalize(each, dim=1) for each in maps)
    return (found - wanted).square().sum(dim=1).mean()


def _regressor(teacher: Tensor, student: Tensor, where: str) -> nn.Module:
    """Return a linear map of channels: a 1x1 convolution, or a fully connected layer where there are no places."""
    if teacher.ndim != student.ndim or teacher.ndim not in (2, 3, 4):
        raise ConfigError(
            f"{where}: {tuple(teacher.shape[1:])} cannot be compared with {tuple(student.shape[1:])}",
            hint="choose layers of one kind",
        )
    kinds: dict[int, Any] = {2: nn.Linear, 3: nn.Conv1d, 4: nn.Conv2d}
    size = (student.shape[1], teacher.shape[1])
    made: nn.Module = kinds[teacher.ndim](*size) if teacher.ndim == 2 else kinds[teacher.ndim](*size, 1)
    return made.to(student.device)


def _of_size(teacher: Tensor, student: Tensor) -> Tensor:
    """Average the teacher's places down to the student's, where they differ."""
    if teacher.shape[2:] == student.shape[2:]:
        return teacher
    pools: dict[int, Any] = {3: functional.adaptive_avg_pool1d, 4: functional.adaptive_avg_pool2d}
    pooled: Tensor = pools[teacher.ndim](teacher, student.shape[2:])
    return pooled
