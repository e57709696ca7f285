"""The compression methods as their modules describe them: a sentence, and every option with its values and default."""

from __future__ import annotations

import inspect
import types
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from edgecompress.core import plugins

_SIGNS = {Gt: ("gt", ">"), Ge: ("ge", ">="), Lt: ("lt", "<"), Le: ("le", "<=")}


@dataclass(frozen=True, kw_only=True)
class OptionWords:
    """One option of a method: which values it takes, and what it is when a recipe does not say."""

    name: str
    values: str
    default: str


@dataclass(frozen=True, kw_only=True)
class Method:
    """A module of compress/. `summary` is the first line of its docstring, `notes` that of its options."""

    name: str
    summary: str
    notes: str
    options: tuple[OptionWords, ...]


def every() -> tuple[Method, ...]:
    """Describe every method, sorted by name."""
    return tuple(describe(name) for name in plugins.names("compress"))


def describe(name: str) -> Method:
    """Describe one method. Raises ConfigError with the nearest name when there is none."""
    module = plugins.find("compress", name, where="methods")
    options: type[BaseModel] = module.Options
    return Method(
        name=name,
        summary=(inspect.getdoc(module) or "").partition("\n")[0],
        notes=inspect.getdoc(options) or "",
        options=tuple(_option(key, field) for key, field in options.model_fields.items()),
    )


def _option(name: str, field: FieldInfo) -> OptionWords:
    bounds = " ".join(
        f"{sign} {getattr(bound, attribute):g}"
        for kind, (attribute, sign) in _SIGNS.items()
        for bound in field.metadata
        if isinstance(bound, kind)
    )
    default = "required" if field.is_required() else _plain(field.default)
    return OptionWords(name=name, values=f"{_values(field.annotation)} {bounds}".strip(), default=default)


def _values(annotation: Any) -> str:
    """Write a type as a user of TOML would: `minmax | mse`, `number`, `list of text`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in (Union, types.UnionType):
        return " | ".join(_values(each) for each in arguments if each is not type(None))
    if origin is tuple:
        return f"list of {_values(arguments[0])}"
    names = {str: "text", int: "integer", float: "number", bool: "true | false"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)).lower())


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_plain, value))}]"
    return "none" if value is None else str(value)
