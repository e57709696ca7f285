"""Samples from a function of the user's own: all at once as arrays, or batch by batch from loaders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgecompress.core import user_function
from edgecompress.core.data._raw import BYTES_LIMIT, Raw
from edgecompress.core.errors import ConfigError
from edgecompress.core.values import Array, TensorSpec

NEEDED = ("training", "evaluation")
LOADERS = (*NEEDED, "calibration")


def read(function: str, folder: Path | None, inputs: tuple[TensorSpec, ...], where: str) -> Raw | dict[str, Raw]:
    """Call the function; from loaders, an iterable of (inputs, labels) by purpose, read every batch."""
    result = user_function.call(function, folder, where=where)
    if isinstance(result, Mapping):
        _check_purposes(result, where)
        with user_function.running(folder, where=where):
            return {purpose: _batches(result[purpose], inputs, f"{where}, {purpose}") for purpose in result}
    if not isinstance(result, tuple) or len(result) != 2:
        raise ConfigError(
            f"{where} returned {type(result).__name__}", hint="return a pair: (inputs, labels), or (inputs, None)"
        )
    arrays, labels = result
    return _raw(arrays, labels, inputs, where)


def _check_purposes(loaders: Mapping[Any, Any], where: str) -> None:
    names = [str(name) for name in loaders]
    if any(name not in names for name in NEEDED) or any(name not in LOADERS for name in names):
        raise ConfigError(
            f"{where} returned a dict with: {', '.join(names) or 'nothing'}",
            hint=f"return a dict with: {', '.join(NEEDED)}, and perhaps calibration",
        )


def _batches(loader: Iterable[Any], inputs: tuple[TensorSpec, ...], where: str) -> Raw:
    parts: list[Raw] = []
    total = 0
    for number, batch in enumerate(loader, start=1):
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise ConfigError(f"{where}: batch {number} is {type(batch).__name__}", hint="let it be (inputs, labels)")
        arrays, labels = batch
        parts.append(_raw(arrays, labels, inputs, f"{where}, batch {number}"))
        total += sum(array.nbytes for array in parts[-1].inputs.values())
        if total > BYTES_LIMIT:
            raise ConfigError(
                f"{where}: {total:,} bytes of samples after {number} batches; {BYTES_LIMIT:,} are allowed",
                hint="let the loader end after fewer batches",
            )
    if not parts:
        raise ConfigError(f"{where}: there are no batches", hint="a generator can be read once only: make a new one")
    return _joined(parts, where)


def _joined(parts: list[Raw], where: str) -> Raw:
    for name in parts[0].inputs:
        shapes = dict.fromkeys(part.inputs[name].shape for part in parts)
        if len({shape[1:] for shape in shapes}) > 1:
            listed = ", ".join(str(shape) for shape in shapes)
            raise ConfigError(f"{where}: batches of different shapes: {listed}", hint="give all samples one shape")
    labels = [part.labels for part in parts if part.labels is not None]
    if len(labels) not in (0, len(parts)):
        raise ConfigError(f"{where}: {len(labels)} of {len(parts)} batches have labels", hint="label all or none")
    return Raw(
        inputs={name: np.concatenate([part.inputs[name] for part in parts]) for name in parts[0].inputs},
        labels=np.concatenate(labels) if labels else None,
    )


def _raw(arrays: Any, labels: Any, inputs: tuple[TensorSpec, ...], where: str) -> Raw:
    if len(inputs) == 1 and not isinstance(arrays, Mapping):
        arrays = {inputs[0].name: arrays}
    if not isinstance(arrays, Mapping) or any(spec.name not in arrays for spec in inputs):
        raise ConfigError(
            f"{where} does not return every input", hint=f"return a dict with: {', '.join(s.name for s in inputs)}"
        )
    named: dict[str, Array] = {spec.name: np.asarray(arrays[spec.name]) for spec in inputs}
    return Raw(inputs=named, labels=None if labels is None else np.asarray(labels))
