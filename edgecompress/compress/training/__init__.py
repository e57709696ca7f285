"""The one training loop of every method that trains.

A method's `Options` inherit TrainingOptions, so that a recipe's step says `epochs = 5` beside the method's own keys,
and `train` runs the loop on a torch module. This module imports no torch: a method that trains only when asked to stays
light until then. A loss of a method's own is a `training.losses.Loss`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edgecompress.compress.training.curve import Curve, Epoch
from edgecompress.compress.training.options import LoopOptions, TrainingOptions
from edgecompress.core import extras

if TYPE_CHECKING:
    from torch import nn

    from edgecompress.compress.training.losses import Loss
    from edgecompress.core.values import Context, Model

__all__ = ["AfterStep", "Curve", "Epoch", "LoopOptions", "TrainingOptions", "train"]

AfterStep = Callable[[int, int], None]
"""Called as (steps done, steps in all) after each step of the optimizer.

What it changes must lie in the module's state (parameters, buffers) or follow from the two numbers alone: then a
training that was interrupted resumes with it.
"""


def train(
    module: nn.Module,
    context: Context,
    options: LoopOptions,
    *,
    name: str,
    given: Model | None = None,
    loss: Loss | None = None,
    after_step: AfterStep | None = None,
    best_from: float = 0.0,
) -> Curve:
    """Train `module` in place on the context's training samples, and leave it in evaluation mode with its best weights.

    `given` is the network as the step got it, which `loss = "fidelity"` imitates. `name` says in progress, errors, the
    report and the checkpoint what is trained; a step that trains several times gives several names. `loss` replaces the
    one that the options name, and must be given with LoopOptions. No epoch that ends before the share `best_from` of
    all steps counts as the best one: a method that changes the network along the way (`after_step`) is done there.

    With `context.scratch`, every epoch leaves a checkpoint: the same call goes on from there and ends with the same
    weights, bit for bit on the same machine and number of threads; a training that is done is not repeated.
    Raises ConfigError when there are no samples, when labels are needed and missing, when a batch does not fit into
    memory, and when the loss is not finite; MissingToolError when torch is not installed.
    """
    extras.require_training()
    from edgecompress.compress.training.loop import run

    return run(
        module,
        context,
        options,
        name=name,
        given=given,
        loss=loss,
        after_step=after_step,
        best_from=best_from,
    )
