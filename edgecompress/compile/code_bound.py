"""Bound the machine code and the stack frames that a compiler makes of generated C, without running one.

The figures are an upper envelope, measured with gcc 12 -O3 over the kernels of the MLPerf Tiny networks on Cortex-M0+,
M3, M4, M7, M33 and M55; tests/pipeline/test_bounds.py holds them against every target's firmware.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgecompress.compile import c_text

BYTES_ONCE = 1500
"""A single function may pass its bound by so much, where gcc unrolls or vectorizes a tiny one; not all of them do."""

BYTES_PER_FUNCTION = 200
BYTES_PER_OPERATION = 2.5
BYTES_PER_SHORT_LOOP = 64
SHORT_LOOP = 16
"""gcc -O3 unrolls loops of up to 16 turns completely."""

BYTES_PER_ASSEMBLER_LINE = 4
FRAME_BYTES = 160
FRAME_BYTES_PER_VARIABLE = 8

_FUNCTION = re.compile(
    r"^(?:(?:\w+|__attribute__\(\([^)]*\)\)) \*?)+(?P<name>\w+)\([^;{}]*\) \{\n(?P<body>.*?)^\}",
    re.MULTILINE | re.DOTALL,
)
_OPERATION = re.compile(r"[-+*/%<>=&|^?\[]+")
_LOOP = re.compile(r"; \w+ < (\d+); \+\+")
_ASSEMBLER_LINE = re.compile(r'^\s*"[^"]*\\n"', re.MULTILINE)
_VARIABLE = re.compile(r"^\s*(?:const )?(?:float|u?int\d+_t) \w+( = |;)", re.MULTILINE)
_LOCAL_ARRAY = re.compile(r"^\s*(\w+) \w+\[(\d+)\];", re.MULTILINE)
_CALL = re.compile(r"\b(\w+)\(")


@dataclass(frozen=True, kw_only=True)
class Function:
    """What of a function's text its machine code depends on; those that are inlined count where they are called."""

    operations: int = 0
    short_loops: int = 0
    assembler_lines: int = 0
    variables: int = 0
    array_bytes: int = 0

    def __add__(self, other: Function) -> Function:
        return Function(
            operations=self.operations + other.operations,
            short_loops=self.short_loops + other.short_loops,
            assembler_lines=self.assembler_lines + other.assembler_lines,
            variables=self.variables + other.variables,
            array_bytes=self.array_bytes + other.array_bytes,
        )

    @property
    def code_bytes(self) -> int:
        """The bound on its code, but for BYTES_ONCE."""
        unrolled = BYTES_PER_SHORT_LOOP * self.short_loops
        assembled = BYTES_PER_ASSEMBLER_LINE * self.assembler_lines
        return BYTES_PER_FUNCTION + math.ceil(BYTES_PER_OPERATION * self.operations) + unrolled + assembled

    @property
    def frame_bytes(self) -> int:
        """The bound on its stack frame."""
        return FRAME_BYTES + FRAME_BYTES_PER_VARIABLE * self.variables + self.array_bytes


def code_bytes(source: str) -> int:
    """Bound the code of a C file."""
    return BYTES_ONCE + sum(function.code_bytes for function in functions(source).values())


def frame_bytes(source: str) -> int:
    """Bound the largest stack frame of a C file."""
    return max((function.frame_bytes for function in functions(source).values()), default=0)


@functools.lru_cache(maxsize=1)
def functions(source: str) -> Mapping[str, Function]:
    """Measure every function of a C file that is not inlined, what is inlined into it included."""
    bodies: dict[str, str] = {}
    inline: set[str] = set()
    for match in _FUNCTION.finditer(source):
        # A function that the preprocessor chooses between has several bodies; the sum is above each.
        bodies[match["name"]] = bodies.get(match["name"], "") + match["body"]
        if match[0].startswith("static inline"):
            inline.add(match["name"])
    return {name: _measure(name, bodies, inline) for name in bodies if name not in inline}


def _measure(name: str, bodies: Mapping[str, str], inline: set[str]) -> Function:
    body = bodies[name]
    callees = [callee for callee in _CALL.findall(body) if callee in inline and callee != name]
    return sum((_measure(callee, bodies, inline) for callee in callees), _measure_body(body))


def _measure_body(body: str) -> Function:
    widths = {ctype: np.dtype(dtype).itemsize for dtype, ctype in c_text.TYPES.items()}
    return Function(
        operations=len(_OPERATION.findall(body)),
        short_loops=sum(int(turns) <= SHORT_LOOP for turns in _LOOP.findall(body)),
        assembler_lines=len(_ASSEMBLER_LINE.findall(body)),
        variables=len(_VARIABLE.findall(body)),
        array_bytes=sum(widths.get(ctype, 8) * int(count) for ctype, count in _LOCAL_ARRAY.findall(body)),
    )
