"""The gradient of a training's loss over some samples, for criteria that ask how much the loss would miss a weight."""

from __future__ import annotations

import torch
from torch import nn

from edgecompress.compress.training.loop import check_labels, device_of, named_loss
from edgecompress.compress.training.options import TrainingOptions
from edgecompress.compress.training.outputs import as_tuple, before_softmax
from edgecompress.compress.training.samples import FEWEST, read
from edgecompress.core.values import Context, Model


def fill(module: nn.Module, context: Context, options: TrainingOptions, *, given: Model, most: int, name: str) -> None:
    """Leave the loss's mean gradient over the first `most` samples in every parameter's `grad`, in evaluation mode.

    Raises ConfigError without samples, and without labels where the loss needs them.
    """
    samples = read(context, name, device_of(options, context))
    loss = named_loss(options, given)
    where = f"{context.where}: the gradients of {name}"
    check_labels(loss, samples, where)
    places = torch.arange(min(most, samples.count))
    module.to(samples.device).eval()
    module.zero_grad()
    with before_softmax(module):
        loss.prepare(samples, as_tuple(module(*samples.batch(places[:FEWEST]).inputs)), where)
        for batch in samples.batches(places, options.batch_size):
            share = len(batch.indices) / len(places)
            (share * loss(as_tuple(module(*batch.inputs)), batch)).backward()
    module.to("cpu")
