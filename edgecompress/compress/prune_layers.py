"""Depth pruning: whole layers and residual blocks go, those that the output misses the least.

A layer whose output has the shape of its input, and the branch of a residual, can be passed by. Each of them alone is
passed by, and what that does to the output is measured on the calibration samples; the one with the least relative rise
of the error goes, and the rest is measured again (the greedy form of Chen and Zhao 2018, "Shallowing Deep Networks").
Then the network is trained. On a device a layer that is gone saves its instructions, its flash and its tensor.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from onnx import ModelProto, NodeProto
from pydantic import Field

from edgecompress.compress import _activations, _sensitivity
from edgecompress.compress.training import TrainingOptions, train
from edgecompress.core import toml_file
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import AppliedStep, Context, Finding, Model, Option, Series

MOST_SAMPLES = 32
LAYERS = frozenset({"Conv", "Gemm"})


class Options(TrainingOptions):
    """The options of the step in a recipe, beside those of every training.

    `layers`: how many layers or blocks go. `keep`: values that are not passed by, named by the output of their layer.
    """

    layers: int = Field(default=1, ge=1, le=1000)
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Bypass:
    """A way around a layer or a block: the value `instead` stands for the value `output`."""

    output: str
    instead: str


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Pass by the layers that are missed the least, and train what is left.

    Raises ConfigError for wrong options, missing samples or labels, ModelError for a quantized network and for one that
    has fewer such layers; MissingToolError without torch, unless nothing is trained.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    if model.is_quantized:
        raise ModelError(f"{model.name} is quantized", hint="put prune_layers before the step that quantizes")
    if context.data is None:
        raise ConfigError(f"{context.where}: prune_layers needs samples", hint="add a [data] table to the recipe")
    graph = model.graph
    for number in range(1, chosen.layers + 1):
        measured = _measure(graph, chosen, context)
        if not measured:
            raise ModelError(
                f"{model.name} has {number - 1} layers or blocks to pass by; {chosen.layers} are asked for",
                hint="a layer can go whose output has its input's shape, and the branch of a residual",
            )
        context.record(_finding(measured, number))
        graph = passed_by(graph, min(measured, key=lambda bypass: measured[bypass]))
    shallow = dataclasses.replace(model, graph=graph)
    if chosen.epochs:
        shallow = _trained(shallow, model, chosen, context)
    step = AppliedStep(method="prune_layers", options=chosen.model_dump())
    return dataclasses.replace(shallow, steps=(*model.steps, step))


def bypasses(graph: ModelProto) -> Iterator[Bypass]:
    """Find the ways around layers with equal shapes at both ends, and around branches of residuals."""
    shapes = {
        info.name: tuple(dim.dim_value for dim in info.type.tensor_type.shape.dim)
        for info in [*graph.graph.input, *graph.graph.value_info, *graph.graph.output]
    }
    makers = {name: node for node in graph.graph.node for name in node.output}
    for node in graph.graph.node:
        output = node.output[0]
        if node.op_type in LAYERS and shapes.get(node.input[0]) == shapes.get(output, ()):
            yield Bypass(output=output, instead=node.input[0])
        elif node.op_type == "Add" and len(node.input) == 2:
            for one, other in (tuple(node.input), tuple(node.input)[::-1]):
                if shapes.get(one) == shapes.get(output) and one in _ancestors(other, makers):
                    yield Bypass(output=output, instead=one)
                    break


def passed_by(graph: ModelProto, bypass: Bypass) -> ModelProto:
    """Return the graph with the value replaced, and without what nobody reads any more."""
    changed = ModelProto()
    changed.CopyFrom(graph)
    for node in changed.graph.node:
        for place, name in enumerate(node.input):
            if name == bypass.output:
                node.input[place] = bypass.instead
    _drop_unread(changed)
    return changed


def _measure(graph: ModelProto, options: Options, context: Context) -> dict[Bypass, float]:
    """Measure the relative rise of the error for each way, those in `keep` left out."""
    if context.data is None:
        return {}
    outputs = [output.name for output in graph.graph.output]
    ways = [way for way in bypasses(graph) if way.output not in {*options.keep, *outputs}]
    wanted = _activations.read(graph, outputs, context.data.calibration, MOST_SAMPLES)
    found = {}
    for done, way in enumerate(ways):
        context.progress("measure sensitivity", done, len(ways))
        got = _activations.read(passed_by(graph, way), outputs, context.data.calibration, MOST_SAMPLES)
        found[way] = _sensitivity.relative_error(wanted, got)
    context.progress("measure sensitivity", len(ways), len(ways))
    return found


def _trained(shallow: Model, given: Model, options: Options, context: Context) -> Model:
    from edgecompress.compress import torch_graph

    module = torch_graph.to_torch(shallow)
    if context.data is not None:
        module = torch_graph.restore_batch_norm(module, context.data.training or context.data.calibration)
    train(module, context, options, name=f"{given.name} with fewer layers", given=given)
    return torch_graph.to_onnx(module, like=shallow)


def _ancestors(value: str, makers: Mapping[str, NodeProto]) -> set[str]:
    """Every value that this one is computed from."""
    found: set[str] = set()
    waiting = [value]
    while waiting:
        maker = makers.get(waiting.pop())
        fresh = [name for name in maker.input if name not in found] if maker is not None else []
        found.update(fresh)
        waiting += fresh
    return found


def _drop_unread(graph: ModelProto) -> None:
    """Take out nodes and constants that no output needs."""
    outputs = {output.name for output in graph.graph.output}
    while True:
        read = outputs | {name for node in graph.graph.node for name in node.input}
        idle = [node for node in graph.graph.node if read.isdisjoint(node.output)]
        if not idle:
            break
        for node in idle:
            graph.graph.node.remove(node)
    for tensor in [tensor for tensor in graph.graph.initializer if tensor.name not in read]:
        graph.graph.initializer.remove(tensor)


def _finding(measured: Mapping[Bypass, float], number: int) -> Finding:
    names = tuple(way.output for way in measured)
    return Finding(
        title=f"Sensitivity of the output to layers that are passed by, choice {number}",
        kind="bars",
        x_label="layer or block",
        y_label="relative rise of the error",
        series=(Series(name="passed by", x=names, y=tuple(measured.values())),),
        note="Each layer or residual branch alone, on the calibration samples, before any training.",
    )
