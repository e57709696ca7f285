"""Read a TOML file into a frozen value, strictly: an error names the file, the key and the nearest known key."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from edgecompress.core.errors import ConfigError

T = TypeVar("T", bound=BaseModel)


def load(path: Path, kind: type[T], *, what: str, extra: dict[str, Any] | None = None) -> T:
    """Read `path` into `kind`. `what` is how the error calls the file (`recipe`, `target profile`).

    Raises ConfigError for a missing file, broken TOML, an unknown key or a wrong type.
    """
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except FileNotFoundError as error:
        raise ConfigError(f"{what} {path} does not exist") from error
    except OSError as error:
        raise ConfigError(f"{what} {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a valid TOML file: {error}") from error
    return parse(table | (extra or {}), kind, where=str(path))


def parse(table: dict[str, Any], kind: type[T], *, where: str) -> T:
    """Validate a table into `kind`; the ConfigError's message names `where` and the first wrong key."""
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _keys_beside(kind, first["loc"])
            near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
            raise ConfigError(f"{where}: unknown key {key!r}", hint=hint) from error
        if first["type"] == "missing":
            raise ConfigError(f"{where}: the key {key!r} is missing") from error
        raise ConfigError(f"{where}: {key}: {first['msg']} (got {first['input']!r})") from error


def _keys_beside(kind: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location[:-1]:
        if isinstance(part, str) and part in kind.model_fields:
            nested = next(_models_in(kind.model_fields[part].annotation), None)
            if nested is None:
                return []
            kind = nested
    return sorted(kind.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
