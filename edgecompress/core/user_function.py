"""Functions of the user's own, named `module:function`: samples, networks."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from edgecompress.core.errors import ConfigError, EdgecompressError

PATTERN = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
"""What a name looks like."""


def is_name(text: str) -> bool:
    """True for what looks like `module:function`."""
    return re.match(PATTERN, text) is not None


def call(name: str, folder: Path | None, *, where: str) -> Any:
    """Call `module:function` without arguments and return what it returns.

    The module is looked for in `folder`, then on PYTHONPATH. Raises ConfigError, beginning with `where`, when there is
    no such function, and when it fails.
    """
    function = _find(name, folder, where)
    with running(folder, where=where):
        return function()


@contextlib.contextmanager
def running(folder: Path | None, *, where: str) -> Iterator[None]:
    """Run the user's code within the block: its neighbours in `folder` can be imported, its failure is a ConfigError.

    What it prints goes to stderr: it must not land between the data on our stdout.
    """
    try:
        with _importable(folder):
            yield
    except EdgecompressError:
        raise
    except Exception as error:
        raise ConfigError(f"{where} failed: {_last_line(error)}", hint="call it alone to find the cause") from error


def _find(name: str, folder: Path | None, where: str) -> Callable[[], Any]:
    module_name, function_name = name.split(":")
    try:
        with _importable(folder):
            module = _import(module_name, folder)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{where}: no module {error.name!r}", hint=f"looked in {folder} and on PYTHONPATH") from error
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
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.path[:] = before


def _last_line(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({frame.filename}:{frame.lineno})"
