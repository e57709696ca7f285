"""The transforms of Winograd's filters (winograd.py) as C on vectors, one line of a tile at a time.

`winograd4_input_vec8(line, step)` brings six vectors, `step` apart, to the points of F(4, 3) in their place;
`winograd4_output_vec8` brings six sums at the points to four results. Points come in pairs: the terms of +p and -p
differ in the sign of odd powers only, so that both take one sum of even and one of odd powers.

What is rounded where stands in the name, as in c_vector.py: `_fused` once for a product and its sum, `_separate` after
each. `_lanes` is fused too, its factors are lanes of the registers `k`: those that FACTORS lists, in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np

from edgecompress.compile import c_text, c_vector
from edgecompress.compile.c_text import float_literal
from edgecompress.compile.winograd import FILTERS, Filter

LANES = 4

Side = Literal["input", "output"]
Kind = Literal["fused", "separate", "lanes"]

_HEAD = """\
static inline __attribute__((always_inline)) void {name}(vec{width} *line, const uint32_t step{more}) {{
{body}}}
"""


@dataclass
class _Line:
    """A line's transform in the making: statements, and the factors that they used, in order."""

    width: int
    kind: Kind
    factors: list[Fraction] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)

    def let(self, name: str, value: str) -> str:
        """Name a vector."""
        self.statements.append(f"const vec{self.width} {name} = {value};")
        return name

    def put(self, place: int, value: str) -> None:
        """Write a vector of the line."""
        self.statements.append(f"line[{_place(place)}] = {value};")

    def plus(self, total: str, factor: Fraction, vector: str) -> str:
        """`total + factor * vector`."""
        if abs(factor) == 1:
            return f"{'add' if factor > 0 else 'subtract'}_vec{self.width}({total}, {vector})"
        if self.kind == "lanes":
            if factor not in self.factors:
                self.factors.append(factor)
            register, lane = divmod(self.factors.index(factor), LANES)
            return f"fused_lane_vec{self.width}({total}, {vector}, k[{register}], {lane})"
        return f"{self.kind}_vec{self.width}({total}, {vector}, {self._splat(factor)})"

    def combination(self, terms: Sequence[tuple[Fraction, str]]) -> str:
        """The sum of factors times vectors, from a term with the factor 1 where there is one."""
        present = [(factor, vector) for factor, vector in terms if factor]
        present.sort(key=lambda term: term[0] != 1)
        (first, total), *rest = present
        if first != 1:
            total = self._times(first, total)
        for factor, vector in rest:
            total = self.plus(total, factor, vector)
        return total

    def _times(self, factor: Fraction, vector: str) -> str:
        if self.kind != "lanes":
            return f"multiply_vec{self.width}({vector}, {self._splat(factor)})"
        return self.plus(f"(vec{self.width}){{0}}", factor, vector)

    def _splat(self, factor: Fraction) -> str:
        bits = int(np.float32(float(factor)).view(np.int32))
        return f"splat_vec{self.width}({float_literal(bits)})"


def name(side: Side, results: int, width: int, kind: Kind) -> str:
    """The name of a line's transform."""
    return f"winograd{results}_{side}_{kind}_vec{width}"


def _place(number: int) -> str:
    return f"{number}u * step" if number > 1 else ("step" if number else "0")


def _take(line: _Line, size: int) -> list[str]:
    return [line.let(f"d{number}", f"line[{_place(number)}]") for number in range(size)]


def _input_line(line: _Line, used: Filter) -> None:
    taken = _take(line, used.size)
    rows = used.inputs
    for number, pair in enumerate(used.pairs):
        row = rows[1 + 2 * number]
        even = [(factor, vector) for factor, vector in zip(row[::2], taken[::2], strict=True)]
        odd = [(factor / pair, vector) for factor, vector in zip(row[1::2], taken[1::2], strict=True)]
        line.let(f"even{number}", line.combination(even[::-1]))
        line.let(f"odd{number}", line.combination(odd[::-1]))
    for row, place in ((rows[0], 0), (rows[-1], used.size - 1)):
        line.put(place, line.combination(list(zip(row, taken, strict=True))[::-1]))
    for number, pair in enumerate(used.pairs):
        line.put(1 + 2 * number, line.plus(f"even{number}", pair, f"odd{number}"))
        line.put(2 + 2 * number, line.plus(f"even{number}", -pair, f"odd{number}"))


def _output_line(line: _Line, used: Filter) -> None:
    taken = _take(line, used.size)
    for number in range(len(used.pairs)):
        plus, minus = taken[1 + 2 * number], taken[2 + 2 * number]
        line.let(f"even{number}", f"add_vec{line.width}({plus}, {minus})")
        line.let(f"odd{number}", f"subtract_vec{line.width}({plus}, {minus})")
    for power, row in enumerate(used.outputs):
        parity = "odd" if power % 2 else "even"
        terms = [(row[1 + 2 * number], f"{parity}{number}") for number in range(len(used.pairs))]
        line.put(power, line.combination([(row[0], taken[0]), (row[-1], taken[-1]), *terms]))


_WRITE: Mapping[Side, Callable[[_Line, Filter], None]] = {"input": _input_line, "output": _output_line}


def _written(side: Side, results: int, width: int, kind: Kind) -> _Line:
    line = _Line(width=width, kind=kind)
    _WRITE[side](line, FILTERS[results])
    return line


def _function(side: Side, results: int, width: int, kind: Kind) -> str:
    body = "".join(f"  {statement}\n" for statement in _written(side, results, width, kind).statements)
    more = f", const vec{width} *k" if kind == "lanes" else ""
    return _HEAD.format(name=name(side, results, width, kind), width=width, more=more, body=body)


def factors(side: Side, results: int) -> tuple[float, ...]:
    """The factors that a line's transform `_lanes` finds in `k`, filled up to whole registers."""
    found = _written(side, results, LANES, "lanes").factors
    return tuple(map(float, found)) + (0.0,) * (-len(found) % LANES)


def _functions() -> dict[str, str]:
    table: dict[str, str] = {}
    sides: tuple[Side, ...] = ("input", "output")
    for width in c_vector.WIDTHS:
        kinds: tuple[Kind, ...] = ("fused", "separate", "lanes") if width == LANES else ("fused", "separate")
        table |= {
            name(side, results, width, kind): _function(side, results, width, kind)
            for results in FILTERS
            for side in sides
            for kind in kinds
        }
    return table


FUNCTIONS = _functions()
"""Name -> definition; a function stands after those that it calls."""


def definitions(text: str) -> str:
    """Define the functions that some C text uses, in order. They use those of c_vector_math.py."""
    return c_text.definitions(FUNCTIONS, text)
