"""Print a program's constants as C: weights.h and weights.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgecompress.compile import c_text
from edgecompress.compile.memory import ALIGNMENT
from edgecompress.core.values import Array

if TYPE_CHECKING:
    from edgecompress.compile.program import Program

LINE_LENGTH = 110
LIKENESS = 16


def weights_sources(program: Program) -> dict[str, str]:
    """Print the constants: file name -> text."""
    return {"weights.h": weights_header(program), "weights.c": weights_source(program)}


def constant_names(program: Program) -> dict[str, str]:
    """Give every constant that a call uses its C name; constants of equal type and bytes share one."""
    names: dict[str, str] = {}
    alike: dict[tuple[str, int, bytes], list[tuple[Array, str]]] = {}
    taken: set[str] = set()
    for call in program.calls:
        for argument in call.arguments:
            if argument not in program.constants or argument in names:
                continue
            value = np.ascontiguousarray(program.constants[argument])
            # Their beginnings tell most of them apart: megabytes are compared only where they are likely to be equal.
            others = alike.setdefault((str(value.dtype), value.size, value.reshape(-1)[:LIKENESS].tobytes()), [])
            same = next((name for other, name in others if other.tobytes() == value.tobytes()), None)
            names[argument] = same or _unused(f"weights_{c_text.identifier(argument)}", taken)
            if same is None:
                others.append((value, names[argument]))
                taken.add(names[argument])
    return names


def _unused(name: str, taken: set[str]) -> str:
    number = 2
    candidate = name
    while candidate in taken:
        candidate = f"{name}_{number}"
        number += 1
    return candidate


def unique_constants(program: Program) -> list[tuple[str, Array]]:
    """List each C constant once, with its value."""
    constants = constant_names(program)
    first = {name: program.constants[key] for key, name in reversed(list(constants.items()))}
    return [(name, first[name]) for name in dict.fromkeys(constants.values())]


def weights_header(program: Program, attribute: str = "") -> str:
    """Print weights.h: a declaration of every constant, with an attribute when one is given."""
    end = f" {attribute};" if attribute else ";"
    declarations = "\n".join(f"extern {_declare(name, value)}{end}" for name, value in unique_constants(program))
    return f"""\
/* {c_text.title(program.name)} */
#ifndef WEIGHTS_H
#define WEIGHTS_H

#include <stdbool.h>
#include <stdint.h>

{declarations}

#endif
"""


def weights_source(program: Program) -> str:
    """Print weights.c."""
    definitions = "\n".join(
        f"{_declare(name, value)} __attribute__((aligned({ALIGNMENT}))) = {{\n{_rows(value)}}};\n"
        for name, value in unique_constants(program)
    )
    return f"""\
/* {c_text.title(program.name)} */
#include "weights.h"

#include <math.h>

{definitions}"""


def _declare(name: str, value: Array) -> str:
    return f"const {c_text.TYPES[str(value.dtype)]} {name}[{value.size}]"


def _rows(value: Array) -> str:
    """Print the elements in rows of at most LINE_LENGTH letters."""
    rows: list[str] = []
    row = " "
    for literal in _literals(value):
        if len(row) + len(literal) + 2 > LINE_LENGTH:
            rows.append(row)
            row = " "
        row += f" {literal},"
    return "\n".join([*rows, row]) + "\n"


def _literals(value: Array) -> list[str]:
    flat = np.ascontiguousarray(value).reshape(-1)
    if value.dtype == np.float32:
        return [_decimal(float(element)) for element in flat]
    return [c_text.integer_literal(int(element)) for element in flat]


def _decimal(value: float) -> str:
    """Nine significant digits give back every float32 exactly (IEEE 754-2008, 5.12.2)."""
    text = f"{value:.9g}"
    if "n" in text:
        return text.upper().replace("INF", "INFINITY")
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"
