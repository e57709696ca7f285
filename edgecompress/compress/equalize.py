"""Cross-layer equalisation: two layers share out their ranges, so that one scale for a tensor serves all channels.

A ReLU passes any factor above 0: what an output channel of one layer is divided by, the next layer's weights for that
channel can be multiplied with, and the network computes the same. With the factor sqrt(r1 / r2), where r1 and r2 are
the largest magnitudes of a channel's weights in the first and in the second layer, both become sqrt(r1 r2) (Nagel et
al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.1). Repeated until nothing
moves. It helps depthwise networks and scales for a whole tensor most. A cut above (ReLU6) passes no factors: such pairs
stay as they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto
from pydantic import Field

from edgecompress.compress import _weights
from edgecompress.core import toml_file
from edgecompress.core.errors import ModelError
from edgecompress.core.values import AppliedStep, Array, Context, FileValue, Model, Option

PASSING = frozenset({"Relu", "LeakyRelu", "Identity", "MaxPool", "GlobalMaxPool", "AveragePool", "GlobalAveragePool"})
"""Operators that a factor above 0 for each channel passes."""
CONVERGED = 1e-3
BIAS_INPUTS = 3


class Options(FileValue):
    """The options of the step in a recipe. `rounds` is how often to go over all pairs at most."""

    rounds: int = Field(default=20, ge=1, le=1000)


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """Two layers of which the second alone reads the first, channel by channel. `groups` are those of the second."""

    first: NodeProto
    second: NodeProto
    groups: int


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Equalise every pair of layers with nothing but a ReLU or a pool between; the network computes the same.

    Raises ConfigError for wrong options, ModelError for a quantized network.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)
    if model.is_quantized:
        raise ModelError(f"{model.name} is already quantized", hint="put the step equalize before the quantizing one")
    graph = equalized(model.graph, chosen.rounds, context)
    step = AppliedStep(method="equalize", options=chosen.model_dump())
    return dataclasses.replace(model, graph=graph, steps=(*model.steps, step))


def equalized(graph: ModelProto, rounds: int, context: Context) -> ModelProto:
    """Return the graph with equalised weights; a constant that several layers read stays as it is."""
    constants = _weights.values(graph)
    arrays = {name: array.astype(np.float64) for name, array in constants.items() if array.dtype == np.float32}
    pairs = tuple(_pairs(graph, frozenset(arrays)))
    for number in range(rounds):
        context.progress("equalise", number, rounds)
        moved = [_equalize(pair, arrays) for pair in pairs]
        if max(moved, default=0.0) < CONVERGED:
            break
    context.progress("equalise", rounds, rounds)
    changed = {name for pair in pairs for name in (*pair.first.input[1:], pair.second.input[1])}
    return _weights.replaced(graph, {name: arrays[name] for name in changed})


def _equalize(pair: _Pair, arrays: dict[str, Array]) -> float:
    """Share out the ranges of one pair. Returns how far the largest factor is from 1."""
    first, second = arrays[pair.first.input[1]], arrays[pair.second.input[1]]
    out_axis = _weights.output_axis(pair.first)
    r1 = _reach(first, out_axis)
    r2 = _reach_by_input(second, pair)
    live = (r1 > 0) & (r2 > 0)
    factors = np.sqrt(np.where(live, r1 / np.where(r2 > 0, r2, 1.0), 1.0))
    arrays[pair.first.input[1]] = first / _along(factors, first.ndim, out_axis)
    if len(pair.first.input) == BIAS_INPUTS:
        arrays[pair.first.input[2]] = arrays[pair.first.input[2]] / factors
    arrays[pair.second.input[1]] = _times_by_input(second, factors, pair)
    return float(np.abs(factors - 1).max())


def _reach(weights: Array, axis: int) -> Array:
    reach: Array = np.abs(np.moveaxis(weights, axis, 0)).reshape(weights.shape[axis], -1).max(axis=1)
    return reach


def _reach_by_input(weights: Array, pair: _Pair) -> Array:
    """The largest magnitude of the second layer's weights for each of its input channels."""
    if pair.second.op_type == "Conv":
        outputs, inputs = weights.shape[0] // pair.groups, weights.shape[1]
        by_group = np.abs(weights).reshape(pair.groups, outputs, inputs, -1).max(axis=(1, 3))
        reach: Array = by_group.reshape(-1)
        return reach
    return _reach(weights, _input_axis(pair.second))


def _times_by_input(weights: Array, factors: Array, pair: _Pair) -> Array:
    if pair.second.op_type == "Conv":
        by_group = factors.reshape(pair.groups, 1, weights.shape[1], *[1] * (weights.ndim - 2))
        grouped = weights.reshape(pair.groups, -1, *weights.shape[1:])
        scaled: Array = (grouped * by_group).reshape(weights.shape)
        return scaled
    product: Array = weights * _along(factors, weights.ndim, _input_axis(pair.second))
    return product


def _input_axis(node: NodeProto) -> int:
    return 1 - _weights.output_axis(node) % 2


def _along(factors: Array, rank: int, axis: int) -> Array:
    shape = [1] * rank
    shape[axis] = len(factors)
    return factors.reshape(shape)


def _pairs(graph: ModelProto, constants: frozenset[str]) -> Iterator[_Pair]:
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    outputs = {output.name for output in graph.graph.output}
    for node in graph.graph.node:
        if node.op_type not in ("Conv", "Gemm") or not _owns(node, readers, constants):
            continue
        second = _only_reader(node.output[0], readers, outputs)
        if second is not None and second.op_type in ("Conv", "Gemm") and _owns(second, readers, constants):
            groups = next((attribute.i for attribute in second.attribute if attribute.name == "group"), 1)
            yield _Pair(first=node, second=second, groups=groups)


def _owns(node: NodeProto, readers: Mapping[str, list[NodeProto]], constants: frozenset[str]) -> bool:
    """True when the node's weights and bias are constants that nobody else reads."""
    return all(name in constants and len(readers[name]) == 1 for name in node.input[1:])


def _only_reader(value: str, readers: Mapping[str, list[NodeProto]], outputs: set[str]) -> NodeProto | None:
    """Follow a value through what passes factors to the one layer that reads it."""
    while value not in outputs and len(readers.get(value, ())) == 1:
        reader = readers[value][0]
        if reader.input[0] != value:
            return None
        if reader.op_type not in PASSING:
            return reader
        value = reader.output[0]
    return None
