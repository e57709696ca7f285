"""Data: the samples that a recipe brings: from an .npz file, a folder of images, or a function of the user's own."""

from __future__ import annotations

from edgecompress.core.data import _function, _images, _npz, _split
from edgecompress.core.data._checks import samples_of
from edgecompress.core.data._raw import Raw
from edgecompress.core.errors import ConfigError
from edgecompress.core.recipe import DataSource
from edgecompress.core.values import Data, TensorSpec


def load(source: DataSource, inputs: tuple[TensorSpec, ...]) -> Data:
    """Read the samples, check them against the network's inputs, and split them for calibration, training and scoring.

    Raises ConfigError that names the file, the array, what it is and what it should be.
    """
    where, raw = _read(source, inputs)
    if isinstance(raw, Raw):
        return _split.divide(samples_of(raw, inputs, where), source, where)
    parts = {name: samples_of(part, inputs, f"{where}, {name}") for name, part in raw.items()}
    return _split.divided_by_the_user(parts, source, where)


def _read(source: DataSource, inputs: tuple[TensorSpec, ...]) -> tuple[str, Raw | dict[str, Raw]]:
    """Return what errors call the source, and its samples: all together, or as the user's loaders divide them."""
    if source.file is not None:
        return str(source.file), _npz.read(source.file, source, inputs)
    if source.folder is not None:
        return str(source.folder), _images.read(source.folder, source, inputs)
    if source.function is not None:
        where = f"data function {source.function}"
        return where, _function.read(source.function, source.module_folder, inputs, where)
    raise ConfigError("the recipe's [data] names no file, folder or function")
