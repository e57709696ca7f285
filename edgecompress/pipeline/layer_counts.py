"""Count the instructions of a network's layers for a step with an instruction budget: built, deployed and run once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from edgecompress.core.counting import CountInstructions, InstructionCounts, LayerInstructions
from edgecompress.core.errors import UsageError

if TYPE_CHECKING:
    from edgecompress.core.device import Device
    from edgecompress.core.recipe import Step
    from edgecompress.core.target import Target
    from edgecompress.core.values import Model, Optimize, Progress

BUDGET = "instructions"
"""The option of a step that is a budget of instructions."""

Connect = Callable[[], AbstractContextManager["Device"]]


def are_needed(steps: Iterable[Step]) -> bool:
    """Whether a step has an instruction budget: then its result depends on the target."""
    return any(BUDGET in step.options for step in steps)


def counter(target: Target, optimize: Optimize, connect: Connect, progress: Progress) -> CountInstructions:
    """Return the function that counts on the device that `connect` reaches."""

    def count(model: Model) -> InstructionCounts:
        from edgecompress import compile as compiler

        with TemporaryDirectory(prefix="edgecompress-count-") as scratch, connect() as device:
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
