"""Samples against the network's inputs: shape, type, numbers and how many there are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecompress.core.data._raw import Raw
from edgecompress.core.errors import ConfigError
from edgecompress.core.values import Array, Samples, TensorSpec


def samples_of(raw: Raw, inputs: tuple[TensorSpec, ...], where: str) -> Samples:
    """Check the arrays and bring them to the network's types. Raises ConfigError that says what is wrong."""
    samples = Samples(
        inputs={spec.name: _checked(raw.inputs[spec.name], spec, where) for spec in inputs},
        labels=None if raw.labels is None else _checked_labels(raw.labels, where),
    )
    _check_counts(samples, where)
    return samples


def _checked(array: Array, spec: TensorSpec, where: str) -> Array:
    """Return the array as the network wants it, or say what is wrong with it."""
    wanted: tuple[int | str, ...] = ("n", *spec.shape[1:])
    if array.ndim != len(spec.shape) or array.shape[1:] != spec.shape[1:]:
        raise ConfigError(
            f"{where}: input {spec.name!r} has the shape {_shape(array.shape)}; the network wants {_shape(wanted)}",
            hint="samples come first; reshape the array, or choose another with `inputs`",
        )
    if spec.dtype == "float32" and array.dtype in (np.float16, np.float64):
        array = array.astype(np.float32)
    if array.dtype != np.dtype(spec.dtype):
        raise ConfigError(
            f"{where}: input {spec.name!r} is {array.dtype}; the network wants {spec.dtype}", hint=_type_hint(spec)
        )
    if spec.dtype == "float32":
        _check_finite(array, spec, where)
    return np.ascontiguousarray(array)


def _type_hint(spec: TensorSpec) -> str:
    if spec.dtype == "float32":
        return "convert it and scale it as for training"
    if spec.scale is None:
        return f"convert it to {spec.dtype}"
    return f"quantize it: round(x / {spec.scale:g}) + {spec.zero_point}, cut to {spec.dtype}"


def _check_finite(array: Array, spec: TensorSpec, where: str) -> None:
    bad = ~np.isfinite(array).reshape(len(array), spec.elements).all(axis=1)
    if bad.any():
        raise ConfigError(
            f"{where}: input {spec.name!r} has NaN or infinity in {int(bad.sum())} of {len(array)} samples, "
            f"first in sample {int(bad.argmax())}",
            hint="clean the data",
        )


def _checked_labels(labels: Array, where: str) -> NDArray[np.int64]:
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ConfigError(
            f"{where}: the labels are {labels.dtype} of the shape {_shape(labels.shape)}; integers (n) are wanted",
            hint="give one class number a sample",
        )
    return labels.astype(np.int64)


def _check_counts(samples: Samples, where: str) -> None:
    counts = {name: len(array) for name, array in samples.inputs.items()}
    counts |= {} if samples.labels is None else {"labels": len(samples.labels)}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise ConfigError(
            f"{where}: the arrays have different numbers of samples: {listed}",
            hint="give every array one entry a sample",
        )
    if samples.count == 0:
        raise ConfigError(f"{where} holds no samples", hint="choose another array with `inputs`")


def _shape(shape: tuple[int | str, ...]) -> str:
    return "(" + ", ".join(str(dim) for dim in shape) + ")"
