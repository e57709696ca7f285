"""Samples from an .npz file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from edgecompress.core.data._raw import BYTES_LIMIT, Raw
from edgecompress.core.errors import ConfigError
from edgecompress.core.recipe import DataSource
from edgecompress.core.values import Array, TensorSpec

DAMAGED = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, KeyError, NotImplementedError, RuntimeError)
"""What numpy and zipfile raise on a damaged, encrypted or foreign archive."""


def read(path: Path, source: DataSource, inputs: tuple[TensorSpec, ...]) -> Raw:
    """Read the arrays of the inputs and the labels.

    The only input takes the array that `source.inputs` names; several inputs take the arrays of their own names.
    """
    names = _array_names(source, inputs)
    wanted = [*names.values(), *([source.labels] if source.labels else [])]
    arrays = _read_npz(path, wanted)
    labels = arrays[source.labels] if source.labels else None
    return Raw(inputs={spec: arrays[array] for spec, array in names.items()}, labels=labels)


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
    if unpacked > BYTES_LIMIT:
        raise ConfigError(f"{path} has {unpacked:,} bytes unpacked; {BYTES_LIMIT:,} are allowed")
