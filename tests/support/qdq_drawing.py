"""Small QDQ graphs, and the integer layers that they become."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgecompress.compile import frontend
from edgecompress.compile.integer import layers, matching
from edgecompress.core.values import Model, TensorSpec

Array = np.ndarray[Any, Any]


class Drawing:
    """A QDQ graph in the making; `quantized` puts a QuantizeLinear and a DequantizeLinear behind a value."""

    def __init__(self, shape: tuple[int, ...], *, activations: type = np.int8) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.shape = shape
        self.activations = activations

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"{kind}_{output}", **attributes))
        return output

    def constant(self, name: str, values: Array) -> str:
        self.constants[name] = values
        return name

    def quantized(self, name: str, scale: float = 0.1, zero: int = 0) -> str:
        parameters = [
            self.constant(f"{name}_scale", np.array(scale, np.float32)),
            self.constant(f"{name}_zero", np.array(zero, self.activations)),
        ]
        self.node("QuantizeLinear", [name, *parameters], f"{name}_q")
        return self.node("DequantizeLinear", [f"{name}_q", *parameters], f"{name}_dq")

    def weights(self, name: str, values: Array, scales: Array, *, axis: int, zero: int = 0) -> str:
        zeros = np.full(scales.shape, zero, values.dtype)
        inputs = [self.constant(name, values), self.constant(f"{name}_scale", scales.astype(np.float32))]
        inputs.append(self.constant(f"{name}_zero", zeros))
        return self.node("DequantizeLinear", inputs, f"{name}_dq", axis=axis)

    def model(self, output: str, shape: tuple[int, ...]) -> Model:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
            [numpy_helper.from_array(values, name) for name, values in self.constants.items()],
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        inputs = (TensorSpec(name="x", shape=self.shape, dtype="float32"),)
        return Model(name="net", graph=proto, inputs=inputs, outputs=(_spec(output, shape),))


def _spec(name: str, shape: tuple[int, ...]) -> TensorSpec:
    return TensorSpec(name=name, shape=shape, dtype="float32")


def match(model: Model) -> layers.Network:
    return matching.match(frontend.import_onnx(model), model)


def kinds(network: layers.Network) -> list[str]:
    return [type(layer).__name__ for layer in network.layers]


def only(network: layers.Network, kind: type[layers.Layer]) -> Any:
    (found,) = (layer for layer in network.layers if isinstance(layer, kind))
    return found
