"""The layers of an integer network: what the QDQ graph says, free of ONNX, Relax and layouts.

matching.py makes them from the graph, emit.py makes kernel calls of them. Everything between works on these values.
All tensors lie in memory as their layer says: images channels last (NHWC), batch 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile.kernels import matrix_product, row_chain, slicing
from edgecompress.compile.kernels.product import NO_BORDERS, Borders
from edgecompress.compile.kernels.row_chain import RowChain
from edgecompress.compile.kernels.window import Window
from edgecompress.core.bundle import OnnxValue
from edgecompress.core.values import Arithmetic, TensorSpec

if TYPE_CHECKING:
    from edgecompress.compile.frontend import Imported


ElementType = Literal["int8", "uint8", "float32", "int16", "int32", "int64", "bool"]


@dataclass(frozen=True, kw_only=True)
class Value:
    """A tensor, its shape as it lies in memory. int8 stands for `scale * (q - zero_point)`.

    float32 occurs at the network's edges and between parts that compute with reals, the other types at the edges only.
    """

    name: str
    shape: tuple[int, ...]
    dtype: ElementType = "int8"
    scale: float = 1.0
    zero_point: int = 0

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class Clamp:
    """The quantized range that an output is limited to: a fused activation."""

    low: int = -128
    high: int = 127


NO_CLAMP = Clamp()
"""All of int8."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One operation. `nodes` are the labels of the ONNX nodes that it stands for."""

    inputs: tuple[Value, ...]
    output: Value
    nodes: tuple[str, ...]

    @property
    def macs(self) -> int:
        """How many products are summed."""
        return 0


@dataclass(frozen=True, kw_only=True)
class Product(Layer):
    """A layer of weighted sums. `weights` has the output channel first, `bias` is at the accumulator's scale."""

    weights: NDArray[np.int8]
    weight_scales: NDArray[np.float32]
    bias: NDArray[np.int64]
    clamp: Clamp


@dataclass(frozen=True, kw_only=True)
class Convolution(Product):
    """A convolution; `weights` is (output, row, column, input channel of the group)."""

    window: Window
    groups: int
    borders: Borders = NO_BORDERS

    @property
    def is_depthwise(self) -> bool:
        """True when every output channel sees one input channel, its own."""
        return self.groups == self.window.channels == len(self.weights)

    @property
    def macs(self) -> int:
        """How many products are summed."""
        return self.window.output_height * self.window.output_width * self.weights.size


@dataclass(frozen=True, kw_only=True)
class FullyConnected(Product):
    """`rows` vectors times a matrix; `weights` is (output, input)."""

    rows: int

    @property
    def macs(self) -> int:
        """How many products are summed."""
        return self.rows * self.weights.size


@dataclass(frozen=True, kw_only=True)
class ConstantTensor:
    """A constant operand: its value, and its numbers in the order of memory."""

    value: Value
    numbers: NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class Addition(Layer):
    """The sum of two tensors, element by element; or of one tensor and a constant of the same shape, `addend`."""

    clamp: Clamp
    addend: ConstantTensor | None = None


@dataclass(frozen=True, kw_only=True)
class Multiplication(Layer):
    """The product of two tensors, element by element; the second, computed or `constant`, may be one row of many."""

    clamp: Clamp
    constant: ConstantTensor | None = None


@dataclass(frozen=True, kw_only=True)
class AveragePool(Layer):
    """The mean over a window, pixels beyond the edge not counted; input and output have one scale."""

    window: Window
    clamp: Clamp


@dataclass(frozen=True, kw_only=True)
class Mean(Layer):
    """The mean over the whole image, as TFLite's MEAN; at another scale, or the same."""

    pixels: int
    channels: int
    clamp: Clamp


@dataclass(frozen=True, kw_only=True)
class MaxPool(Layer):
    """The largest value of a window; input and output have one scale."""

    window: Window
    clamp: Clamp


Windowed = Convolution | AveragePool | MaxPool
"""Layers whose window slides over an image."""


@dataclass(frozen=True, kw_only=True)
class Chain(Layer):
    """Layers that run row by row, each the only reader of the one before it; `rows` of the last one at a time."""

    stages: tuple[Windowed, ...]
    rows: int = 1

    @property
    def macs(self) -> int:
        """How many products are summed."""
        return sum(stage.macs for stage in self.stages)

    @property
    def plan(self) -> RowChain:
        """What is kept of every stage's input, and in which order."""
        windows = [stage.window for stage in self.stages]
        return row_chain.plan(windows, self.output.elements // windows[-1].output_height, self.rows)


@dataclass(frozen=True, kw_only=True)
class Softmax(Layer):
    """Softmax over the last axis, `rows` times `classes`."""

    rows: int
    classes: int


@dataclass(frozen=True, kw_only=True)
class Rescale(Layer):
    """The same numbers at another scale, and perhaps clamped: a stand-alone activation, or a change of scale."""

    clamp: Clamp
    arithmetic: Arithmetic = "onnx"


@dataclass(frozen=True, kw_only=True)
class Lookup(Layer):
    """Any function of one number: `table` holds what -128 … 127 become."""

    table: NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class Quantize(Layer):
    """float32 to int8, in another order: output axis i is input axis `axes[i]` of `shape`."""

    shape: tuple[int, ...]
    axes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Dequantize(Layer):
    """int8 to float32."""


@dataclass(frozen=True, kw_only=True)
class FlipSign(Layer):
    """uint8 to int8 or back, by 128."""


@dataclass(frozen=True, kw_only=True)
class Transpose(Layer):
    """The same elements in another order: output axis i is input axis `axes[i]` of `shape`."""

    shape: tuple[int, ...]
    axes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Concatenate(Layer):
    """Tensors of one scale side by side: `rows` rows, each made of `runs[i]` elements of input i."""

    rows: int
    runs: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Padding(Layer):
    """A tensor with the number `fill` around it: `widths` are how many before and behind, by axis of memory."""

    widths: tuple[tuple[int, int], ...]
    fill: int


@dataclass(frozen=True, kw_only=True)
class Resize(Layer):
    """An image of another size; `rows` and `columns` say of which old pixels each is made (compile/resampling)."""

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class MatrixProduct(Layer):
    """The product of two tensors, both computed."""

    shape: matrix_product.MatrixProduct
    clamp: Clamp

    @property
    def macs(self) -> int:
        """How many products are summed."""
        return self.shape.macs


@dataclass(frozen=True, kw_only=True)
class Slice(Layer):
    """A part of a tensor."""

    shape: slicing.Slice


@dataclass(frozen=True, kw_only=True)
class AtLeast(Layer):
    """One bool: some number of the tensor is `bound` or more. 128 is more than any."""

    bound: int


@dataclass(frozen=True, kw_only=True)
class Selection(Layer):
    """An early exit before it is split (compile/exits.py); its inputs are `taken`, the condition, and `other`."""


@dataclass(frozen=True, kw_only=True)
class EarlyExit(Layer):
    """A copy of `taken` where the condition, the second input, holds: the layers up to the late exit are left out."""


@dataclass(frozen=True, kw_only=True)
class LateExit(Layer):
    """A copy of `other` to the same output."""


@dataclass(frozen=True, kw_only=True)
class FloatPart(Layer):
    """A part of the network that computes with reals, as a float network of its own with these inputs and output."""

    graph: Imported


@dataclass(frozen=True, kw_only=True)
class Network:
    """A quantized network as layers in the order of execution.

    `onnx_values` gives the ONNX graph's quantized values that layers make, by the name of the tensor that holds them.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    layers: tuple[Layer, ...]
    onnx_values: Mapping[str, OnnxValue] = field(default_factory=dict)
