"""Data: the samples that a recipe brings, read from an .npz file or from a function of the user's own."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import traceback
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecompress.core.errors import ConfigError
from edgecompress.core.recipe import DataSource
from edgecompress.core.values import Array, Data, Samples, TensorSpec

FILE_BYTES_LIMIT = 4 * 2**30
"""An .npz whose arrays are larger than this once unpacked is refused: a few bytes of zip can ask for gigabytes."""
DAMAGED = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, KeyError, NotImplementedError, RuntimeError)
"""What numpy and zipfile raise on a damaged, encrypted or foreign archive."""

TRAINING_SEED = 0
Labels = NDArray[np.int64]


def load(source: DataSource, inputs: tuple[TensorSpec, ...]) -> Data:
    """Read the samples, check them against the network's inputs, and split them for calibration and scoring.

    The only input takes the array that `source.inputs` names; several inputs take the arrays of their own names.
    Raises ConfigError that names the file, the array, what it is and what it should be.
    """
    where, arrays, labels = _from_file(source, inputs) if source.file else _from_function(source, inputs)
    samples = Samples(
        inputs={spec.name: _checked(arrays[spec.name], spec, where) for spec in inputs},
        labels=None if labels is None else _checked_labels(labels, where),
    )
    _check_counts(samples, where)
    return _split(samples, source, where)


def _from_file(source: DataSource, inputs: tuple[TensorSpec, ...]) -> tuple[str, dict[str, Array], Array | None]:
    path = source.file
    if path is None:
        raise ConfigError("the recipe's [data] names no file")
    names = _array_names(source, inputs)
    wanted = [*names.values(), *([source.labels] if source.labels else [])]
    arrays = _read_npz(path, wanted)
    labels = arrays[source.labels] if source.labels else None
    return str(path), {spec: arrays[array] for spec, array in names.items()}, labels


def _array_names(source: DataSource, inputs: tuple[TensorSpec, ...]) -> dict[str, str]:
    if len(inputs) == 1:
        return {inputs[0].name: source.inputs}
    return {spec.name: spec.name for spec in inputs}


def _read_npz(path: Path, names: list[str]) -> dict[str, Array]:
    if not path.is_file():
        raise ConfigError(f"data file {path} does not exist")
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ConfigError(f"{path} is not an .npz archive", hint="write it with numpy.savez")
            with archive:
                _check_archive(archive, names, path)
                return {name: archive[name] for name in names}
    except (*DAMAGED, MemoryError) as error:
        text = " ".join(str(error).split())[:200]
        raise ConfigError(f"{path} cannot be read: {text}", hint="write it again with numpy.savez") from error


def _check_archive(archive: Any, names: list[str], path: Path) -> None:
    there = sorted(archive.files)
    for name in names:
        if name not in there:
            raise ConfigError(f"{path} holds no array {name!r}", hint=f"it holds: {', '.join(there) or 'nothing'}")
    unpacked = sum(entry.file_size for entry in archive.zip.infolist())
    if unpacked > FILE_BYTES_LIMIT:
        raise ConfigError(f"{path} has {unpacked:,} bytes unpacked; {FILE_BYTES_LIMIT:,} are allowed")


def _from_function(source: DataSource, inputs: tuple[TensorSpec, ...]) -> tuple[str, dict[str, Array], Array | None]:
    where = f"data function {source.function}"
    function = _find_function(source, where)
    try:
        # What the user's code prints must not land between the data on our stdout.
        with contextlib.redirect_stdout(sys.stderr), _importable(source.module_folder):
            result = function()
    except Exception as error:
        raise ConfigError(f"{where} failed: {_last_line(error)}", hint="call it alone to find the cause") from error
    if not isinstance(result, tuple) or len(result) != 2:
        raise ConfigError(
            f"{where} returned {type(result).__name__}", hint="return a pair: (inputs, labels), or (inputs, None)"
        )
    arrays, labels = result
    if len(inputs) == 1 and not isinstance(arrays, Mapping):
        arrays = {inputs[0].name: arrays}
    if not isinstance(arrays, Mapping) or any(spec.name not in arrays for spec in inputs):
        raise ConfigError(
            f"{where} does not return every input", hint=f"return a dict with: {', '.join(s.name for s in inputs)}"
        )
    named = {spec.name: np.asarray(arrays[spec.name]) for spec in inputs}
    return where, named, None if labels is None else np.asarray(labels)


def _find_function(source: DataSource, where: str) -> Callable[[], Any]:
    if source.function is None:
        raise ConfigError("the recipe's [data] names neither a file nor a function")
    module_name, function_name = source.function.split(":")
    try:
        with contextlib.redirect_stdout(sys.stderr), _importable(source.module_folder):
            module = _import(module_name, source.module_folder)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{where}: no module {error.name!r}", hint=f"looked in {source.module_folder} and on PYTHONPATH"
        ) from error
    except Exception as error:
        raise ConfigError(
            f"{where}: importing {module_name} failed: {_last_line(error)}", hint="import it alone to find the cause"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        there = sorted(name for name, value in vars(module).items() if isinstance(value, FunctionType))
        raise ConfigError(
            f"{where}: {module_name} has no function {function_name!r}",
            hint=f"functions there: {', '.join(there) or 'none'}",
        )
    found: Callable[[], Any] = function
    return found


def _import(name: str, folder: Path | None) -> ModuleType:
    """Import a module by its file in `folder` when it lies there, whatever is installed under the same name."""
    file = (folder or Path()) / (name.replace(".", "/") + ".py")
    if folder is None or not file.is_file():
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"cannot import {file}", name=name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _importable(folder: Path | None) -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = [str(folder)] if folder else []
    try:
        yield
    finally:
        sys.path[:] = before


def _last_line(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({frame.filename}:{frame.lineno})"


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


def _checked_labels(labels: Array, where: str) -> Labels:
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


def _split(samples: Samples, source: DataSource, where: str) -> Data:
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


def _shape(shape: tuple[int | str, ...]) -> str:
    return "(" + ", ".join(str(dim) for dim in shape) + ")"
