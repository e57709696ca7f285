"""Distillation at the teacher's decision boundary, on adversarial samples.

Samples are moved until the teacher is about to change its mind; what it says there tells most about where one class
ends (Heo et al. 2019, "Knowledge Distillation with Adversarial Samples Supporting Decision Boundary").
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pydantic import Field

from edgecompress.compress import _students
from edgecompress.compress._matching import SoftOptions
from edgecompress.compress._students import StudentOptions
from edgecompress.compress.training import train
from edgecompress.core import extras, toml_file
from edgecompress.core.values import AppliedStep, Context, Model, Option


class Options(SoftOptions, StudentOptions):
    """The options of the step in a recipe, beside those of soft targets, students and every training.

    `teacher`: a model file from the recipe's folder; without it the network that enters. `margin_weight`: of the
    samples at the boundary, beside 1 for the others. `boundary_steps` move a sample at most, each by `boundary_rate` of
    the way that a linear teacher would need.
    """

    teacher: str = ""
    temperature: float = Field(default=3, gt=0)
    margin_weight: float = Field(default=2, gt=0)
    boundary_steps: int = Field(default=10, ge=1)
    boundary_rate: float = Field(default=0.3, gt=0, le=1)


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Return the student, trained.

    Raises ConfigError for wrong options, missing samples or labels, and a teacher or student with other inputs or
    outputs; ModelError for networks that cannot be trained, MissingToolError without torch.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    extras.require_training()
    from edgecompress.compress import _teachers, torch_graph
    from edgecompress.compress._boundary import Boundary, MarginLoss

    teachers = _teachers.load(model, (chosen.teacher,) if chosen.teacher else (), (), context)
    student = _students.build(model, chosen, context)
    boundary = Boundary(weight=chosen.margin_weight, steps=chosen.boundary_steps, rate=chosen.boundary_rate)
    loss = MarginLoss(teachers, chosen.matching(), student, boundary)
    train(student, context, chosen, name=f"{model.name}, student", loss=loss)
    taught = torch_graph.to_onnx(student, like=model)
    step = AppliedStep(method="distill_margin", options=chosen.model_dump())
    return dataclasses.replace(taught, steps=(*model.steps, step))
