"""Students: the smaller networks that distillation trains."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgecompress.compress.training import LoopOptions
from edgecompress.core import user_function
from edgecompress.core.errors import ConfigError
from edgecompress.core.values import Context, Model, TensorSpec

if TYPE_CHECKING:
    from torch import fx, nn


class StudentOptions(LoopOptions):
    """The options of a step that trains a student, beside those of every training.

    `student`: a model file, or `module:function` that gives a torch module, from the recipe's folder; without it the
    entering network itself. `width` keeps that share of its channels, layer by layer, the strongest first.
    `start`: whether the student begins with its own `weights` or, drawn anew, from `scratch`.
    """

    student: str = ""
    width: float = Field(default=1, gt=0, le=1)
    start: Literal["weights", "scratch"] = "weights"


def build(model: Model, options: StudentOptions, context: Context) -> fx.GraphModule:
    """Return the student to train, with the inputs and outputs of `model` and its batch norms in place.

    Raises ConfigError for options that contradict each other, a student with other inputs or outputs, and a function
    that gives no torch module.
    """
    if options.student and options.width < 1:
        raise ConfigError(
            f"{context.where}: width = {options.width:g} narrows the entering network; student = "
            f'"{options.student}" is another one',
            hint="give `student` or `width`",
        )
    if re.match(user_function.PATTERN, options.student):
        return _from_function(model, options, context)
    if options.student:
        given = context.load_model(context.base / options.student)
        check_alike(given, model, f"{context.where}: the student {options.student}")
    else:
        given = _narrowed(model, options.width)
    module = ready(given, context)
    if options.start == "scratch":
        draw_anew(module, options.seed)
    return module


def ready(model: Model, context: Context) -> fx.GraphModule:
    """Return a network to train: with its weights, and batch norms put back."""
    from edgecompress.compress import torch_graph

    module = torch_graph.to_torch(model)
    if context.data is None:
        return module
    return torch_graph.restore_batch_norm(module, context.data.training or context.data.calibration)


def draw_anew(module: nn.Module, seed: int) -> None:
    """Draw every weight anew, as torch does for a new layer."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in module.modules():
            begin = getattr(layer, "reset_parameters", None)
            if callable(begin):
                begin()


def check_alike(other: Model, model: Model, what: str) -> None:
    """Raise ConfigError, beginning with `what`, when a network has other inputs or outputs than `model`."""
    for side in ("inputs", "outputs"):
        its, wanted = (_shapes(getattr(each, side)) for each in (other, model))
        if its != wanted:
            raise ConfigError(
                f"{what} has the {side} {its}; {model.name} has {wanted}",
                hint="teachers and students take the same samples and tell the same classes apart",
            )


def _from_function(model: Model, options: StudentOptions, context: Context) -> fx.GraphModule:
    import torch
    from torch import fx, nn

    from edgecompress.compress import torch_graph

    where = f"{context.where}: student {options.student}"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        made = user_function.call(options.student, context.base, where=where)
    if not isinstance(made, nn.Module):
        raise ConfigError(f"{where} returned {type(made).__name__}", hint="return a torch.nn.Module")
    exported = torch_graph.to_onnx(made, like=model)
    check_alike(exported, model, f"{context.where}: the student {options.student}")
    return fx.symbolic_trace(made)


def _narrowed(model: Model, width: float) -> Model:
    """Return the network with a share of its channels."""
    if width == 1:
        return model
    import torch

    from edgecompress.compress import _channels, torch_graph

    module = torch_graph.to_torch(model)
    how = _channels.Pruning(criterion="l2", scope="local", multiple=1, kept=_channels.fixed_layers(module))
    example = tuple(torch.zeros(spec.shape) for spec in model.inputs)
    return torch_graph.to_onnx(_channels.narrowed(module, example, width, how), like=model)


def _shapes(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.dtype} ({', '.join(map(str, spec.shape))})" for spec in specs)
