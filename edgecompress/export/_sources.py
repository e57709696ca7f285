"""The network's own C: the bundle's sources under the project's name, and a small interface before them.

Files and symbols begin with the project's name, so that several networks fit into one program.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecompress.core.bundle import Bundle
from edgecompress.core.errors import ConfigError
from edgecompress.core.values import TensorSpec
from edgecompress.export import _templates
from edgecompress.export._project import Project

SOURCES = Path("src")
WEIGHTS_IN_C = "weights.c"
WEIGHTS_AS_BYTES = ("weights.s", "weights.bin")
"""Of Linux targets, whose weights may be too many for a C compiler."""

_SYMBOL = re.compile(r"\b(?:model_\w+|weights_\w+|MODEL_\w+|WEIGHTS_H|edgert_(?:split|work))\b")
_DECLARED = re.compile(r"\bmodel_\w+(?=[(\[])")
_FILE = re.compile(r'"(?:src/)?(model\.h|weights\.h|weights\.bin|edgert_parallel\.h)"')
_FILES = {"edgert_parallel.h": "split.h"}

GUARD = """\
/* The same bytes with any flags: no fused multiply-add, and int8 tensors may be read as words. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off", "no-strict-aliasing")
#endif
"""
"""Before the network of a microcontroller: the Arduino IDE and CMSIS-Pack take no flags from a library."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """Names of files that were written: the public header, then what is compiled, relative to its folder."""

    header: str
    sources: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Tensor:
    """One input or output as the templates print it."""

    spec: TensorSpec
    data: str

    @property
    def type(self) -> str:
        """The end of its type's name in C."""
        return self.spec.dtype.upper()

    @property
    def scale(self) -> str:
        """The float literal of its scale, exact; 0 without quantization."""
        return f"{float(np.float32(self.spec.scale or 0.0)).hex()}f"


def write(project: Project, *, header: Path, sources: Path) -> Written:
    """Write the public header into one folder and everything else into another, which may be the same.

    Raises ConfigError for a bundle that lacks a source.
    """
    sources.mkdir(parents=True, exist_ok=True)
    name, values = project.name, _values(project)
    _templates.write(project, header, {f"{name}.h": "network.h"}, **values)
    _templates.write(project, sources, {f"{name}.c": "network.c"}, **values)
    if values["splits"]:
        _templates.write(project, sources, {f"{name}_split.h": "split.h"})
    guard = GUARD if project.target.system == "bare" else ""
    for file in ("model.h", "model.c", "weights.h"):
        _templates.write_text(
            sources / f"{name}_{file}", _guarded(_own(project, file), guard if file[-1] == "c" else "")
        )
    weights = _write_weights(project, sources)
    return Written(header=f"{name}.h", sources=(f"{name}.c", f"{name}_model.c", f"{name}_{weights}"))


def tensors(project: Project, kind: str) -> tuple[_Tensor, ...]:
    """The inputs or outputs, each with the macro of its place in the arena."""
    specs = project.manifest.inputs if kind == "input" else project.manifest.outputs
    macro = f"{project.name.upper()}_MODEL_{kind.upper()}"
    return tuple(_Tensor(spec=spec, data=f"{macro}_{i}") for i, spec in enumerate(specs))


def _values(project: Project) -> dict[str, object]:
    inputs, outputs = tensors(project, "input"), tensors(project, "output")
    model = _read(project.bundle, "model.c")
    return {
        "inputs": inputs,
        "outputs": outputs,
        "max_rank": max(len(each.spec.shape) for each in (*inputs, *outputs)),
        "splits": "edgert_parallel.h" in model,
    }


def _write_weights(project: Project, folder: Path) -> str:
    """Write the weights; return the name of the source that holds them, without the project's."""
    given = project.bundle.folder / SOURCES
    if (given / WEIGHTS_IN_C).is_file():
        _templates.write_text(folder / f"{project.name}_{WEIGHTS_IN_C}", _own(project, WEIGHTS_IN_C))
        return WEIGHTS_IN_C
    source, content = WEIGHTS_AS_BYTES
    _templates.write_text(folder / f"{project.name}_{source}", _own(project, source))
    shutil.copyfile(given / content, folder / f"{project.name}_{content}")
    return source


def _own(project: Project, file: str) -> str:
    """Read a source of the bundle, with the project's name before its files and what is seen outside of them."""
    declared = frozenset(_DECLARED.findall(_read(project.bundle, "model.h")))
    text = _FILE.sub(lambda match: f'"{project.name}_{_FILES.get(match[1], match[1])}"', _read(project.bundle, file))
    return _SYMBOL.sub(lambda match: _renamed(project.name, match[0], declared), text)


def _renamed(name: str, symbol: str, declared: frozenset[str]) -> str:
    """Put the name before a symbol, but for what only looks like one of model.h: a tensor in a comment."""
    if symbol.startswith("model_") and symbol not in declared:
        return symbol
    symbol = symbol.removeprefix("edgert_")
    return f"{name.upper() if symbol.isupper() else name}_{symbol}"


def _guarded(text: str, guard: str) -> str:
    """Put lines behind the title."""
    title, rest = text.split("\n", 1)
    return f"{title}\n{guard}{rest}"


def _read(bundle: Bundle, file: str) -> str:
    path = bundle.folder / SOURCES / file
    try:
        return path.read_text("utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist", hint="run `edgecompress compile` again") from error
