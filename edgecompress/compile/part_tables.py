"""Tables of (bias, multiplier, shift) that lie shorter in flash, and are written into RAM for each part (parts.py).

Where all outputs have one multiplier and shift, only the biases lie in flash. Otherwise bias and shift are one word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile import c_text

COLUMNS = 3
SHIFT_BITS = 8
"""Bits of the word of a bias and a shift that are the shift's."""
BIAS_LIMIT = 2 ** (31 - SHIFT_BITS)
SHIFT_LIMIT = 2 ** (SHIFT_BITS - 1)


@dataclass(frozen=True, kw_only=True)
class OneScale:
    """A table with one multiplier and shift, which are scalars; it is written row by row (`by_row`) or by columns."""

    by_row: bool

    @property
    def word(self) -> str:
        """What it adds to a function's name."""
        return "one_scale"

    @property
    def parameter(self) -> str:
        """What takes the table's place among a function's parameters."""
        return "const int32_t *bias"

    @property
    def scalars(self) -> tuple[str, ...]:
        """What follows the kernel's scalars."""
        return "int32_t multiplier", "int32_t shift"

    def begin(self, rows: int) -> str:
        """Write the C that stands before all parts."""
        return (
            f"  for (uint32_t i = 0; i < {rows}u; ++i) {{\n"
            f"    table[{self._place(rows, 1)}] = multiplier;\n"
            f"    table[{self._place(rows, 2)}] = shift;\n"
            "  }\n"
        )

    def write(self, rows: int) -> str:
        """Write the C that completes the table of a part."""
        return (
            f"    for (uint32_t i = 0; i < {rows}u; ++i) {{\n"
            f"      table[{self._place(rows, 0)}] = bias[part * {rows}u + i];\n"
            "    }\n"
        )

    def _place(self, rows: int, column: int) -> str:
        """Where in the table row i has a column."""
        return f"i * {COLUMNS}u + {column}u" if self.by_row else f"i + {column * rows}u"


@dataclass(frozen=True, kw_only=True)
class TwoWords:
    """A table of which two words a row lie in flash: 256 * bias + shift, and the multiplier."""

    by_row: bool

    @property
    def word(self) -> str:
        """What it adds to a function's name."""
        return "two_words"

    @property
    def parameter(self) -> str:
        """What takes the table's place among a function's parameters."""
        return "const int32_t *table_words"

    @property
    def scalars(self) -> tuple[str, ...]:
        """What follows the kernel's scalars: none."""
        return ()

    def begin(self, rows: int) -> str:  # noqa: ARG002 -- as OneScale
        """Write the C that stands before all parts: none."""
        return ""

    def write(self, rows: int) -> str:
        """Write the C that writes the table of a part."""
        function = "write_table_rows" if self.by_row else "write_table_columns"
        return f"    {function}(table, table_words + part * {2 * rows}u, {rows}u);\n"


PartTable = OneScale | TwoWords
"""How a table lies in flash: what a function takes in its place, and the C that writes it into RAM."""


def two_words(columns: NDArray[np.int64]) -> NDArray[np.int32] | None:
    """Give two words for each row of (bias, multiplier, shift), from the columns; None where one does not fit."""
    bias, multiplier, shift = columns
    if max(bias.max(), -bias.min() - 1) >= BIAS_LIMIT or max(shift.max(), -shift.min() - 1) >= SHIFT_LIMIT:
        return None
    first = bias * 2**SHIFT_BITS + (shift & 2**SHIFT_BITS - 1)
    return np.stack([first, multiplier], axis=1).astype(np.int32)


def definitions(text: str) -> str:
    """Define the functions that the text calls."""
    return c_text.definitions(FUNCTIONS, text)


def _function(name: str, layout: str, places: tuple[str, str, str], step: int) -> str:
    bias, multiplier, shift = places
    return f"""\
/* Write a table {layout}: of each row two words are given, 256 * bias + shift and the multiplier. */
static __attribute__((noinline)) void {name}(int32_t *restrict table, const int32_t *restrict words, uint32_t rows) {{
  uint32_t left = rows;
  do {{
    const int32_t first = *words++;
    {bias} = first >> {SHIFT_BITS};
    {multiplier} = *words++;
    {shift} = (int8_t)first;
    table += {step};
  }} while (--left > 0);
}}
"""


FUNCTIONS = {
    "write_table_rows": _function("write_table_rows", "by rows", ("table[0]", "table[1]", "table[2]"), COLUMNS),
    "write_table_columns": _function(
        "write_table_columns", "by columns", ("table[0]", "table[rows]", "table[2 * rows]"), 1
    ),
}
"""Name -> definition."""
