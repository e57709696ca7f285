"""The files that every export of a format has: templates/, with the network's own words filled in."""

from __future__ import annotations

import functools
import json
import shlex
from importlib import resources
from pathlib import Path
from xml.sax import saxutils

import jinja2

from edgecompress.core import c_literals
from edgecompress.export._project import VERSION, Project


def write(project: Project, folder: Path, files: dict[str, str], **values: object) -> None:
    """Write files below `folder`, each from a template: path in the folder -> name of the template."""
    for path, template in files.items():
        write_text(folder / path, render(project, template, **values))


def render(project: Project, template: str, **values: object) -> str:
    """Fill in a template: `NAME` and `name` stand for the project's name."""
    text = (resources.files("edgecompress.export") / "templates" / template).read_text("utf-8")
    known = {"name": project.name, "NAME": project.name.upper(), "project": project, "version": VERSION}
    return _environment().from_string(text).render(**known, **values)


def write_text(path: Path, text: str) -> None:
    """Write a file and the folders above it, with the same line ends everywhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        autoescape=False,  # noqa: S701 -- C, CMake, Make, YAML: each has its own filter
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["c_string"] = c_literals.string_literal
    environment.filters["comment"] = c_literals.comment
    environment.filters["cmake"] = _cmake
    environment.filters["make"] = _make
    environment.filters["quoted"] = json.dumps
    environment.filters["line"] = _line
    environment.filters["xml"] = lambda text: saxutils.escape(_line(text), {'"': "&quot;"})
    return environment


def _cmake(word: str) -> str:
    """A quoted argument of CMake (cmake-language(7), "Quoted Argument")."""
    return '"' + "".join(f"\\{letter}" if letter in '"\\$;' else letter for letter in word) + '"'


def _make(word: str) -> str:
    """A word of a recipe: for the shell, then for make."""
    return shlex.quote(word).replace("$", "$$").replace("#", "\\#")


def _line(text: str) -> str:
    """Any text on one line."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
