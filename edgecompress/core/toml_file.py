"""Read a TOML file into a frozen value, strictly: an error names the file, the key and the nearest known key."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from edgecompress.core.errors import ConfigError

T = TypeVar("T", bound=BaseModel)

SCALARS = frozenset({"str", "int", "float", "bool"})
"""The names under which pydantic reports the members of a union of plain types."""


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
        # As JSON, pydantic's strict mode still takes lists for tuples and text for paths, but no "5" for 5.
        return kind.model_validate_json(json.dumps(table, default=str), strict=True)
    except ValidationError as error:
        raise _config_error(error, kind, where) from error


def _config_error(error: ValidationError, kind: type[BaseModel], where: str) -> ConfigError:
    """Say the first thing that is wrong; an unknown key comes first, it is often a needed one misspelt."""
    details = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")
    first = details[0]
    key = _key(first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys_beside(kind, first["loc"])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        return ConfigError(f"{where}: unknown key {key}", hint=hint)
    if first["type"] == "missing":
        return ConfigError(f"{where}: the key {key} is missing")
    if first["type"] == "value_error":
        return ConfigError(f"{where}: {key}: {first['ctx']['error']}")
    members = {
        part for detail in details if detail["loc"][0] == first["loc"][0] for part in detail["loc"] if _is_member(part)
    }
    expected = _expected(members) if any(_is_member(part) for part in first["loc"]) else first["msg"]
    return ConfigError(f"{where}: {key}: {expected} (got {first['input']!r})")


def _expected(members: set[int | str]) -> str:
    takes_lists = any(str(member).startswith("tuple[") for member in members)
    return "Input should be text, a number" + (", a boolean or a list of them" if takes_lists else " or a boolean")


def _is_member(part: int | str) -> bool:
    """True for the name of a member of a union in a place: no key of the file."""
    return isinstance(part, str) and (part in SCALARS or part.startswith("tuple["))


def _key(location: tuple[int | str, ...]) -> str:
    """`'steps.method' (entry 2)`: the dotted key, and which entry of a list it stands in."""
    if not location:
        return "the file as a whole"
    dotted = ".".join(part for part in location if isinstance(part, str) and not _is_member(part))
    entries = "".join(f" (entry {part + 1})" for part in location if isinstance(part, int))
    return f"{dotted!r}{entries}"


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
