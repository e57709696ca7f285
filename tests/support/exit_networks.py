"""Networks with early exits, as ONNX: drawn ones with convolutions, and one whose exit compares its own input."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgecompress import models
from edgecompress.core.values import Array, Model

CLASSES = 10
CHANNELS = (8, 16, 16)
NEVER = 2.0
OPSET = 17


class _Drawing:
    """Nodes and constants in the making; a node is called like its output."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, name: str, values: Array) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def drawn(self, name: str, shape: tuple[int, ...], reach: float) -> str:
        return self.constant(name, (self.random.normal(size=shape) * reach).astype(np.float32))

    def node(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def model(self, shape: list[int], path: Path) -> Model:
        edges = [
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, extents)]
            for name, extents in (("x", shape), ("y", [1, CLASSES]))
        ]
        graph = helper.make_graph(self.nodes, "exits", *edges, self.constants)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9), path)
        return models.load(path)


def convolutions(path: Path, thresholds: tuple[float, ...], *, probabilities: bool = False, seed: int = 0) -> Model:
    """Three convolutions with a classifier behind each: an exit for every threshold, then the network's end."""
    drawing = _Drawing(seed)
    value, scores = "x", []
    for number, (inputs, outputs) in enumerate(zip((1, *CHANNELS), CHANNELS, strict=False)):
        weights = [
            drawing.drawn(f"w{number}", (outputs, inputs, 3, 3), 0.3),
            drawing.drawn(f"b{number}", (outputs,), 0.1),
        ]
        drawing.node("Conv", [value, *weights], f"conv{number}", pads=[1, 1, 1, 1])
        value = drawing.node("Relu", [f"conv{number}"], f"relu{number}")
        drawing.node("GlobalAveragePool", [value], f"pool{number}")
        drawing.node("Flatten", [f"pool{number}"], f"flat{number}")
        head = [drawing.drawn(f"v{number}", (outputs, CLASSES), 3.0), drawing.drawn(f"c{number}", (CLASSES,), 0.1)]
        drawing.node("Gemm", [f"flat{number}", *head], f"scores{number}")
        if probabilities:
            drawing.node("Softmax", [f"scores{number}"], f"probabilities{number}", axis=1)
        scores.append(f"probabilities{number}" if probabilities else f"scores{number}")
    other = scores[-1]
    for number, threshold in reversed(list(enumerate(thresholds))):
        result = f"leave{number}" if number else "y"
        _exit(drawing, number, scores[number], other, result, threshold, probabilities=probabilities)
        other = result
    return drawing.model([1, 1, 8, 8], path)


def _exit(
    drawing: _Drawing, number: int, scores: str, other: str, result: str, threshold: float, *, probabilities: bool
) -> None:
    told = scores if probabilities else drawing.node("Softmax", [scores], f"sureness{number}", axis=1)
    largest = drawing.node("ReduceMax", [told], f"confidence{number}", axes=[1], keepdims=1)
    bound = drawing.constant(f"threshold{number}", np.float32(threshold))
    drawing.node("GreaterOrEqual", [largest, bound], f"sure{number}")
    drawing.node("Where", [f"sure{number}", scores, other], result)


def comparing(path: Path, scale: float, threshold: float) -> Model:
    """An int8 network that gives its input where the softmax of it is sure, else a multiple that no input is."""
    drawing = _Drawing(0)
    steps = [drawing.constant("s", np.float32(scale)), drawing.constant("z", np.int8(0))]
    fine = [drawing.constant("fine", np.float32(1 / 256)), drawing.constant("low", np.int8(-128))]
    weights = [drawing.constant("w", -np.eye(CLASSES, dtype=np.int8)), drawing.constant("ws", np.float32(0.3))]
    drawing.node("QuantizeLinear", ["x", *steps], "x_quantized")
    drawing.node("DequantizeLinear", ["x_quantized", *steps], "scores")
    drawing.node("Softmax", ["scores"], "probabilities", axis=1)
    drawing.node("QuantizeLinear", ["probabilities", *fine], "probabilities_quantized")
    drawing.node("DequantizeLinear", ["probabilities_quantized", *fine], "told")
    drawing.node("DequantizeLinear", [*weights, drawing.constant("wz", np.int8(0))], "factors")
    drawing.node("Gemm", ["scores", "factors"], "product")
    drawing.node("QuantizeLinear", ["product", *steps], "product_quantized")
    drawing.node("DequantizeLinear", ["product_quantized", *steps], "end")
    drawing.node("ReduceMax", ["told"], "confidence", axes=[1], keepdims=1)
    drawing.node("GreaterOrEqual", ["confidence", drawing.constant("t", np.float32(threshold))], "sure")
    drawing.node("Where", ["sure", "scores", "end"], "chosen")
    drawing.node("QuantizeLinear", ["chosen", *steps], "chosen_quantized")
    drawing.node("DequantizeLinear", ["chosen_quantized", *steps], "y")
    return drawing.model([1, CLASSES], path)


def only(model: Model, operand: int) -> Model:
    """The network with one operand in the place of every exit: 1 leaves always, 2 never."""
    graph = ModelProto()
    graph.CopyFrom(model.graph)
    for node in graph.graph.node:
        if node.op_type == "Where":
            kept = node.input[operand]
            node.op_type = "Identity"
            del node.input[:]
            node.input.append(kept)
    return dataclasses.replace(model, graph=graph)


def images(count: int, seed: int = 1) -> Array:
    """Images of different contrast, so that some are told with more certainty."""
    random = np.random.default_rng(seed)
    contrast = random.uniform(0.1, 2, size=(count, 1, 1, 1))
    return (random.normal(size=(count, 1, 8, 8)) * contrast).astype(np.float32)
