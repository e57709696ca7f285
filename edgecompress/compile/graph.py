"""Model -> Program: check the operators, import the graph, and take the integer or the float path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgecompress.compile import frontend, operators
from edgecompress.compile.memory import CACHE_LINE
from edgecompress.compile.program import Program
from edgecompress.core.target import Target
from edgecompress.core.values import Model, Optimize


def to_program(model: Model, target: Target, optimize: Optimize = "balanced") -> Program:
    """Bring a network to kernels and calls for a target; `optimize` says what to save.

    Raises ModelError that lists every operator that cannot be compiled.
    """
    return to_programs(model, target, (optimize,))[0]


def to_programs(model: Model, target: Target, modes: Sequence[Optimize]) -> tuple[Program, ...]:
    """Do what `to_program` does for several modes; kernels of one name are one."""
    operators.check(model)
    imported = frontend.import_onnx(model)
    if model.is_quantized:
        from edgecompress.compile import integer

        programs = tuple(integer.to_program(imported, model, target, mode) for mode in modes)
        return tuple(_aligned(program, target) for program in programs)
    from edgecompress.compile import floating
    from edgecompress.compile.kernels import vector_winograd_choice

    prices = [vector_winograd_choice.price(target, mode) for mode in modes]
    by_price = {
        price: _aligned(floating.to_program(imported, model, target, winograd_price=price), target)
        for price in dict.fromkeys(prices)
    }
    return tuple(replace(by_price[price], optimize=mode) for price, mode in zip(prices, modes, strict=True))


def _aligned(program: Program, target: Target) -> Program:
    """Let tensors begin at cache lines where there are caches."""
    return replace(program, alignment=CACHE_LINE) if target.system == "linux" else program
