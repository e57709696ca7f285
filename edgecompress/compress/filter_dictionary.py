"""Filters as sums of few atoms of a dictionary, learnt by K-SVD (Aharon et al. 2006) from the filters themselves.

A layer W (outputs, n) becomes codes x atoms, with few codes an output that are not 0. Where it is less work, the graph
computes with both: a convolution by the atoms, then a 1x1 convolution by the codes, whose zeros the compiler may skip;
elsewhere the weights are put together again, and the layer keeps its shape.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper
from pydantic import Field

from edgecompress.compress import _layer_weights, _sparse_codes
from edgecompress.compress._layer_weights import LayerWeights
from edgecompress.compress.training import TrainingOptions
from edgecompress.core import toml_file
from edgecompress.core.errors import ModelError
from edgecompress.core.values import AppliedStep, Context, Model, Option

LEAST_WEIGHTS = 1024
"""A layer with fewer weights stays as it is."""
ATOMS, CODES = "/atoms", "/codes"
"""What the two layers that a layer becomes add to its name."""


class Options(TrainingOptions):
    """The options of the step in a recipe.

    `ratio`: atoms for each output. `kept`: codes of an output that are not 0. `rounds` of learning. `skip`: layers that
    stay as they are. `epochs`: the network is trained, and what is 0 stays 0; with 0 it is not, and no torch is needed.
    """

    ratio: float = Field(default=0.5, gt=0, lt=1)
    kept: int = Field(default=8, ge=1)
    rounds: int = Field(default=30, ge=1)
    least_weights: int = Field(default=LEAST_WEIGHTS, ge=1)
    skip: tuple[str, ...] = ()
    batch_norm: bool = False
    epochs: int = Field(default=0, ge=0)


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Learn a dictionary for each layer without groups.

    Raises ConfigError for wrong options and missing samples or labels, ModelError for a quantized network and for one
    without weights.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    if model.is_quantized:
        raise ModelError(
            f"{model.name} is quantized; a dictionary is learnt from float filters",
            hint="put the step filter_dictionary before those that quantize",
        )
    layers = _layer_weights.read(model)
    _layer_weights.check_names(chosen.skip, layers, where=f"{context.where}: skip")
    graph, apart = model.graph, []
    for each in layers:
        if each.layer in chosen.skip or each.values.size < chosen.least_weights or _groups(graph, each) > 1:
            continue
        atoms, codes = _learnt(each, chosen)
        if _is_less_work(each, atoms):
            graph = _split(graph, each, atoms, codes)
            apart.append(f"{each.layer}{CODES}")
        else:
            together = (codes @ atoms).astype(np.float32).reshape(each.values.shape)
            graph = _layer_weights.replaced(graph, {each.tensor: together}, [each])
    made = dataclasses.replace(model, graph=onnx.shape_inference.infer_shapes(graph, strict_mode=True))
    if chosen.epochs:
        made = _trained(model, made, apart, chosen, context)
    step = AppliedStep(method="filter_dictionary", options=chosen.model_dump())
    return dataclasses.replace(made, steps=(*model.steps, step))


def _learnt(layer: LayerWeights, options: Options) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    atoms = max(1, round(options.ratio * len(layer.values)))
    return _sparse_codes.learn(layer.rows.astype(np.float64), atoms, options.kept, options.rounds, options.seed)


def _is_less_work(layer: LayerWeights, atoms: NDArray[np.float64]) -> bool:
    """True when atoms and codes take fewer products for an output pixel, zeros counted."""
    outputs, depth = layer.rows.shape
    return bool(len(atoms) * (depth + outputs) < outputs * depth)


def _trained(given: Model, made: Model, apart: list[str], options: Options, context: Context) -> Model:
    """Train the network; the codes keep their zeros."""
    from edgecompress.compress._masked_training import MaskedNetwork

    network = MaskedNetwork(made, apart, context, batch_norm=options.batch_norm)
    network.mask({name: values != 0 for name, values in network.values().items()})
    network.train(options, given.name, given)
    return network.to_onnx()


def _node_of(graph: ModelProto, layer: LayerWeights) -> NodeProto:
    readers: list[NodeProto] = [node for node in graph.graph.node if layer.tensor in node.input]
    return readers[0]


def _groups(graph: ModelProto, layer: LayerWeights) -> int:
    given = {each.name: helper.get_attribute_value(each) for each in _node_of(graph, layer).attribute}
    return int(given.get("group", 1))


def _split(
    graph: ModelProto, layer: LayerWeights, atoms: NDArray[np.float64], codes: NDArray[np.float64]
) -> ModelProto:
    """Put a layer by the atoms and one by the codes in the place of a layer; the second has its bias."""
    copy = ModelProto()
    copy.CopyFrom(graph)
    node = _node_of(copy, layer)
    is_conv = node.op_type == "Conv"
    names = (f"{layer.tensor}{ATOMS}", f"{layer.tensor}{CODES}")
    between = f"{node.output[0]}{ATOMS}"
    first, second = NodeProto(), NodeProto()
    first.CopyFrom(node)
    first.name, second.name = f"{layer.layer}{ATOMS}", f"{layer.layer}{CODES}"
    first.input[:] = [node.input[0], names[0]]
    first.output[:] = [between]
    second.op_type = node.op_type
    second.input[:] = [between, names[1], *node.input[2:]]
    second.output[:] = node.output
    shaped = atoms.reshape(len(atoms), *layer.values.shape[1:])
    if is_conv:
        held = codes.reshape(*codes.shape, *[1] * (layer.values.ndim - 2))
    else:
        shaped, held = np.transpose(shaped, layer.order), np.transpose(codes, layer.order)
        second.attribute.extend(each for each in node.attribute if each.name == "transB")
    for name, values in zip(names, (shaped, held), strict=True):
        array = np.ascontiguousarray(values).astype(np.float32)
        copy.graph.initializer.append(numpy_helper.from_array(array, name))
    place = list(copy.graph.node).index(node)
    copy.graph.node.remove(node)
    copy.graph.node.insert(place, second)
    copy.graph.node.insert(place, first)
    copy.graph.initializer.remove(next(each for each in copy.graph.initializer if each.name == layer.tensor))
    return copy
