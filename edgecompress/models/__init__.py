"""File -> Model. One module a file format: `SUFFIXES` and `load(path, *, name, shapes) -> Model`.

A torch network is no file but a function of the user's own: `FOLDER/module:function` (torch_file.load_function).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from edgecompress.core import plugins, user_function
from edgecompress.core.errors import ModelError

if TYPE_CHECKING:
    from edgecompress.core.values import Model

NO_SHAPES: Mapping[str, tuple[int, ...]] = MappingProxyType({})


def load(
    path: Path,
    *,
    name: str | None = None,
    shapes: Mapping[str, tuple[int, ...]] = NO_SHAPES,
    state: Path | None = None,
) -> Model:
    """Read a model file with the module that knows its suffix, or call `FOLDER/module:function` for a torch network.

    `shapes` binds dynamic input shapes by input name; a torch network's inputs are known by them alone. `state` is the
    file with a torch network's tensors. Raises ModelError for a suffix that no module knows and for
    whatever that module finds wrong.
    """
    if user_function.is_name(path.name):
        from edgecompress.models import torch_file

        return torch_file.load_function(path.name, path.parent, name=name, shapes=shapes, state=state)
    modules = [plugins.find("models", format_name, where=str(path)) for format_name in plugins.names("models")]
    by_suffix = {suffix: module for module in modules for suffix in module.SUFFIXES}
    module = by_suffix.get(path.suffix.lower())
    if module is None:
        raise ModelError(
            f"{path}: no model format has the suffix {path.suffix!r}", hint=f"known: {', '.join(by_suffix)}"
        )
    model: Model = module.load(path, name=name, shapes=shapes)
    return model
