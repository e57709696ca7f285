"""How the outputs of a student and of its teachers are compared: the options, which need no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from edgecompress.compress.training import LoopOptions

Targets = Literal["soft", "hard", "outputs"]


@dataclass(frozen=True, kw_only=True)
class Matching:
    """What MatchingOptions say."""

    targets: Targets = "soft"
    temperature: float = 4.0
    labels_weight: float = 0.0
    mix: bool = False


class SoftOptions(LoopOptions):
    """The options of a step that learns soft targets.

    `temperature` divides the scores of both before their softmax. `labels_weight` is the share of the labels' cross
    entropy in the loss; 0 needs no labels. `mix` trains on sums of two samples each, of which the teachers say what
    they are.
    """

    temperature: float = Field(default=4, gt=0)
    labels_weight: float = Field(default=0.1, ge=0, lt=1)
    mix: bool = False

    def matching(self) -> Matching:
        """Return these options alone."""
        return Matching(temperature=self.temperature, labels_weight=self.labels_weight, mix=self.mix)


class MatchingOptions(SoftOptions):
    """The same for a step that may learn other targets.

    `targets`: `soft` probabilities, the class that the teachers say (`hard`), or their `outputs` as numbers, which
    suits networks that are no classifiers.
    """

    targets: Targets = "soft"

    def matching(self) -> Matching:
        """Return these options alone."""
        return Matching(
            targets=self.targets,
            temperature=self.temperature,
            labels_weight=self.labels_weight,
            mix=self.mix,
        )
