"""A stage's folder is its registry: a module is found by its name and imported on first use."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from types import ModuleType

from edgecompress.core.errors import ConfigError


def names(stage: str) -> tuple[str, ...]:
    """List the plugin modules of a stage (`compress`, `measure.meters`, …), sorted: no private ones, no folders."""
    package = importlib.import_module(f"edgecompress.{stage}")
    modules = (m.name for m in pkgutil.iter_modules(package.__path__) if not m.ispkg)
    return tuple(sorted(name for name in modules if not name.startswith("_")))


def find(stage: str, name: str, *, where: str) -> ModuleType:
    """Import the plugin `name` of `stage`.

    Raises ConfigError naming `where` (the file and key that asked for it) and the nearest name when there is none.
    """
    known = names(stage)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        suggestion = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"{where}: no {stage} module is called {name!r}", hint=f"{suggestion}known: {', '.join(known)}"
        )
    return importlib.import_module(f"edgecompress.{stage}.{name}")
