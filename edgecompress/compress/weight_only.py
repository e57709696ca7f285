"""Weights of 8 or 4 bits, activations as they are: each layer's weights become integers and a DequantizeLinear.

Symmetric, with a scale for each output, or for each group of `group` weights of an output (Dettmers et al. 2022 and
others call it block-wise). A graph with groups has their scales on the rows of a matrix that a Reshape brings to the
weights' shape, which any runtime folds. Integers of four bits lie in int8 tensors, which every runtime reads; the
step's `stored_bytes` count them with two in a byte.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper
from pydantic import Field

from edgecompress.compress import _layer_weights
from edgecompress.compress._layer_weights import LayerWeights
from edgecompress.core import toml_file
from edgecompress.core.errors import ModelError
from edgecompress.core.values import AppliedStep, Array, Context, FileValue, Model, Option

LEAST_WEIGHTS = 64
"""A layer with fewer weights stays float: its scales would take what is saved."""
STEPS = 20
"""Ranges that are tried for each group, from all of it down to half."""


class Options(FileValue):
    """The options of the step in a recipe.

    `bits` of a weight. `group`: weights of an output that share a scale, one after the other in the order of the
    tensor; 0 for all of an output. `clip`: a scale is chosen for the smallest squared error, not for the largest
    weight. `skip`: layers that stay float.
    """

    bits: int = Field(default=8, ge=2, le=8)
    group: int = Field(default=0, ge=0)
    clip: bool = True
    least_weights: int = Field(default=LEAST_WEIGHTS, ge=1)
    skip: tuple[str, ...] = ()


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Quantize the weights of every layer and nothing else.

    Raises ConfigError for wrong options, ModelError for a network that is quantized already or has no weights.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    if model.is_quantized:
        raise ModelError(f"{model.name} is already quantized", hint="take the step weight_only out of the recipe")
    layers = _layer_weights.read(model)
    _layer_weights.check_names(chosen.skip, layers, where=f"{context.where}: skip")
    parts = [each for each in layers if each.layer not in chosen.skip and each.values.size >= chosen.least_weights]
    graph, saved = model.graph, 0
    for each in parts:
        integers, scales = quantize(each.rows.astype(np.float64), chosen)
        graph = _with_integers(graph, each, integers, scales)
        saved += each.values.nbytes - math.ceil(each.values.size * chosen.bits / 8) - scales.nbytes
    stored = _layer_weights.parameter_bytes(model.graph) - saved
    context.record(_layer_weights.errors(f"Weights of {chosen.bits} bits", parts, _real(parts, chosen)))
    step = AppliedStep(method="weight_only", options=chosen.model_dump(), stored_bytes=stored)
    return dataclasses.replace(model, graph=graph, steps=(*model.steps, step))


def quantize(rows: NDArray[np.float64], options: Options) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantize weights (outputs, n) in groups: integers (outputs * groups, weights of a group), and their scales.

    A group that does not divide an output's weights is made smaller until it does.
    """
    depth = rows.shape[1]
    size = next(each for each in range(min(options.group or depth, depth), 0, -1) if depth % each == 0)
    groups = rows.reshape(-1, size)
    levels = 2 ** (options.bits - 1) - 1
    largest = np.abs(groups).max(axis=1, keepdims=True)
    largest = np.where(largest > 0, largest, 1.0)
    best = scale = (largest / levels).astype(np.float32)
    least = _squared_error(groups, scale, levels)
    for step in range(1, STEPS if options.clip else 1):
        scale = (largest * (1 - step / (2 * STEPS)) / levels).astype(np.float32)
        error = _squared_error(groups, scale, levels)
        best = np.where(error < least, scale, best)
        least = np.minimum(error, least)
    return _rounded(groups, best, levels).astype(np.int8), best.reshape(-1)


def _rounded(groups: NDArray[np.float64], scale: NDArray[np.float32], levels: int) -> NDArray[np.float64]:
    return np.clip(np.rint(groups / scale), -levels, levels)


def _squared_error(groups: NDArray[np.float64], scale: NDArray[np.float32], levels: int) -> NDArray[np.float64]:
    error: NDArray[np.float64] = np.square(_rounded(groups, scale, levels) * scale - groups).sum(axis=1, keepdims=True)
    return error


def _real(parts: Sequence[LayerWeights], options: Options) -> list[LayerWeights]:
    """What the layers' weights become."""
    found = []
    for each in parts:
        integers, scales = quantize(each.rows.astype(np.float64), options)
        rows = integers * scales[:, np.newaxis]
        found.append(dataclasses.replace(each, values=rows.reshape(each.values.shape)))
    return found


def _with_integers(
    graph: ModelProto, layer: LayerWeights, integers: NDArray[np.int8], scales: NDArray[np.float32]
) -> ModelProto:
    """Put integers, scales and the nodes that read them in the place of a layer's weights."""
    copy = ModelProto()
    copy.CopyFrom(graph)
    name, inner = layer.tensor, copy.graph
    inner.initializer.remove(next(tensor for tensor in inner.initializer if tensor.name == name))
    constants: dict[str, Array] = {f"{name}_scale": scales, f"{name}_zero_point": np.zeros(len(scales), np.int8)}
    inputs = [f"{name}_quantized", *constants]
    if len(integers) == len(layer.values):
        shaped = np.transpose(integers.reshape(layer.values.shape), layer.order)
        constants[inputs[0]] = np.ascontiguousarray(shaped)
        made = [_dequantize(name, inputs, name, axis=layer.order.index(0))]
    else:
        constants[inputs[0]] = integers
        constants[f"{name}_shape"] = np.array(layer.values.shape, np.int64)
        turned = f"{name}_by_output"
        made = [
            _dequantize(name, inputs, f"{name}_in_groups", axis=0),
            helper.make_node("Reshape", [f"{name}_in_groups", f"{name}_shape"], [turned], name=f"{name}_reshape"),
            helper.make_node("Transpose", [turned], [name], name=f"{name}_transpose", perm=layer.order),
        ]
    inner.initializer.extend(numpy_helper.from_array(values, key) for key, values in constants.items())
    for node in reversed(made):
        inner.node.insert(0, node)
    return copy


def _dequantize(name: str, inputs: Sequence[str], output: str, *, axis: int) -> NodeProto:
    return helper.make_node("DequantizeLinear", inputs, [output], name=f"{name}_dequantize", axis=axis)
