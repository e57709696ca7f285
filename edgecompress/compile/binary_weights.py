"""A program's constants as bytes: weights.h as ever, weights.bin, and weights.s, which puts them under their C names.
room.s does the same for the host program, which reads weights.bin when it starts.

A C compiler takes minutes for ten million numbers; an assembler takes a file of any size at once (.incbin). The
directives are those that GNU as and clang have for every architecture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgecompress.compile import c_text, emit_weights
from edgecompress.compile.memory import CACHE_LINE

if TYPE_CHECKING:
    from edgecompress.compile.program import Program

NO_STACK = '.section .note.GNU-stack,"",%progbits\n'
HIDDEN = """\
/* Not seen from outside of a shared library: reached without a table of addresses. */
#define HIDDEN __attribute__((visibility("hidden")))
"""


ROOM = "model_weights"
"""The host program's symbol of all weights, device_runtime/ports/reference/read_weights.c."""
PAGE_BYTES = 4096


def header(program: Program) -> str:
    """Print weights.h."""
    text = emit_weights.weights_header(program, "HIDDEN")
    return text.replace("#include <stdint.h>\n", f"#include <stdint.h>\n\n{HIDDEN}")


def weights_files(program: Program, folder: str) -> dict[str, str | bytes]:
    """Make the constants' files but for the header, by name.

    The assembler finds weights.bin in `folder`, from where it is started. room.s has the same symbols in memory that is
    empty until the host program has read weights.bin into it.
    """
    symbols, data = emit_weights.unique_constants(program), bytearray()
    title = f"/* {c_text.title(program.name)} */\n"
    source, room = title, ""
    for name, value in symbols:
        content = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"), copy=False).data.cast("B")
        source += _symbol(name, f"{folder}/weights.bin", len(data), len(content))
        room += f".globl {name}\n.hidden {name}\n.set {name}, {ROOM} + {len(data)}\n"
        data += content
        data += bytes(-len(content) % CACHE_LINE)
    return {
        "weights.s": source + NO_STACK,
        "weights.bin": bytes(data),
        "room.s": title + _room(len(data)) + room + NO_STACK,
    }


def _room(length: int) -> str:
    return f"""\
.section .bss.{ROOM},"aw",%nobits
.balign {PAGE_BYTES}
.globl {ROOM}
{ROOM}:
.zero {length}
.globl {ROOM}_end
{ROOM}_end:

"""


def _symbol(name: str, file: str, start: int, length: int) -> str:
    """A section of its own, so that a constant which nobody reads is left out."""
    content = f'.incbin "{file}", {start}, {length}' if length else ".zero 0"
    return f"""\
.section .rodata.{name},"a",%progbits
.balign {CACHE_LINE}
.globl {name}
.hidden {name}
.type {name}, %object
{name}:
{content}
.size {name}, {length}

"""
