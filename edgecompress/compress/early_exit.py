"""Early exits: a network that stops where it is sure already (Teerapittayanon et al. 2016, "BranchyNet").

Behind chosen layers stands a small classifier. Where its largest probability reaches the threshold, its answer is the
network's, and the rest is not computed. All exits are trained together with the network, or alone on it as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgecompress.compress import _activations, _exit_curve, _exit_graph, _exit_places
from edgecompress.compress._exit_curve import Judged
from edgecompress.compress._exit_places import Place
from edgecompress.compress.training import TrainingOptions, train
from edgecompress.core import extras, toml_file
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import AppliedStep, Context, Data, Model, Option, Samples, TensorSpec

if TYPE_CHECKING:
    from torch import fx


class Options(TrainingOptions):
    """The options of the step in a recipe, beside those of every training.

    `exits`: how many, at even shares of the cost; `after` names the layers that they stand behind instead. An exit
    averages over the regions of a `grid` x `grid`, then comes one fully connected layer. `train`: all weights, or the
    `exits` alone, on a network that stays as it is. The first exit's loss weighs `first_weight`, the network's own 1,
    those between them evenly. `threshold`: the probability from which on a sample leaves; 0 chooses, on the held-out
    samples, the lowest one from which on at most the share `max_loss` less is right than if none of them left early.
    `batch_norm` puts a batch normalization behind each convolution while all weights train.
    """

    exits: int = Field(default=1, ge=1, le=16)
    after: tuple[str, ...] = ()
    grid: int = Field(default=1, ge=1, le=16)
    train: Literal["all", "exits"] = "all"
    first_weight: float = Field(default=0.5, gt=0, le=1)
    threshold: float = Field(default=0, ge=0, le=1)
    max_loss: float = Field(default=0.01, ge=0, lt=1)
    held_out: float = Field(default=0.25, ge=0, le=0.5)
    batch_norm: bool = True


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Add exits to a float classifier and train them.

    Raises ConfigError for wrong options, layers that no exit can stand behind, missing samples or labels, and when no
    threshold keeps the accuracy; ModelError for a network that is quantized, has exits already, is no classifier or
    cannot be trained; MissingToolError without torch.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    _check(model)
    extras.require_training()
    data = _data(model, context)
    whole = _exit_places.total(model.graph)
    places = _exit_places.find(model)
    if chosen.after:
        places = _exit_places.named(places, chosen.after, model, context.where)
    else:
        places = _exit_places.spread(places, chosen.exits, whole, context.where)
    several = _trained(model, places, chosen, context, data)
    threshold = _threshold(several, model, chosen, context, data)
    judged = _judged(several, model, data.evaluation)
    what = f"{data.evaluation.count} samples to score"
    if data.evaluation.labels is None:
        what += ", right is what the network said before"
    for finding in _exit_curve.findings(judged, threshold, what):
        context.record(finding)
    joined = _exit_graph.join(several, model, threshold)
    step = AppliedStep(method="early_exit", options={**chosen.model_dump(), "threshold": threshold})
    return dataclasses.replace(joined, steps=(*model.steps, step))


def _check(model: Model) -> None:
    if model.is_quantized:
        raise ModelError(f"{model.name} is quantized", hint="put early_exit before the step that quantizes")
    if any(step.method == "early_exit" for step in model.steps):
        raise ModelError(f"{model.name} has early exits already", hint="ask for all of them in one step: exits = 2")
    shapes = [spec.shape for spec in model.outputs]
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] < 2:
        raise ModelError(
            f"{model.name} has outputs of the shapes {', '.join(map(str, shapes))}; early_exit needs one, (1, classes)",
            hint="only a classifier says how sure it is",
        )


def _data(model: Model, context: Context) -> Data:
    if context.data is None:
        raise ConfigError(f"{context.where}: early_exit needs samples for {model.name}", hint="add a [data] table")
    return context.data


def _trained(model: Model, places: Sequence[Place], options: Options, context: Context, data: Data) -> Model:
    """Return the network with its own output and the logits of every exit."""
    import torch

    from edgecompress.compress import _exit_heads, torch_graph

    module: fx.GraphModule = torch_graph.to_torch(model)
    if options.train == "exits":
        module.requires_grad_(False)
    elif options.batch_norm and options.epochs:
        module = torch_graph.restore_batch_norm(module, data.training or data.calibration)
    spec = model.outputs[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        _exit_heads.attach(module, places, spec.shape[1], options.grid, context.where)
    reference = torch_graph.to_torch(model) if options.loss == "fidelity" else None
    weights = np.linspace(options.first_weight, 1.0, len(places) + 1).tolist()
    loss = _exit_heads.ExitLoss((1.0, *weights[:-1]), reference)
    train(module, context, options, name=f"{model.name} with exits", loss=loss)
    exits = [
        TensorSpec(name=f"{spec.name}_exit_{i}", shape=spec.shape, dtype="float32") for i in range(1, len(weights))
    ]
    return torch_graph.to_onnx(module, like=dataclasses.replace(model, outputs=(spec, *exits)))


def _threshold(several: Model, model: Model, options: Options, context: Context, data: Data) -> float:
    if options.threshold:
        return options.threshold
    judged = _judged(several, model, _held_out(data, options))
    return _exit_curve.choose(judged, float(judged.right[-1].mean()) - options.max_loss, context.where)


def _held_out(data: Data, options: Options) -> Samples:
    """The samples that the training held out; all of them where it held out none."""
    import torch

    from edgecompress.compress.training.samples import TrainingSamples, hold_out

    samples = data.training or data.calibration
    inputs = tuple(torch.from_numpy(np.require(array, requirements="W")) for array in samples.inputs.values())
    labels = None if samples.labels is None else torch.from_numpy(np.require(samples.labels, requirements="W"))
    known = TrainingSamples(inputs=inputs, labels=labels, device=torch.device("cpu"))
    held = hold_out(known, options.held_out, options.seed)[1].numpy()
    if not len(held):
        return samples
    return Samples(
        inputs={name: array[held] for name, array in samples.inputs.items()},
        labels=None if samples.labels is None else samples.labels[held],
    )


def _judged(several: Model, model: Model, samples: Samples) -> Judged:
    names = [spec.name for spec in several.outputs]
    outputs = _activations.read(several.graph, names, samples, samples.count)
    costs = _exit_places.costs(several.graph, [*names[1:], names[0]])
    return _exit_curve.judge([outputs[name] for name in names], _right(model, samples), costs)


def _right(model: Model, samples: Samples) -> NDArray[np.int64]:
    """The labels or, without any, the classes that the network told as it entered the step."""
    if samples.labels is not None:
        return samples.labels
    name = model.outputs[0].name
    before = _activations.read(model.graph, [name], samples, samples.count)[name]
    told: NDArray[np.int64] = before.reshape(samples.count, -1).argmax(axis=1)
    return told
