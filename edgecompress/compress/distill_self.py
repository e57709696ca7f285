"""Self-distillation: generations of the same network, each born anew and taught by the one before.

"Born-Again Networks" (Furlanello et al. 2018): the size stays, the accuracy rises.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pydantic import Field

from edgecompress.compress import _students
from edgecompress.compress._matching import MatchingOptions
from edgecompress.compress.training import train
from edgecompress.core import extras, toml_file
from edgecompress.core.values import AppliedStep, Context, Model, Option


class Options(MatchingOptions):
    """The options of the step in a recipe, beside those of targets and of every training.

    `generations`: how many networks are trained, one after the other; the last one leaves the step.
    """

    generations: int = Field(default=1, ge=1)
    temperature: float = Field(default=1, gt=0)
    labels_weight: float = Field(default=0.5, ge=0, lt=1)


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Return the last generation.

    Raises ConfigError for wrong options and missing samples or labels, ModelError for a network that cannot be
    trained, MissingToolError without torch.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    extras.require_training()
    from edgecompress.compress import _teachers, torch_graph
    from edgecompress.compress._distillation import DistillationLoss

    teacher = _teachers.load(model, (), (), context)
    for generation in range(1, chosen.generations + 1):
        born = _students.ready(model, context)
        _students.draw_anew(born, chosen.seed + generation)
        name = f"{model.name}, generation {generation}"
        train(born, context, chosen, name=name, loss=DistillationLoss(teacher, chosen.matching()))
        teacher = _teachers.of(born)
    taught = torch_graph.to_onnx(born, like=model)
    step = AppliedStep(method="distill_self", options=chosen.model_dump())
    return dataclasses.replace(taught, steps=(*model.steps, step))
