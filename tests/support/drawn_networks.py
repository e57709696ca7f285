"""Small float networks with random weights, to quantize and compile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, Any]


class Drawing:
    """A float network in the making, with random weights."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._random = np.random.default_rng(5)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def random(self, *shape: int, spread: float = 0.3) -> str:
        return self.constant(self._random.normal(0, spread, shape).astype(np.float32))

    def constant(self, values: Array) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def bounds(self, begin: int, end: int, *, axis: int) -> tuple[str, ...]:
        """The operands of a Slice."""
        return tuple(self.constant(np.array([each])) for each in (begin, end, axis))

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def save(self, output: str, path: Path) -> None:
        ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)]
        ends.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
        graph = helper.make_graph(self._nodes, "drawn", ends[:1], ends[1:], self._constants)
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.save(onnx.shape_inference.infer_shapes(proto), path)


def image_network(draw: Drawing) -> str:
    """Odd channels, every kind of window, groups, a depth multiplier, a residual, both ways to flatten."""
    conv = draw.node("Conv", "x", draw.random(10, 6, 3, 3), draw.random(10), pads=[2, 1, 0, 1])
    first = draw.node("Relu", conv)
    thin = draw.node("Conv", first, draw.random(10, 1, 3, 3), draw.random(10), pads=[2] * 4, dilations=[2, 2], group=10)
    low, high = (draw.constant(np.array(bound, np.float32)) for bound in (0, 6))
    total = draw.node("Relu", draw.node("Add", first, draw.node("Clip", thin, low, high)))
    pooled = draw.node("MaxPool", total, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    grouped = draw.node("Conv", pooled, draw.random(8, 5, 1, 1), draw.random(8), group=2)
    mean = draw.node("AveragePool", pooled, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    joined = draw.node("Concat", grouped, mean, axis=1)
    wide = draw.node("Conv", joined, draw.random(36, 1, 2, 3), group=18, strides=[2, 1])
    flat = draw.node("Flatten", draw.node("GlobalAveragePool", wide))
    whole = draw.node("Gemm", draw.node("Flatten", wide), draw.random(7, 432, spread=0.1), draw.random(7), transB=1)
    return draw.node("Add", whole, draw.node("Gemm", flat, draw.random(36, 7), draw.random(7)))


def line_network(draw: Drawing) -> str:
    """A convolution over a line, a matrix product for each of its places, a constant added to a quantized sum."""
    conv = draw.node("Relu", draw.node("Conv", "x", draw.random(6, 4, 5), draw.random(6), pads=[2, 2], strides=[2]))
    places = draw.node("MatMul", draw.node("Transpose", conv, perm=[0, 2, 1]), draw.random(6, 9))
    shifted = draw.node("Add", places, draw.random(9))
    row = draw.node("Reshape", shifted, draw.constant(np.array([1, 90])))
    return draw.node("MatMul", row, draw.random(90, 3))


def gate_network(draw: Drawing) -> str:
    """Activations that are tables, one of them on a tensor that another layer reads as well."""
    conv = draw.node("Conv", "x", draw.random(8, 4, 3, 3), draw.random(8), pads=[1, 1, 1, 1])
    leaky = draw.node("LeakyRelu", conv, alpha=0.1)
    total = draw.node("Add", leaky, draw.node("Tanh", leaky))
    mean = draw.node("Sigmoid", draw.node("ReduceMean", total, axes=[2, 3], keepdims=0))
    return draw.node("MatMul", mean, draw.random(8, 5, spread=2))


def attention_network(draw: Drawing) -> str:
    """Attention of two heads beside a shortcut, normalised before; then a gate for each channel."""
    norm = draw.node("LayerNormalization", "x", draw.random(8, spread=1), draw.random(8))
    projected = draw.node("Add", draw.node("MatMul", norm, draw.random(8, 24)), draw.random(24))
    parts = [draw.node("Slice", projected, *draw.bounds(start, start + 8, axis=2)) for start in (0, 8, 16)]
    shape = draw.constant(np.array([1, 6, 2, 4]))
    query, key, value = (draw.node("Reshape", part, shape) for part in parts)
    scores = draw.node(
        "MatMul",
        draw.node("Transpose", query, perm=[0, 2, 1, 3]),
        draw.node("Transpose", key, perm=[0, 2, 3, 1]),
    )
    weights = draw.node("Softmax", draw.node("Div", scores, draw.constant(np.array(2, np.float32))), axis=-1)
    mixed = draw.node("MatMul", weights, draw.node("Transpose", value, perm=[0, 2, 1, 3]))
    joined = draw.node("Reshape", draw.node("Transpose", mixed, perm=[0, 2, 1, 3]), draw.constant(np.array([1, 6, 8])))
    total = draw.node("Add", "x", draw.node("MatMul", joined, draw.random(8, 8)))
    gate = draw.node("Sigmoid", draw.node("ReduceMean", total, axes=[1], keepdims=1))
    return draw.node("Mul", total, gate)


NETWORKS: dict[str, tuple[tuple[int, ...], Callable[[Drawing], str]]] = {
    "image": ((1, 6, 13, 11), image_network),
    "line": ((1, 4, 20), line_network),
    "gates": ((1, 4, 6, 6), gate_network),
    "attention": ((1, 6, 8), attention_network),
}
