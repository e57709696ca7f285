"""The ONNX graph under construction: which value holds which tensor of the .tflite file, and in which layout.

TFLite's images are channels last, those of ONNX operators channels first. A tensor is kept in the layout that its
layer made; the other one is made by a Transpose when somebody asks for it, once.
"""

from __future__ import annotations

import enum
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from edgecompress.core.errors import ModelError
from edgecompress.core.values import Array
from edgecompress.models._onnx_shapes import show
from edgecompress.models._tflite_records import DAMAGED, Network, Operator, Quantization, Tensor

Shape = tuple[int, ...]


class Layout(enum.Enum):
    """How a tensor of four axes lies in the ONNX graph: as in the .tflite file, or with its channels second."""

    AS_STORED = "as_stored"
    CHANNELS_FIRST = "channels_first"


_AXES = {Layout.AS_STORED: (0, 2, 3, 1), Layout.CHANNELS_FIRST: (0, 3, 1, 2)}
"""The Transpose that makes a layout out of the other one."""


class Graph:
    """Takes nodes in order of execution. `borders` are the zeros around an image that its readers add themselves."""

    def __init__(self, network: Network, path: Path) -> None:
        self.path = path
        self.borders: dict[int, tuple[int, tuple[int, int, int, int]]] = {}
        self._network = network
        self._readers: dict[int, list[Operator]] = defaultdict(list)
        for operator in network.operators:
            for index in set(operator.inputs):
                self._readers[index].append(operator)
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        self._stored: dict[tuple[int, Layout], str] = {}
        self._real: dict[tuple[int, Layout], str] = {}
        self._node_names: Counter[str] = Counter()
        self._value_names: Counter[str] = Counter()
        edges = dict.fromkeys((*network.inputs, *network.outputs))
        made = (index for index, tensor in enumerate(network.tensors) if tensor.data is None and index not in edges)
        self._names = {index: _unique(network.tensors[index].name, self._value_names) for index in (*edges, *made)}
        for index in network.inputs:
            self._stored[index, Layout.AS_STORED] = self._names[index]

    # What the file says

    def tensor(self, index: int) -> Tensor:
        """A tensor of the file."""
        return self._network.tensors[index]

    def readers(self, index: int) -> list[Operator]:
        """The layers that read a tensor."""
        return self._readers[index]

    def is_output(self, index: int) -> bool:
        """True for an output of the network."""
        return index in self._network.outputs

    def name(self, operator: Operator) -> str:
        """A layer's name: that of the tensor it makes."""
        return self._names[operator.outputs[0]]

    def options(self, operator: Operator) -> Mapping[str, Any]:
        """A layer's options. Raises ModelError when the file has none for it."""
        if operator.options is None:
            raise self.refusal(operator, "has no options", DAMAGED)
        return operator.options

    def refusal(self, operator: Operator, reason: str, hint: str) -> ModelError:
        """An error about a layer."""
        return ModelError(f"{self.path}: {operator.kind} {self.name(operator)!r} {reason}", hint=hint)

    # Values

    def stored(self, index: int, layout: Layout = Layout.AS_STORED) -> str:
        """The ONNX value that holds a tensor's numbers as stored, int8 or float."""
        if (index, layout) not in self._stored:
            self._stored[index, layout] = self._other_layout(index, layout)
        return self._stored[index, layout]

    def real(self, index: int, layout: Layout = Layout.AS_STORED) -> str:
        """The ONNX value that holds a tensor's real numbers."""
        tensor = self.tensor(index)
        if tensor.quantization is None:
            return self.stored(index, layout)
        if (index, layout) not in self._real:
            axis = tensor.quantization.axis
            axis = axis if layout is Layout.AS_STORED else _AXES[layout].index(axis)
            self._real[index, layout] = self.dequantized(
                self.stored(index, layout), tensor.quantization, tensor.dtype, axis=axis
            )
        return self._real[index, layout]

    def make_stored(self, operator: Operator, shape: Shape, layout: Layout = Layout.AS_STORED) -> None:
        """Let the last node's value be the tensor that a layer makes.

        `shape` is what the layer gives, its axes in the file's order. Raises ModelError when the file says another.
        """
        index = operator.outputs[0]
        said = self.tensor(index).shape
        if said != shape:
            raise self.refusal(operator, f"makes the shape {show(shape)}; the file says {show(said)}", DAMAGED)
        name = self._value_name(index, layout, is_own=layout is Layout.AS_STORED or not self.is_output(index))
        self._nodes[-1].output[0] = name
        self._stored[index, layout] = name

    def make(self, operator: Operator, value: str, shape: Shape, layout: Layout = Layout.AS_STORED) -> None:
        """Let the last node's real value be the tensor that a layer makes, quantized where the file says so."""
        index = operator.outputs[0]
        tensor = self.tensor(index)
        if tensor.quantization is not None:
            name = f"{self._names[index]}_quantize"
            self.node("QuantizeLinear", [value, *self._parameters(tensor.quantization, tensor.dtype)], name)
        self.make_stored(operator, shape, layout)

    # ONNX

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node; return the value it makes, which is called after the node."""
        unique = _unique(name, self._node_names)
        value = _unique(f"{unique}:0", self._value_names)
        self._nodes.append(helper.make_node(kind, inputs, [value], name=unique, **attributes))
        return value

    def constant(self, values: Array, name: str) -> str:
        """Add a constant."""
        unique = _unique(name, self._value_names)
        self._constants.append(numpy_helper.from_array(values, name=unique))
        return unique

    def dequantized(
        self, value: str, quantization: Quantization, dtype: str, *, axis: int = 0, name: str | None = None
    ) -> str:
        """Add a DequantizeLinear; several scales run along `axis`."""
        along = {"axis": axis} if quantization.scales.size > 1 else {}
        parameters = self._parameters(quantization, dtype)
        return self.node("DequantizeLinear", [value, *parameters], name or f"{value}_dequantize", **along)

    def finish(self) -> GraphProto:
        """The graph, with inputs and outputs as the file has them."""
        for index in self._network.outputs:
            self.stored(index)
        inputs, outputs = (
            [self._info(index) for index in indices] for indices in (self._network.inputs, self._network.outputs)
        )
        return helper.make_graph(self._nodes, "network", inputs, outputs, self._constants)

    def _other_layout(self, index: int, layout: Layout) -> str:
        tensor = self.tensor(index)
        if tensor.data is not None:
            values = values_of(tensor)
            return self.constant(values if layout is Layout.AS_STORED else values.transpose(_AXES[layout]), tensor.name)
        source = next(other for other in Layout if (index, other) in self._stored)
        self.node(
            "Transpose", [self._stored[index, source]], f"{self._names[index]}_{layout.value}", perm=_AXES[layout]
        )
        is_own = layout is Layout.AS_STORED and self.is_output(index)
        self._nodes[-1].output[0] = name = self._value_name(index, layout, is_own=is_own)
        return name

    def _value_name(self, index: int, layout: Layout, *, is_own: bool) -> str:
        """A tensor's own name, or one that says its layout: a tensor may be there twice."""
        return self._names[index] if is_own else _unique(f"{self._names[index]}_{layout.value}", self._value_names)

    def _parameters(self, quantization: Quantization, dtype: str) -> tuple[str, str]:
        scalar = () if quantization.scales.size == 1 else (quantization.scales.size,)
        scales = quantization.scales.astype(np.float32).reshape(scalar)
        zero_points = quantization.zero_points.astype(dtype).reshape(scalar)
        return self.constant(scales, "scale"), self.constant(zero_points, "zero_point")

    def _info(self, index: int) -> ValueInfoProto:
        tensor = self.tensor(index)
        element_type = helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype))
        return helper.make_tensor_value_info(self._names[index], element_type, tensor.shape)


def _unique(wanted: str, taken: Counter[str]) -> str:
    """A name that is not taken yet; a second use gets a number."""
    unique = wanted
    while unique in taken:
        taken[wanted] += 1
        unique = f"{wanted}_{taken[wanted]}"
    taken[unique] += 1
    return unique


def values_of(tensor: Tensor) -> Array:
    """The numbers of a constant, in its shape."""
    data = tensor.data if tensor.data is not None else np.zeros(0, np.uint8)
    little_endian = np.dtype(tensor.dtype).newbyteorder("<")
    return data.view(little_endian).reshape(tensor.shape)
