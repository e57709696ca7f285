"""A program's constants as bytes: weights.h as ever, weights.bin, and weights.s, which puts them under their C names.

A C compiler takes minutes for ten million numbers; an assembler takes a file of any size at once (.incbin). The
directives are those that GNU as and clang have for every architecture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgecompress.compile import c_text, emit_weights
from edgecompress.compile.memory import ALIGNMENT

if TYPE_CHECKING:
    from edgecompress.compile.program import Program

HIDDEN = """\
/* Not seen from outside of a shared library: reached without a table of addresses. */
#define HIDDEN __attribute__((visibility("hidden")))
"""


def weights_files(program: Program, folder: str) -> dict[str, str | bytes]:
    """Make the constants' files by name. The assembler finds weights.bin in `folder`, from where it is started."""
    symbols, data, lines = emit_weights.unique_constants(program), bytearray(), ""
    for name, value in symbols:
        content = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<")).tobytes()
        lines += _symbol(name, f"{folder}/weights.bin", len(data), len(content))
        data += content + bytes(-len(content) % ALIGNMENT)
    source = f'/* {c_text.title(program.name)} */\n{lines}.section .note.GNU-stack,"",%progbits\n'
    header = emit_weights.weights_header(program, "HIDDEN")
    return {
        "weights.h": header.replace("#include <stdint.h>\n", f"#include <stdint.h>\n\n{HIDDEN}"),
        "weights.s": source,
        "weights.bin": bytes(data),
    }


def _symbol(name: str, file: str, start: int, length: int) -> str:
    """A section of its own, so that a constant which nobody reads is left out."""
    content = f'.incbin "{file}", {start}, {length}' if length else ".zero 0"
    return f"""\
.section .rodata.{name},"a",%progbits
.balign {ALIGNMENT}
.globl {name}
.hidden {name}
.type {name}, %object
{name}:
{content}
.size {name}, {length}

"""
