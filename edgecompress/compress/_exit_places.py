"""Where early exits can stand: values that everything behind them is computed from, and what each of them costs."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnx import GraphProto, ModelProto, NodeProto, shape_inference

from edgecompress.compress import _weights
from edgecompress.core.errors import ConfigError
from edgecompress.core.values import Model

RANKS = (2, 3, 4)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A value that all of the rest hangs on. `layers` are the nodes since the place before it; `macs` count from the
    network's begin, `shape` has one sample.
    """

    value: str
    layers: tuple[str, ...]
    macs: int
    shape: tuple[int, ...]


def find(model: Model) -> tuple[Place, ...]:
    """List the places, in the order of the network; of several that cost the same the last one.

    Behind a convolution stand its activation and its pooling, which make the exit cheaper.
    """
    graph = shape_inference.infer_shapes(model.graph).graph
    shapes = _shapes(graph)
    macs = _macs_by_output(model.graph, shapes)
    constants = {tensor.name for tensor in graph.initializer}
    last_read = {name: number for number, node in enumerate(graph.node) for name in node.input}
    last_read |= {output.name: len(graph.node) for output in graph.output}
    live = {spec.name for spec in model.inputs}
    places: dict[int, Place] = {}
    spent, layers = 0, list[str]()
    for number, node in enumerate(graph.node):
        spent += sum(macs.get(name, 0) for name in node.output)
        layers.append(node.name or node.output[0])
        live |= set(node.output) - constants
        live = {name for name in live if last_read.get(name, -1) > number}
        if live != {node.output[0]} or len(shapes.get(node.output[0], ())) not in RANKS:
            continue
        before = places.get(spent)
        places[spent] = Place(
            value=node.output[0],
            layers=((*before.layers, *layers) if before is not None else tuple(layers)),
            macs=spent,
            shape=shapes[node.output[0]],
        )
        layers = []
    return tuple(place for place in places.values() if 0 < place.macs < spent)


def total(graph: ModelProto) -> int:
    """The multiply-accumulates of the layers with weights."""
    return sum(_macs_by_output(graph, _shapes(shape_inference.infer_shapes(graph).graph)).values())


def costs(graph: ModelProto, outputs: Sequence[str]) -> tuple[int, ...]:
    """The multiply-accumulates that are spent once each of the outputs is there, those before it included."""
    macs = _macs_by_output(graph, _shapes(shape_inference.infer_shapes(graph).graph))
    makers = {name: node for node in graph.graph.node for name in node.output}
    done: set[str] = set()
    spent = []
    for output in outputs:
        done |= _needed(output, makers)
        spent.append(sum(macs.get(name, 0) for name in done))
    return tuple(spent)


def _needed(output: str, makers: Mapping[str, NodeProto]) -> set[str]:
    found: set[str] = set()
    waiting = [output]
    while waiting:
        name = waiting.pop()
        if name in makers and name not in found:
            found.add(name)
            waiting.extend(makers[name].input)
    return found


def spread(places: Sequence[Place], count: int, whole: int, where: str) -> tuple[Place, ...]:
    """Choose the places that are nearest to even shares of the whole cost.

    Raises ConfigError, beginning with `where`, when there are fewer.
    """
    if len(places) < count:
        raise ConfigError(
            f"{where}: exits = {count}, and the network has {len(places)} places for one",
            hint="an exit stands where all of the rest hangs on one value, and in front of the last layer with weights",
        )
    chosen: list[Place] = []
    for number in range(1, count + 1):
        wanted = whole * number / (count + 1)
        left = [place for place in places if place not in chosen]
        chosen.append(min(left, key=lambda place: abs(place.macs - wanted)))
    return tuple(sorted(chosen, key=lambda place: place.macs))


def named(places: Sequence[Place], names: Sequence[str], model: Model, where: str) -> tuple[Place, ...]:
    """Choose the places behind layers. Raises ConfigError, beginning with `where`, where none can stand."""
    layers = [node.name or node.output[0] for node in model.graph.graph.node]
    chosen = set()
    for name in names:
        place = next((place for place in places if name in place.layers), None)
        if name not in layers:
            near = difflib.get_close_matches(name, layers, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"layers: {', '.join(layers)}"
            raise ConfigError(f"{where}: after: no layer is called {name!r}", hint=hint)
        if place is None:
            able = ", ".join(place.layers[0] for place in places)
            raise ConfigError(f"{where}: after: no exit can stand behind {name!r}", hint=f"one can behind: {able}")
        chosen.add(place)
    return tuple(sorted(chosen, key=lambda place: place.macs))


def _macs_by_output(graph: ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    sizes = {tensor.name: (tuple(tensor.dims)) for tensor in graph.graph.initializer}
    found = {}
    for node in graph.graph.node:
        if node.op_type not in _weights.OPERATORS or node.input[1] not in sizes:
            continue
        dims = sizes[node.input[1]]
        made = shapes[node.output[0]]
        if node.op_type == "ConvTranspose":
            made = shapes[node.input[0]]
            found[node.output[0]] = math.prod(made) * math.prod(dims[1:])
        else:
            found[node.output[0]] = math.prod(made) * math.prod(dims) // dims[_weights.output_axis(node)]
    return found


def _shapes(graph: GraphProto) -> dict[str, tuple[int, ...]]:
    values = [*graph.input, *graph.value_info, *graph.output]
    return {value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in values}
