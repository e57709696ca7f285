"""What each mode of --optimize would take: bounds of a network on a target, without running a compiler."""

from __future__ import annotations

from typing import get_args

from edgecompress.compile import fit
from edgecompress.compile.graph import to_programs
from edgecompress.compile.lower import lower
from edgecompress.compile.lowering import plan
from edgecompress.core.bundle import ModeBounds
from edgecompress.core.target import Target
from edgecompress.core.values import Model, Optimize

MODES: tuple[Optimize, ...] = get_args(Optimize)


def compare(model: Model, target: Target) -> tuple[ModeBounds, ...]:
    """Bound every mode. Raises ModelError for what cannot be compiled."""
    programs = to_programs(model, target, MODES)
    kernels = lower({name: kernel for program in programs for name, kernel in program.kernels.items()})
    fits = [
        fit.estimate(program, lowered.kernels, lowered.arena, target)
        for program in programs
        for lowered in [plan(program, kernels)]
    ]
    return tuple(
        ModeBounds(
            optimize=mode,
            weights_bytes=found.weights_bytes,
            code_bytes=found.code_bytes,
            arena_bytes=found.arena_bytes,
        )
        for mode, found in zip(MODES, fits, strict=True)
    )
