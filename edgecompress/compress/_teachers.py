"""Teachers: the networks that a student learns to imitate."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, fx, nn

from edgecompress.compress import torch_graph
from edgecompress.compress._students import check_alike
from edgecompress.compress.training.losses import frozen
from edgecompress.compress.training.outputs import BATCH, bypass_softmax
from edgecompress.compress.training.samples import TrainingSamples
from edgecompress.core.errors import ConfigError
from edgecompress.core.values import Context, Model


class Teachers(nn.Module):
    """Frozen networks with the weight of each, which add up to 1. They compute what is before a final softmax."""

    weights: Tensor

    def __init__(self, networks: Sequence[fx.GraphModule], weights: Sequence[float]) -> None:
        super().__init__()
        for network in networks:
            bypass_softmax(network)
        self.networks = nn.ModuleList(frozen(network) for network in networks)
        self.register_buffer("weights", torch.tensor(weights) / sum(weights))

    @property
    def first(self) -> fx.GraphModule:
        """The teacher that shows its inner layers."""
        return cast("fx.GraphModule", self.networks[0])

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the teachers' scores, (teachers, n, ...), in float32."""
        with torch.no_grad():
            return torch.stack([network(*inputs).float() for network in self.networks])

    def all_scores(self, samples: TrainingSamples) -> Tensor:
        """Return the scores for all samples."""
        parts = samples.batches(torch.arange(samples.count), BATCH)
        return torch.cat([self(*batch.inputs) for batch in parts], dim=1)


def of(network: fx.GraphModule) -> Teachers:
    """Return a copy of one trained network as the only teacher."""
    return Teachers([copy.deepcopy(network)], [1.0])


def load(model: Model, names: tuple[str, ...], weights: tuple[float, ...], context: Context) -> Teachers:
    """Return the teachers: the files that the options name or, without them, the network that entered the step.

    Raises ConfigError for a teacher with other inputs or outputs, and for weights that do not fit the teachers.
    """
    check_one_output(model, context)
    if weights and (len(weights) != max(1, len(names)) or min(weights) < 0 or not sum(weights)):
        raise ConfigError(
            f"{context.where}: teacher_weights = {list(weights)} for {max(1, len(names))} teachers",
            hint="give each teacher a weight, none below 0",
        )
    others = [_load(Path(name), model, context) for name in names] or [model]
    return Teachers([torch_graph.to_torch(other) for other in others], weights or [1.0] * len(others))


def _load(path: Path, model: Model, context: Context) -> Model:
    teacher = context.load_model(context.base / path)
    check_alike(teacher, model, f"{context.where}: the teacher {path}")
    return teacher


def check_one_output(model: Model, context: Context) -> None:
    """Raise ConfigError for a network with several outputs: it is not clear which of them a student learns."""
    if len(model.outputs) != 1:
        raise ConfigError(
            f"{context.where}: a student learns one output; {model.name} has {len(model.outputs)}",
            hint='fine_tune with loss = "fidelity" imitates several outputs',
        )
