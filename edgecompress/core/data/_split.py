"""Which samples calibrate, train and are scored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecompress.core.errors import ConfigError
from edgecompress.core.recipe import DataSource
from edgecompress.core.values import Data, Samples

TRAINING_SEED = 0


def divided_by_the_user(parts: dict[str, Samples], source: DataSource, where: str) -> Data:
    """Take the samples of `training` and `evaluation` as they are; of those that train, some calibrate."""
    if source.training_share is not None:
        raise ConfigError(
            f"{where} returned samples to train with and to score; training_share = {source.training_share:g} has "
            "nothing to divide",
            hint="take training_share out of the recipe",
        )
    training = parts["training"]
    mask = _calibration_mask(training, source, where)
    calibration = parts.get("calibration") or (training if mask is None else _pick(training, mask))
    return Data(calibration=calibration, evaluation=parts["evaluation"], training=training, note=source.note)


def divide(samples: Samples, source: DataSource, where: str) -> Data:
    """Divide all samples as the recipe says. Raises ConfigError when one side is left empty."""
    if source.training_share is not None:
        return _split_for_training(samples, source, source.training_share, where)
    calibrates = _calibration_mask(samples, source, where)
    if calibrates is None:
        note = f"{source.note} The samples that calibrate are also the ones scored.".strip()
        return Data(calibration=samples, evaluation=samples, note=note)
    if calibrates.all():
        raise ConfigError(
            f"{where}: all {samples.count} samples calibrate, none is left to score", hint="calibrate with fewer"
        )
    return Data(calibration=_pick(samples, calibrates), evaluation=_pick(samples, ~calibrates), note=source.note)


def _split_for_training(samples: Samples, source: DataSource, share: float, where: str) -> Data:
    trains = _training_mask(samples, share)
    if trains.all() or not trains.any():
        raise ConfigError(
            f"{where}: training_share = {share:g} of {samples.count} samples leaves none to "
            f"{'score' if trains.all() else 'train with'}",
            hint="choose a share nearer to 0.5, or bring more samples",
        )
    training = _pick(samples, trains)
    calibrates = _calibration_mask(training, source, where)
    return Data(
        calibration=training if calibrates is None else _pick(training, calibrates),
        evaluation=_pick(samples, ~trains),
        training=training,
        note=source.note,
    )


def _training_mask(samples: Samples, share: float) -> NDArray[np.bool_]:
    """Draw `share` of every class (of all samples, when there are no labels), the same ones each time."""
    labels = np.zeros(samples.count, dtype=np.int64) if samples.labels is None else samples.labels
    random = np.random.default_rng(TRAINING_SEED)
    mask = np.zeros(samples.count, dtype=np.bool_)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        mask[members[: round(share * len(members))]] = True
    return mask


def _calibration_mask(samples: Samples, source: DataSource, where: str) -> NDArray[np.bool_] | None:
    """Tell for each sample whether it calibrates; None when the recipe does not divide them."""
    if source.calibration_count is not None:
        return np.arange(samples.count) < source.calibration_count
    if source.calibration_per_class is None:
        return None
    if samples.labels is None:
        raise ConfigError(
            f"{where}: calibration_per_class needs labels", hint="name them with `labels`, or use calibration_count"
        )
    mask = np.zeros(samples.count, dtype=np.bool_)
    for label in np.unique(samples.labels):
        members = np.flatnonzero(samples.labels == label)
        if len(members) < source.calibration_per_class:
            raise ConfigError(
                f"{where}: class {label} has {len(members)} samples; "
                f"calibration_per_class = {source.calibration_per_class}",
                hint="calibrate with fewer",
            )
        mask[members[: source.calibration_per_class]] = True
    return mask


def _pick(samples: Samples, mask: NDArray[np.bool_]) -> Samples:
    return Samples(
        inputs={name: array[mask] for name, array in samples.inputs.items()},
        labels=None if samples.labels is None else samples.labels[mask],
    )
