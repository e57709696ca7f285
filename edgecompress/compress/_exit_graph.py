"""A network with several outputs, its own and its exits', as one that leaves at the first exit that is sure.

Plain ONNX, innermost last: y = Where(ReduceMax(Softmax(exit)) >= threshold, exit, what follows). A compiler that knows
the form computes what follows only where it is needed (compile/exits.py); any other runtime computes both.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from edgecompress.core.values import Model

CLASS_AXIS = 1


def join(several: Model, like: Model, threshold: float) -> Model:
    """Return a network with the one output of `like`; `several` gives the network's own and its exits' logits."""
    graph = ModelProto()
    graph.CopyFrom(several.graph)
    name = like.outputs[0].name
    other = f"{name}_without_exits"
    gives_probabilities = _rename(graph, name, other).op_type == "Softmax"
    graph.graph.initializer.append(numpy_helper.from_array(np.array([threshold], np.float32), f"{name}_threshold"))
    graph.graph.initializer.append(numpy_helper.from_array(np.array([CLASS_AXIS], np.int64), f"{name}_classes"))
    for number, spec in reversed(list(enumerate(several.outputs[1:], start=1))):
        result = name if number == 1 else f"{name}_from_exit_{number}"
        graph.graph.node.extend(_exit(spec.name, number, other, result, name, gives_probabilities=gives_probabilities))
        other = result
    del graph.graph.output[1:]
    graph = onnx.shape_inference.infer_shapes(graph, check_type=True, strict_mode=True)
    return dataclasses.replace(like, graph=graph, outputs=several.outputs[:1])


def _rename(graph: ModelProto, name: str, new: str) -> NodeProto:
    """Give a computed value another name; return the node that makes it."""
    maker: NodeProto = next(node for node in graph.graph.node if name in node.output)
    for node in graph.graph.node:
        for names in (node.input, node.output):
            for place, each in enumerate(names):
                if each == name:
                    names[place] = new
    return maker


def _exit(
    logits: str, number: int, other: str, result: str, output: str, *, gives_probabilities: bool
) -> tuple[NodeProto, ...]:
    prefix = f"exit_{number}"
    probabilities, largest, sure = (f"{logits}_{word}" for word in ("probabilities", "confidence", "sure"))
    taken = probabilities if gives_probabilities else logits
    return (
        helper.make_node("Softmax", [logits], [probabilities], name=f"{prefix}/probabilities", axis=CLASS_AXIS),
        helper.make_node(
            "ReduceMax", [probabilities, f"{output}_classes"], [largest], name=f"{prefix}/confidence", keepdims=1
        ),
        helper.make_node("GreaterOrEqual", [largest, f"{output}_threshold"], [sure], name=f"{prefix}/sure"),
        helper.make_node("Where", [sure, taken, other], [result], name=f"{prefix}/leave"),
    )
