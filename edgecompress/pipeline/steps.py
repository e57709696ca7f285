"""The steps of a recipe: applied in order, each kept as it is done, so that an interrupted recipe goes on at its step.

RUN/steps/02_qat/model.onnx    the network after the step
RUN/steps/02_qat/step.json     the key of what it was made from, and what the step found
RUN/steps/02_qat/scratch-KEY/  what the step keeps for itself while it runs: a checkpoint
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from edgecompress.core import files, plugins
from edgecompress.core.effects import StepEffect
from edgecompress.core.recipe import Step
from edgecompress.core.values import Context, FileValue, Finding

if TYPE_CHECKING:
    from edgecompress.core.counting import CountInstructions
    from edgecompress.core.run_folder import Run
    from edgecompress.core.values import Data, Measurement, Model


class StepRecord(FileValue):
    """step.json."""

    key: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TargetFacts:
    """What steps are told of the target: see Context."""

    channel_multiple: int = 1
    count_instructions: CountInstructions | None = None


def apply(
    run: Run, baseline: Model, data: Data | None, key: str, facts: TargetFacts
) -> Iterator[tuple[Model, StepEffect]]:
    """Yield the network and its figures as given, then after each step. `key` is that of the stage's inputs."""
    model = baseline
    yield model, StepEffect(number=0, method="as given", metrics=_figures(run, model, baseline, data))
    for number, step in enumerate(run.record.recipe.steps, start=1):
        key = _digest([key, step.model_dump(mode="json")])
        model, findings = _apply_or_reuse(run, number, step, model, data, key, facts)
        yield (
            model,
            StepEffect(
                number=number,
                method=step.method,
                options=model.steps[-1].options if model.steps else {},
                metrics=_figures(run, model, baseline, data),
                findings=findings,
            ),
        )


def folder(run: Run, number: int, method: str) -> Path:
    """Where a step leaves its network."""
    return run.folder / "steps" / f"{number:02}_{method}"


def _apply_or_reuse(
    run: Run, number: int, step: Step, model: Model, data: Data | None, key: str, facts: TargetFacts
) -> tuple[Model, tuple[Finding, ...]]:
    from edgecompress import models
    from edgecompress.models import onnx_file

    place = folder(run, number, step.method)
    record = _record(place)
    if record is not None and record.key == key and (place / "model.onnx").is_file():
        return models.load(place / "model.onnx"), record.findings
    where = f"{run.record.source}: step {number}"
    method = plugins.find("compress", step.method, where=where)
    findings: list[Finding] = []
    scratch = _scratch(place, key)
    context = Context(
        data=data,
        where=f"{where} ({step.method})",
        base=Path(run.record.source).resolve().parent,
        scratch=scratch,
        channel_multiple=facts.channel_multiple,
        count_instructions=facts.count_instructions,
        progress=run.observer.progress,
        record=findings.append,
        load_model=models.load,
    )
    (place / "step.json").unlink(missing_ok=True)
    model = method.apply(model, step.options, context)
    onnx_file.save(model, place / "model.onnx")
    files.write_whole(place / "step.json", StepRecord(key=key, findings=tuple(findings)).model_dump_json(indent=2))
    shutil.rmtree(scratch, ignore_errors=True)
    return model, tuple(findings)


def _scratch(place: Path, key: str) -> Path:
    """Return the step's scratch folder, not made yet unless the same step with the same inputs left it."""
    mine = place / f"scratch-{key[:16]}"
    for other in place.glob("scratch-*"):
        if other != mine:
            shutil.rmtree(other, ignore_errors=True)
    return mine


def _record(place: Path) -> StepRecord | None:
    try:
        return StepRecord.model_validate_json((place / "step.json").read_bytes())
    except (OSError, ValidationError):
        return None


def _figures(run: Run, model: Model, baseline: Model, data: Data | None) -> tuple[Measurement, ...]:
    from edgecompress.measure.networks import score, size

    evaluation = data.evaluation if data is not None else None
    note = data.note if data is not None else ""
    return (score.read(model, baseline, evaluation, note, run.observer.progress), *size.read(model))


def _digest(value: list[Any] | Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
