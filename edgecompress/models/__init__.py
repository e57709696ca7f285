"""File -> Model. One module a file format: `SUFFIXES` and `load(path, *, name, shapes) -> Model`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from edgecompress.core import plugins
from edgecompress.core.errors import ModelError

if TYPE_CHECKING:
    from edgecompress.core.values import Model

NO_SHAPES: Mapping[str, tuple[int, ...]] = MappingProxyType({})


def load(path: Path, *, name: str | None = None, shapes: Mapping[str, tuple[int, ...]] = NO_SHAPES) -> Model:
    """Read a model file with the module that knows its suffix.

    `shapes` binds dynamic input shapes by input name. Raises ModelError for a suffix that no module knows and for
    whatever that module finds wrong.
    """
    modules = [plugins.find("models", format_name, where=str(path)) for format_name in plugins.names("models")]
    by_suffix = {suffix: module for module in modules for suffix in module.SUFFIXES}
    module = by_suffix.get(path.suffix.lower())
    if module is None:
        raise ModelError(
            f"{path}: no model format has the suffix {path.suffix!r}", hint=f"known: {', '.join(by_suffix)}"
        )
    model: Model = module.load(path, name=name, shapes=shapes)
    return model
