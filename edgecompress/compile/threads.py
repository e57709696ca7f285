"""The outermost loops of a kernel, spread over the cores of a device (device_runtime/include/edgert_parallel.h).

Each becomes a function that computes a range of its turns. Every result is computed by one turn, in one order: the
bytes do not depend on the number of threads. A loop without another one inside, as one that copies an image into its
border, is over too soon to be worth it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgecompress.compile import c_text
from edgecompress.compile.program import CKernel

LEAST_MACS = 100_000
"""A layer of fewer is done before another core has woken up."""

DEFINITIONS = {"edgert_split": '#include "edgert_parallel.h"\n'}
PART = "__part"
"""Stands between a kernel's name and the number of a loop in the name of the loop's function."""

_KERNEL = re.compile(r"(KERNEL void \w+\([^)]*\) \{\n)(.*)(^\}\n)", re.MULTILINE | re.DOTALL)
_LOOP = re.compile(r"for \(uint32_t (\w+) = 0; \1 < (\d+)u; \+\+\1\) \{")
_LOCAL_POINTER = re.compile(r"(const float \*)const (\w+) = .*;")
_DECLARATION = re.compile(r"\s*(const )?[a-z]\w* \**(const )?\w+ = ")


@dataclass(frozen=True, kw_only=True)
class _Pointer:
    """A pointer that a loop knows from outside."""

    type: str
    name: str

    def read_in(self, lines: Sequence[str]) -> bool:
        return any(re.search(rf"\b{self.name}\b", line) for line in lines)

    def moved_in(self, lines: Sequence[str]) -> bool:
        return any(re.search(rf"\b{self.name} (\+)?= ", line) for line in lines)


def spread(kernel: CKernel) -> CKernel:
    """Give the outermost loops of a kernel that `spreads` to all threads; another kernel is returned as it is."""
    text = _KERNEL.fullmatch(kernel.source)
    if not kernel.spreads or text is None:
        return kernel
    known = [_pointer(parameter) for parameter in c_text.parameters(kernel.source)]
    body = [line.removeprefix("  ") for line in text[2].splitlines()]
    known += [_Pointer(type=found[1], name=found[2]) for found in map(_LOCAL_POINTER.fullmatch, body) if found]
    functions: list[str] = []
    lines = _spread(kernel.name, known, body, functions)
    return replace(kernel, source="".join(functions) + text[1] + "".join(f"  {line}\n" for line in lines) + text[3])


def _pointer(parameter: str) -> _Pointer:
    kind, _, name = parameter.rpartition("*")
    return _Pointer(type=f"{kind}*", name=name)


def _spread(kernel: str, known: Sequence[_Pointer], body: Sequence[str], functions: list[str]) -> list[str]:
    """Replace the outermost loops of a body by calls, and add the functions that they become."""
    lines: list[str] = []
    for statement in _statements(body):
        loop = _LOOP.fullmatch(statement[0])
        inner = [line.removeprefix("  ") for line in statement[1:-1]]
        is_deep = any("for (" in line for line in inner)
        if loop is not None and is_deep and not any(pointer.moved_in(inner) for pointer in known):
            used = [pointer for pointer in known if pointer.read_in(inner)]
            name = f"{kernel}{PART}{len(functions)}"
            functions.append(_function(name, used, loop[1], inner))
            lines += _call(name, used, int(loop[2]))
        elif statement[0] == "{" and not any(_DECLARATION.match(line) for line in inner if not line.startswith(" ")):
            lines += ["{", *(f"  {line}" for line in _spread(kernel, known, inner, functions)), "}"]
        else:
            lines += statement
    return lines


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


def _function(name: str, used: Sequence[_Pointer], variable: str, inner: Sequence[str]) -> str:
    """Write the struct of what a loop knows from outside, and the function of a range of its turns."""
    members = "".join(f"  {pointer.type}{pointer.name};\n" for pointer in used)
    taken = "".join(f"  {pointer.type}restrict {pointer.name} = known->{pointer.name};\n" for pointer in used)
    lines = "".join(f"    {line}\n" for line in inner)
    return (
        f"struct {name} {{\n{members}}};\n\n"
        f"static void {name}(uint32_t begin, uint32_t end, void *context) {{\n"
        f"  const struct {name} *const known = context;\n{taken}"
        f"  for (uint32_t {variable} = begin; {variable} < end; ++{variable}) {{\n{lines}  }}\n}}\n\n"
    )


def _call(name: str, used: Sequence[_Pointer], count: int) -> list[str]:
    values = ", ".join(pointer.name for pointer in used)
    return ["{", f"  struct {name} known = {{{values}}};", f"  edgert_split({name}, &known, {count}u);", "}"]
