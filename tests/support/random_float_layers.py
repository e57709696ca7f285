"""Random float layers as one ONNX graph: odd shapes, each layer with an input and an output of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgecompress.core.values import Array

LARGEST_CHANNELS = 26
LARGEST_SIDE = 14


class Drawing:
    """A graph in the making. A layer's output is called like the layer, its input `NAME_in`."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.inputs: dict[str, tuple[int, ...]] = {}
        self.outputs: list[str] = []
        self.kinds: dict[str, str] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def pick(self, low: int, high: int) -> int:
        """Draw an integer, both ends included."""
        return int(self.random.integers(low, high, endpoint=True))

    def real(self, *shape: int, spread: float = 1.0) -> str:
        """Draw a constant."""
        return self.constant(self.random.normal(0, spread, shape).astype(np.float32))

    def constant(self, values: Array) -> str:
        """Add a constant."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def input(self, *shape: int) -> str:
        """Add an input of the current layer."""
        name = f"layer_{len(self.outputs)}_in{len(self.inputs)}"
        self.inputs[name] = shape
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator."""
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def draw(self, kinds: list[Callable[[Drawing], str]]) -> None:
        """Add a layer of one of the kinds."""
        kind = kinds[self.pick(0, len(kinds) - 1)]
        output = kind(self)
        self.outputs.append(output)
        self.kinds[output] = kind.__name__.strip("_")

    def model(self) -> onnx.ModelProto:
        """Make the graph."""
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in self.inputs.items()]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in self.outputs]
        graph = helper.make_graph(self._nodes, "random_layers", ends, outputs, self._constants)
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        return onnx.shape_inference.infer_shapes(proto)


def draw(seed: int, count: int) -> Drawing:
    """Draw `count` layers."""
    drawing = Drawing(seed)
    for _ in range(count):
        drawing.draw(KINDS)
    return drawing


def _image(d: Drawing, channels: int, kernel: tuple[int, int] = (1, 1)) -> tuple[int, ...]:
    return 1, channels, *(d.pick(size, max(LARGEST_SIDE, size)) for size in kernel)


def _window(d: Drawing, *, most_dilation: int) -> tuple[dict[str, Any], tuple[int, int]]:
    """Draw a window's attributes, and how many pixels it reaches over."""
    square = d.pick(0, 2) == 0
    kernel = [3, 3] if square else [d.pick(1, 5), d.pick(1, 5)]
    strides = [1, 1] if square and d.pick(0, 1) else [d.pick(1, 3), d.pick(1, 3)]
    dilations = [d.pick(1, most_dilation), d.pick(1, most_dilation)]
    reach = tuple(dilation * (taps - 1) + 1 for dilation, taps in zip(dilations, kernel, strict=True))
    pads = [d.pick(0, size // 2) for size in (*reach, *reach)] if d.pick(0, 1) else [0] * 4
    attributes = {"kernel_shape": kernel, "strides": strides, "pads": pads}
    return (attributes | {"dilations": dilations} if most_dilation > 1 else attributes), (reach[0], reach[1])


def _weighted(d: Drawing, channels: int, outputs: int, groups: int) -> str:
    window, reach = _window(d, most_dilation=2)
    taps = int(np.prod(window["kernel_shape"])) * channels // groups
    weights = d.real(outputs, channels // groups, *window["kernel_shape"], spread=taps**-0.5)
    bias = [d.real(outputs)] if d.pick(0, 1) else []
    conv = d.node("Conv", d.input(*_image(d, channels, reach)), weights, *bias, group=groups, **window)
    return _finished(d, conv)


def _finished(d: Drawing, name: str) -> str:
    """Put nothing, or an activation, behind a layer."""
    kind = d.pick(0, 3)
    if kind == 0:
        return d.node("Relu", name)
    if kind == 1:
        low, high = (d.constant(np.array(bound, np.float32)) for bound in (0, 6))
        return d.node("Clip", name, low, high)
    return name


def _convolution(d: Drawing) -> str:
    return _weighted(d, d.pick(1, LARGEST_CHANNELS), d.pick(1, LARGEST_CHANNELS), 1)


def _grouped(d: Drawing) -> str:
    groups = d.pick(2, 4)
    return _weighted(d, groups * d.pick(1, 8), groups * d.pick(1, 8), groups)


def _depthwise(d: Drawing) -> str:
    channels = d.pick(2, LARGEST_CHANNELS)
    return _weighted(d, channels, channels * (2 if d.pick(0, 4) == 0 else 1), channels)


def _product(d: Drawing) -> str:
    rows, depth, columns = d.pick(1, 9), d.pick(1, 90), d.pick(1, 50)
    product = d.node("MatMul", d.input(1, rows, depth), d.real(depth, columns, spread=depth**-0.5))
    return _finished(d, d.node("Add", product, d.real(columns)))


def _computed_product(d: Drawing) -> str:
    heads, rows, depth, columns = d.pick(1, 3), d.pick(1, 12), d.pick(1, 30), d.pick(1, 20)
    return d.node("MatMul", d.input(1, heads, rows, depth), d.input(1, heads, depth, columns))


def _max_pool(d: Drawing) -> str:
    window, reach = _window(d, most_dilation=1)
    return d.node("MaxPool", d.input(*_image(d, d.pick(1, LARGEST_CHANNELS), reach)), **window)


def _average_pool(d: Drawing) -> str:
    window, reach = _window(d, most_dilation=1)
    image = d.input(*_image(d, d.pick(1, LARGEST_CHANNELS), reach))
    return d.node("AveragePool", image, count_include_pad=d.pick(0, 1), **window)


def _mean(d: Drawing) -> str:
    return d.node("GlobalAveragePool", d.input(*_image(d, d.pick(1, 40))))


def _softmax(d: Drawing) -> str:
    return d.node("Softmax", d.input(1, d.pick(1, 9), d.pick(2, 90)), axis=-1)


def _layer_normalization(d: Drawing) -> str:
    width = d.pick(2, 70)
    return d.node("LayerNormalization", d.input(1, d.pick(1, 9), width), d.real(width), d.real(width))


def _addition(d: Drawing) -> str:
    shape = _image(d, d.pick(1, LARGEST_CHANNELS))
    other = d.input(*shape) if d.pick(0, 1) else d.real(1, shape[1], 1, 1)
    return _finished(d, d.node("Add", d.input(*shape), other))


def _chain(d: Drawing) -> str:
    """Two to five operators number by number."""
    shape = _image(d, d.pick(1, LARGEST_CHANNELS))
    name = d.input(*shape)
    for _ in range(d.pick(2, 5)):
        kind = ("Relu", "Sigmoid", "Tanh", "HardSwish", "LeakyRelu", "Neg", "Abs", "Mul", "Sub")[d.pick(0, 8)]
        others = [d.real(1, shape[1], 1, 1)] if kind in ("Mul", "Sub") else []
        name = d.node(kind, name, *others)
    return name


def _resize(d: Drawing) -> str:
    channels, height, width = d.pick(1, 12), d.pick(1, 7), d.pick(1, 7)
    sizes = d.constant(np.array([1, channels, d.pick(1, 13), d.pick(1, 13)], np.int64))
    mode = {"mode": "nearest", "nearest_mode": "floor"} if d.pick(0, 1) else {"mode": "linear"}
    transform = ("asymmetric", "half_pixel")[d.pick(0, 1)]
    image = d.input(1, channels, height, width)
    return d.node("Resize", image, "", "", sizes, coordinate_transformation_mode=transform, **mode)


def _concatenation(d: Drawing) -> str:
    shape = _image(d, d.pick(1, LARGEST_CHANNELS))
    return d.node("Concat", d.input(*shape), d.input(1, d.pick(1, 20), *shape[2:]), axis=1)


KINDS: list[Callable[[Drawing], str]] = [
    *([_convolution] * 5),
    *([_grouped, _depthwise] * 2),
    *([_product] * 2),
    _computed_product,
    *(_max_pool, _average_pool, _mean, _softmax, _layer_normalization, _addition),
    *([_chain] * 2),
    *(_resize, _concatenation),
]
