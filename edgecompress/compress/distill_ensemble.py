"""An ensemble distilled into one network.

The teachers decide together, by their mean, by vote or by stacking; the student learns what they decide (Hinton,
Vinyals and Dean 2015, section 3; stacking: Wolpert 1992).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from edgecompress.compress import _students
from edgecompress.compress._matching import SoftOptions
from edgecompress.compress._students import StudentOptions
from edgecompress.compress.training import train
from edgecompress.core import extras, toml_file
from edgecompress.core.values import AppliedStep, Context, Model, Option


class Options(SoftOptions, StudentOptions):
    """The options of the step in a recipe, beside those of soft targets, students and every training.

    `teachers`: two model files or more, from the recipe's folder. `combine`: the `mean` of their probabilities, the
    shares of their `vote`, or `stacking`: the weighted sum of their scores that tells the labels best.
    """

    teachers: tuple[str, ...] = Field(min_length=2)
    combine: Literal["mean", "vote", "stacking"] = "mean"


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Return the student, trained.

    Raises ConfigError for wrong options, missing samples or labels, and teachers or students with other inputs or
    outputs; ModelError for networks that cannot be trained, MissingToolError without torch.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    extras.require_training()
    from edgecompress.compress import _teachers, torch_graph
    from edgecompress.compress._ensemble import EnsembleLoss

    teachers = _teachers.load(model, chosen.teachers, (), context)
    student = _students.build(model, chosen, context)
    loss = EnsembleLoss(teachers, chosen.matching(), chosen.combine)
    train(student, context, chosen, name=f"{model.name}, student", loss=loss)
    taught = torch_graph.to_onnx(student, like=model)
    step = AppliedStep(method="distill_ensemble", options=chosen.model_dump())
    return dataclasses.replace(taught, steps=(*model.steps, step))
