"""Distillation through assistants: each network teaches a smaller one, down to the student.

A large gap between teacher and student is crossed in several steps (Mirzadeh et al. 2020, "Improved Knowledge
Distillation via Teacher Assistant").
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

from edgecompress.compress import _students
from edgecompress.compress._matching import MatchingOptions
from edgecompress.compress._students import StudentOptions
from edgecompress.compress.training import train
from edgecompress.core import extras, toml_file
from edgecompress.core.errors import ConfigError
from edgecompress.core.values import AppliedStep, Context, Model, Option


class Options(MatchingOptions, StudentOptions):
    """The options of the step in a recipe, beside those of targets, students and every training.

    `assistants`: model files or `module:function`, the largest first; or `widths`: shares of the entering network's
    channels, falling. One of the two is needed. Each assistant is trained as the student is.
    """

    assistants: tuple[str, ...] = ()
    widths: tuple[float, ...] = ()


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Return the student, trained by the last assistant.

    Raises ConfigError for wrong options, missing samples or labels, and networks with other inputs or outputs;
    ModelError for networks that cannot be trained, MissingToolError without torch.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    _check(chosen, context.where)
    extras.require_training()
    from edgecompress.compress import _teachers, torch_graph
    from edgecompress.compress._distillation import DistillationLoss

    teacher = _teachers.load(model, (), (), context)
    links = _links(chosen)
    for number, link in enumerate(links, start=1):
        pupil = _students.build(model, link, context)
        name = f"{model.name}, student" if number == len(links) else f"{model.name}, assistant {number}"
        train(pupil, context, chosen, name=name, loss=DistillationLoss(teacher, chosen.matching()))
        teacher = _teachers.of(pupil)
    taught = torch_graph.to_onnx(pupil, like=model)
    step = AppliedStep(method="distill_chain", options=chosen.model_dump())
    return dataclasses.replace(taught, steps=(*model.steps, step))


def _links(chosen: Options) -> list[StudentOptions]:
    """Say how each network of the chain is built, the student last."""
    by_name = [chosen.model_copy(update={"student": name, "width": 1.0}) for name in chosen.assistants]
    by_width = [chosen.model_copy(update={"student": "", "width": width}) for width in chosen.widths]
    return [*by_name, *by_width, chosen]


def _check(chosen: Options, where: str) -> None:
    if bool(chosen.assistants) == bool(chosen.widths):
        raise ConfigError(
            f"{where}: a chain has assistants; {'both' if chosen.widths else 'neither'} of `assistants` and `widths` "
            f"{'are' if chosen.widths else 'is'} there",
            hint="give `assistants` or `widths`; a teacher alone is the method distill",
        )
    widths = [1.0, *chosen.widths, *([] if chosen.student else [chosen.width])]
    if chosen.widths and any(below >= above or below <= 0 for above, below in itertools.pairwise(widths)):
        raise ConfigError(
            f"{where}: widths = {list(chosen.widths)} and width = {chosen.width:g} do not fall from 1 to above 0",
            hint="list the widest assistant first, each wider than the student",
        )
