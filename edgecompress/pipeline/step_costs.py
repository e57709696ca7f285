"""What each step of a recipe costs on the device: every network before the last is built, deployed and measured too.

The last one is what the run deploys and profiles anyway. Writes RUN/steps.json.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from edgecompress.core import plugins
from edgecompress.core.effects import ON_DEVICE, StepEffect
from edgecompress.core.errors import DoesNotFitError, ModelError
from edgecompress.core.values import FileValue, Measurement
from edgecompress.pipeline import steps

if TYPE_CHECKING:
    from edgecompress.core.device import Device
    from edgecompress.core.run_folder import Run
    from edgecompress.core.target import Target
    from edgecompress.core.values import Optimize

UNITS = {"flash_bytes": "bytes", "ram_bytes": "bytes", "latency_instructions": "instructions", "latency_us": "us"}
REPEAT = 5
"""An emulator counts the same each time; a clock gets more samples from the latency's own rule."""

Connect = Callable[[], AbstractContextManager["Device"]]


class StepEffects(FileValue):
    """steps.json, and model/steps.json before anything was built."""

    effects: tuple[StepEffect, ...]


def measure(run: Run, chosen: Target, optimize: Optimize, connect: Connect) -> StepEffects:
    """Add the figures of the device to every step but the last."""
    found = run.read("model/steps.json", StepEffects, by="compress").effects
    measured = [
        effect.model_copy(update={"metrics": (*effect.metrics, *_on_device(run, effect, chosen, optimize, connect))})
        for effect in found[:-1]
    ]
    return StepEffects(effects=(*measured, found[-1]))


def with_last(effects: tuple[StepEffect, ...], profiled: tuple[Measurement, ...]) -> tuple[StepEffect, ...]:
    """Give the last step the figures of the run's own profile."""
    last = effects[-1]
    figures = tuple(m for m in profiled if m.metric in ON_DEVICE and m.conditions.get("threads", "1") == "1")
    return (*effects[:-1], last.model_copy(update={"metrics": (*last.metrics, *figures)}))


def _on_device(
    run: Run, effect: StepEffect, chosen: Target, optimize: Optimize, connect: Connect
) -> tuple[Measurement, ...]:
    from edgecompress import compile as compiler
    from edgecompress import models
    from edgecompress.core import bundle as bundles
    from edgecompress.core.values import Evidence

    place = steps.folder(run, effect.number, effect.method)
    path = run.folder / "model" / "baseline.onnx" if effect.number == 0 else place / "model.onnx"
    model = models.load(path)
    try:
        compiler.build(
            model,
            chosen,
            place / "bundle",
            samples=run.evaluation(),
            optimize=optimize,
            progress=run.observer.progress,
        )
    except (DoesNotFitError, ModelError) as error:
        return tuple(_missing(metric, f"not built: {error.message}") for metric in UNITS)
    bundle = bundles.load(place / "bundle")
    evidence = Evidence(
        model=model,
        baseline=model,
        evaluation=run.evaluation(),
        repeat=REPEAT,
        progress=run.observer.progress,
    )
    with connect() as device:
        device.install(bundle, run.observer.progress)
        found = [
            plugins.find("measure", name, where="measure").read(device, bundle, evidence).metrics
            for name in ("memory", "latency")
        ]
    return tuple(m for each in found for m in each if m.metric in ON_DEVICE and m.conditions.get("threads", "1") == "1")


def _missing(metric: str, why: str) -> Measurement:
    return Measurement(metric=metric, unit=UNITS[metric], value=None, missing=why)
