"""Which tensor of the program holds which quantized value of the ONNX graph, to compare layers with other runtimes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgecompress.compile.integer.graph import Graph, operator
from edgecompress.compile.integer.views import View
from edgecompress.compile.operators import node_labels
from edgecompress.core.bundle import OnnxValue
from edgecompress.core.values import Model


def onnx_values(graph: Graph, model: Model, views: Mapping[Any, View]) -> dict[str, OnnxValue]:
    """Find the outputs of QuantizeLinear nodes that lie in memory, by tensor; of two equal ones, the first."""
    proto = model.graph.graph
    outputs = {label: node.output[0] for label, node in zip(node_labels(proto), proto.node, strict=True)}
    found: dict[str, OnnxValue] = {}
    for variable, expression in graph.bindings:
        view = views.get(variable)
        if view is None or operator(expression) != "relax.quantize":
            continue
        stored = view.before if view.before is not None else view
        tensor = view.value.name
        name = outputs[graph.nodes(variable)[-1]]
        found.setdefault(tensor, OnnxValue(tensor=tensor, name=name, shape=stored.shape, axes=stored.order))
    return found
