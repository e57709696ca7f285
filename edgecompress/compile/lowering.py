"""A program with its kernels in C and its arena planned: what bounds and sources are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgecompress.compile import memory, threads
from edgecompress.compile.lower import lower
from edgecompress.compile.program import CKernel, Program
from edgecompress.core.bundle import Arena


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """A program with its kernels in C and its arena planned."""

    program: Program
    kernels: Mapping[str, CKernel]
    arena: Arena


def lower_and_plan(program: Program) -> Lowered:
    """Bring a program's kernels to C and plan its arena."""
    return plan(program, lower(program.kernels))


def plan(program: Program, lowered: Mapping[str, CKernel]) -> Lowered:
    """Plan the arena of a program whose kernels are in C already."""
    kernels = {name: lowered[name] for name in program.kernels}
    kernels |= {name: cut.wrap(kernels) for name, cut in program.cuts.items()}
    long = {call.kernel for call in program.calls if threads.is_long(call, kernels[call.kernel])}
    kernels |= {name: threads.spread(kernels[name]) for name in long}
    workspaces = {name: kernel.workspaces for name, kernel in kernels.items()}
    return Lowered(program=program, kernels=kernels, arena=memory.plan(memory.lifetimes(program, workspaces)))
