"""Distillation: train a small network to answer as a large one does.

The network that enters the step is the teacher, unless the options name others; the one that leaves it is the student.
Soft targets: Hinton, Vinyals and Dean 2015. Hints: Romero et al. 2015 (FitNets). Attention: Zagoruyko and Komodakis
2017. Outputs: Ba and Caruana 2014. Mixed samples: Zhang et al. 2018, for distillation Beyer et al. 2022.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from edgecompress.compress import _students
from edgecompress.compress._matching import MatchingOptions
from edgecompress.compress._students import StudentOptions
from edgecompress.compress.training import train
from edgecompress.core import extras, toml_file
from edgecompress.core.values import AppliedStep, Context, Model, Option

if TYPE_CHECKING:
    from torch import fx

    from edgecompress.compress._features import FeatureLoss
    from edgecompress.compress._teachers import Teachers


class Options(MatchingOptions, StudentOptions):
    """The options of the step in a recipe, beside those of targets, students and every training.

    `teachers`: model files from the recipe's folder; without them the network that enters. `teacher_weights`: one each.
    `hints` and `attention` are layers of the first teacher that the student has too, or pairs `teacher's=student's`.
    """

    teachers: tuple[str, ...] = ()
    teacher_weights: tuple[float, ...] = ()
    hints: tuple[str, ...] = ()
    hints_weight: float = Field(default=1, gt=0)
    attention: tuple[str, ...] = ()
    attention_weight: float = Field(default=1, gt=0)


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Return the student, trained.

    Raises ConfigError for wrong options, missing samples or labels, and teachers or students with other inputs or
    outputs; ModelError for networks that cannot be trained, MissingToolError without torch.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    extras.require_training()
    from edgecompress.compress import _taps, _teachers, torch_graph
    from edgecompress.compress._distillation import DistillationLoss

    teachers = _teachers.load(model, chosen.teachers, chosen.teacher_weights, context)
    student = _students.build(model, chosen, context)
    features = _features(teachers, student, chosen, context.where)
    loss = DistillationLoss(teachers, chosen.matching(), features)
    train(student, context, chosen, name=f"{model.name}, student", loss=loss)
    _taps.remove(student)
    taught = torch_graph.to_onnx(student, like=model)
    step = AppliedStep(method="distill", options=chosen.model_dump())
    return dataclasses.replace(taught, steps=(*model.steps, step))


def _features(teachers: Teachers, student: fx.GraphModule, chosen: Options, where: str) -> FeatureLoss | None:
    from edgecompress.compress._features import FeatureLoss

    if not chosen.hints and not chosen.attention:
        return None
    layers = {"hints": chosen.hints, "attention": chosen.attention}
    weights = {"hints": chosen.hints_weight, "attention": chosen.attention_weight}
    return FeatureLoss(teachers.first, student, layers, weights, where)
