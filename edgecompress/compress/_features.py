"""Inner layers of a student and its teacher, compared: hints and attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from edgecompress.compress import _taps
from edgecompress.compress.training.losses import variance
from edgecompress.core.errors import ConfigError


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
