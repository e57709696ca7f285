"""The outermost loops of a kernel, spread over the cores of a device (device_runtime/include/edgert_parallel.h).

Each becomes a function that computes a range of its turns. Every result is computed by one turn, in one order: the
bytes do not depend on the number of threads. A loop without another one inside is over too soon to be worth it, but one
that copies a large image into its border.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgecompress.compile import c_text
from edgecompress.compile.program import Call, CKernel

LEAST_MACS = 100_000
"""A layer of fewer is done before another core has woken up."""
LEAST_WORK = 40_000
"""The same in instructions, for kernels that sum no products."""

LEAST_COPIED = 50_000
"""Numbers that a loop copies: 200 kB of floats, which leave the level 1 cache of any core."""

DEFINITIONS = {"edgert_split": '#include "edgert_parallel.h"\n'}
FEW_TURNS = 8
"""A loop of fewer would leave cores without work: the one inside it is spread instead, where it has more."""

PART = "__part"
"""Stands between a kernel's name and the number of a loop in the name of the loop's function."""

_KERNEL = re.compile(r"(KERNEL void \w+\([^)]*\) \{\n)(.*)(^\}\n)", re.MULTILINE | re.DOTALL)
_LOOP = re.compile(r"for \(uint32_t (\w+) = 0; \1 < (\d+)u; \+\+\1\) \{")
_LOOP_IN_TURN = re.compile(r"for \(uint32_t (\w+) = 0; \1 != \d+u; \+\+\1\) \{")
"""A loop whose turns write what the next one writes too: the loops inside it are spread."""
_RANGE = re.compile(r"for \(uint32_t first = 0, last = (\d+)u; first < last; first = last\) \{")
"""What `over_range` writes."""
_LOCAL_POINTER = re.compile(r"(const \w+ \*)const (\w+) = .*;")
_COPY = re.compile(r"(?:copy_\w+|narrow_floats|widen_halves)\(.*, (\d+)u\);")
_MOVED = re.compile(r"\b(\w+) \+?= ")
_WORD = re.compile(r"\w+")
_DECLARATION = re.compile(r"\s*(const )?[a-z]\w* \**(const )?\w+ = ")


@dataclass(frozen=True, kw_only=True)
class _Known:
    """A pointer, a number, or the index of a loop around it, that a loop knows from outside."""

    type: str
    name: str

    @property
    def declaration(self) -> str:
        if self.type.endswith("*"):
            return f"{self.type}restrict {self.name}"
        return f"const {self.type}{self.name}"


def over_range(turns: int, body: Sequence[str]) -> list[str]:
    """Let threads take ranges of so many turns; the body computes those from `first` to `last`, in loops of any order.

    What the body does once is done once a range: one thread has all turns in one.
    """
    return [f"for (uint32_t first = 0, last = {turns}u; first < last; first = last) {{", *_indented(body), "}"]


def is_long(call: Call, kernel: CKernel) -> bool:
    """True for a layer that takes long enough to be spread."""
    return call.macs >= LEAST_MACS or kernel.work >= LEAST_WORK


def spread(kernel: CKernel) -> CKernel:
    """Give the outermost loops of a kernel that `spreads` to all threads; another kernel is returned as it is."""
    text = _KERNEL.fullmatch(kernel.source)
    if not kernel.spreads or text is None:
        return kernel
    known = [_parameter(parameter) for parameter in c_text.parameters(kernel.source)]
    body = [line.removeprefix("  ") for line in text[2].splitlines()]
    known += [_Known(type=found[1], name=found[2]) for found in map(_LOCAL_POINTER.fullmatch, body) if found]
    functions: list[str] = []
    lines = _spread(kernel.name, known, body, functions)
    inside = "".join(f"{line}\n" for line in _indented(lines))
    return replace(kernel, source="".join(functions) + text[1] + inside + text[3])


def _parameter(parameter: str) -> _Known:
    end = "*" if "*" in parameter else " "
    kind, _, name = parameter.rpartition(end)
    return _Known(type=f"{kind}{end}", name=name)


def _spread(kernel: str, known: Sequence[_Known], body: Sequence[str], functions: list[str]) -> list[str]:
    """Replace the outermost loops of a body by calls, and add the functions that they become."""
    lines: list[str] = []
    for statement in _statements(body):
        loop, in_turn = _LOOP.fullmatch(statement[0]), _LOOP_IN_TURN.fullmatch(statement[0])
        whole = _RANGE.fullmatch(statement[0])
        inner = [line.removeprefix("  ") for line in statement[1:-1]]
        if loop is not None and _is_worth_it(known, int(loop[2]), inner):
            lines += _spread_loop(kernel, known, (loop[1], int(loop[2])), inner, functions)
        elif whole is not None:
            taken = ["const uint32_t first = begin, last = end;", *inner]
            lines += _as_function(kernel, known, int(whole[1]), taken, functions)
        elif in_turn is not None:
            around = [*known, _Known(type="uint32_t ", name=in_turn[1])]
            lines += [statement[0], *_indented(_spread(kernel, around, inner, functions)), "}"]
        elif statement[0] == "{" and not any(_DECLARATION.match(line) for line in inner if not line.startswith(" ")):
            lines += ["{", *_indented(_spread(kernel, known, inner, functions)), "}"]
        else:
            lines += statement
    return lines


def _is_worth_it(known: Sequence[_Known], turns: int, inner: Sequence[str]) -> bool:
    text = "\n".join(inner)
    copied = turns * sum(map(int, _COPY.findall(text)))
    moved = set(_MOVED.findall(text))
    return ("for (" in text or copied >= LEAST_COPIED) and not any(each.name in moved for each in known)


def _spread_loop(
    kernel: str, known: Sequence[_Known], loop: tuple[str, int], inner: Sequence[str], functions: list[str]
) -> list[str]:
    """Spread a loop over (its index, its turns), or the only one inside it when that has more turns for the cores."""
    index, turns = loop
    statements = _statements(inner)
    deeper = _LOOP.fullmatch(statements[0][0]) if len(statements) == 1 else None
    if turns < FEW_TURNS and deeper is not None and int(deeper[2]) > turns:
        around = [*known, _Known(type="uint32_t ", name=index)]
        head = f"for (uint32_t {index} = 0; {index} < {turns}u; ++{index}) {{"
        return [head, *_indented(_spread(kernel, around, inner, functions)), "}"]
    head = f"for (uint32_t {index} = begin; {index} < end; ++{index}) {{"
    return _as_function(kernel, known, turns, [head, *_indented(inner), "}"], functions)


def _as_function(
    kernel: str, known: Sequence[_Known], turns: int, body: Sequence[str], functions: list[str]
) -> list[str]:
    """Make a function of what computes the turns from `begin` to `end`, and call it for all of them."""
    words = set(_WORD.findall("\n".join(body)))
    used = [each for each in known if each.name in words]
    name = f"{kernel}{PART}{len(functions)}"
    functions.append(_function(name, used, body))
    return _call(name, used, turns)


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _statements(body: Sequence[str]) -> list[list[str]]:
    """Cut a body into its statements: lines of their own, and blocks from their head to the brace that ends them."""
    found: list[list[str]] = []
    is_open = False
    for line in body:
        if is_open:
            found[-1].append(line)
        else:
            found.append([line])
        is_open = line.endswith("{") or (is_open and line != "}")
    return found


def _function(name: str, used: Sequence[_Known], body: Sequence[str]) -> str:
    """Write the struct of what a loop knows from outside, and the function of a range of its turns."""
    members = "".join(f"  {each.type}{each.name};\n" for each in used)
    taken = "".join(f"  {each.declaration} = known->{each.name};\n" for each in used)
    lines = "".join(f"  {line}\n" for line in body)
    return (
        f"struct {name} {{\n{members}}};\n\n"
        f"static void {name}(uint32_t begin, uint32_t end, void *context) {{\n"
        f"  const struct {name} *const known = context;\n{taken}{lines}}}\n\n"
    )


def _call(name: str, used: Sequence[_Known], count: int) -> list[str]:
    values = ", ".join(each.name for each in used)
    return ["{", f"  struct {name} known = {{{values}}};", f"  edgert_split({name}, &known, {count}u);", "}"]
