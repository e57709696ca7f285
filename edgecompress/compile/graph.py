"""Model -> Program: check the operators, import the graph, and take the integer or the float path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from edgecompress.compile import frontend, half_losses, operators, vectors
from edgecompress.compile.half_losses import Loss
from edgecompress.compile.memory import CACHE_LINE
from edgecompress.compile.program import Program
from edgecompress.core.errors import ConfigError
from edgecompress.core.target import Target
from edgecompress.core.values import Model, Optimize, Samples


def to_program(
    model: Model, target: Target, optimize: Optimize = "balanced", samples: Samples | None = None
) -> Program:
    """Bring a network to kernels and calls for a target; `optimize` says what to save.

    What half precision costs is measured on the `samples`, or on seeded inputs. Raises ModelError that lists every
    operator that cannot be compiled.
    """
    return to_programs(model, target, (optimize,), samples)[0]


def to_programs(
    model: Model, target: Target, modes: Sequence[Optimize], samples: Samples | None = None
) -> tuple[Program, ...]:
    """Do what `to_program` does for several modes; kernels of one name are one."""
    operators.check(model)
    losses = _losses(model, target, samples)
    imported = frontend.import_onnx(model)
    if model.is_quantized:
        from edgecompress.compile import integer

        programs = tuple(integer.to_program(imported, model, target, mode) for mode in modes)
        return tuple(_aligned(program, target) for program in programs)
    from edgecompress.compile import floating
    from edgecompress.compile.kernels import vector_winograd_choice

    prices = [vector_winograd_choice.price(target, mode) for mode in modes]
    by_price = {
        price: _aligned(floating.to_program(imported, model, target, winograd_price=price, losses=losses), target)
        for price in dict.fromkeys(prices)
    }
    return tuple(replace(by_price[price], optimize=mode) for price, mode in zip(prices, modes, strict=True))


def _losses(model: Model, target: Target, samples: Samples | None) -> Mapping[str, Loss] | None:
    """What half precision would cost each layer, where the target is to compute in it; ConfigError if it cannot."""
    if target.arithmetic != "half":
        return None
    if model.is_quantized:
        raise ConfigError(
            f"{model.name} computes with integers; half precision is for networks of floats",
            hint="leave out --arithmetic half (in a target profile: arithmetic), or the step that quantizes",
        )
    return half_losses.measure(model, vectors.choose_inputs(model.inputs, samples)[0])


def _aligned(program: Program, target: Target) -> Program:
    """Let tensors begin at cache lines where there are caches."""
    return replace(program, alignment=CACHE_LINE) if target.system == "linux" else program
