"""Count the instructions of a network's layers for a step with an instruction budget: built, deployed and run once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from edgecompress.core.counting import CountInstructions, InstructionCounts, LayerInstructions
from edgecompress.core.errors import UsageError
from edgecompress.pipeline.steps import TargetFacts

if TYPE_CHECKING:
    from edgecompress.core.device import Device
    from edgecompress.core.recipe import Step
    from edgecompress.core.target import Target
    from edgecompress.core.values import Model, Optimize, Progress

BUDGET = "instructions"
"""The option of a step that is a budget of instructions."""

Connect = Callable[["Target"], AbstractContextManager["Device"]]


def inputs(steps: Iterable[Step], target: Target | None, optimize: Optimize, *device: str | None) -> list[Any]:
    """What the steps' results depend on beside their own inputs: nothing, unless one has a budget of instructions."""
    if target is None or not any(BUDGET in step.options for step in steps):
        return []
    return [target.model_dump(mode="json"), optimize, *device]


def facts(target: Target | None, optimize: Optimize, connect: Connect, progress: Progress) -> TargetFacts:
    """Tell steps what they may ask about the target; nothing without one."""
    if target is None:
        return TargetFacts()
    counts = counter(target, optimize, connect, progress)
    return TargetFacts(channel_multiple=target.channel_multiple, count_instructions=counts)


def counter(target: Target, optimize: Optimize, connect: Connect, progress: Progress) -> CountInstructions:
    """Return the function that counts on the device that `connect` reaches."""

    def count(model: Model) -> InstructionCounts:
        from edgecompress import compile as compiler

        with TemporaryDirectory(prefix="edgecompress-count-") as scratch, connect(target) as device:
            tick = device.instructions_per_tick
            if tick is None:
                raise UsageError(
                    f"{device.description} does not count instructions",
                    hint="count on an emulated board, as with -t mps2-an386, or leave out the option `instructions`",
                )
            bundle = compiler.build(model, target, Path(scratch) / "bundle", optimize=optimize, progress=progress)
            device.install(bundle, progress)
            ticks = device.profile({name: values[0] for name, values in bundle.vectors()[0].items()}, 1)
        layers = zip(bundle.manifest.layers, ticks, strict=True)
        counted = tuple(
            LayerInstructions(nodes=layer.onnx_nodes, instructions=min(taken) * tick) for layer, taken in layers
        )
        return InstructionCounts(target=target.name, tick=tick, layers=counted)

    return count
