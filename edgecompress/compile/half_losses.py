"""What half precision would cost each layer of a float network: measured by ONNX Runtime, one layer after the other.

A layer's inputs are rounded to halves, then its weights, and the network's outputs are compared with those of floats.
Errors of layers are independent of each other and small, so their squares add up (kernels/half_sums.py says how much
sums of halves add).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecompress.compile.operators import node_labels
from edgecompress.core.values import Array, Model

if TYPE_CHECKING:
    import onnx

SAMPLES = 2
_PRODUCTS = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True, kw_only=True)
class Loss:
    """The largest difference that rounding makes in an output, by the output's largest magnitude.

    `weights` to the nearest halves, or `carried`, where each weight takes on what the one before it lost.
    """

    inputs: float
    weights: float
    carried: float


def carry(weights: Array) -> Array:
    """Round weights (outputs, depth) to halves so that the errors of an output's weights add up to almost nothing.

    Inputs behind a ReLU have a mean, which the sum of the errors is multiplied by (Floyd and Steinberg 1976 carry the
    errors of pixels in this way).
    """
    rounded, lost = np.empty_like(weights, dtype=np.float64), np.zeros(len(weights))
    for place in range(weights.shape[1]):
        wanted = weights[:, place] + lost
        rounded[:, place] = wanted.astype(np.float16)
        lost = wanted - rounded[:, place]
    return rounded


def measure(model: Model, inputs: Mapping[str, Array]) -> dict[str, Loss]:
    """Measure the layers that multiply by constants, on the first SAMPLES of the inputs, by their nodes' labels."""
    network = _Network(model)
    samples = [{name: values[n : n + 1] for name, values in inputs.items()} for n in range(SAMPLES)]
    samples = [each for each in samples if all(len(value) for value in each.values())]
    exact = [network.run(sample) for sample in samples]

    def loss(changes: Mapping[str, Array]) -> float:
        found = (network.run({**sample, **changes}) for sample in samples)
        return max(_difference(one, other) for one, other in zip(found, exact, strict=True))

    return {
        label: Loss(
            inputs=loss({layer.switch: np.ones((), np.bool_)}),
            weights=loss({layer.weights: _as_float(layer.values.astype(np.float16))}),
            carried=loss({layer.weights: _as_float(layer.carried())}),
        )
        for label, layer in network.layers.items()
    }


def _as_float(values: Array) -> Array:
    return np.ascontiguousarray(values, dtype=np.float32)


def _difference(found: list[Array], exact: list[Array]) -> float:
    pairs = zip(found, exact, strict=True)
    return max(float(np.max(np.abs(a - b)) / (np.max(np.abs(b)) or 1.0)) for a, b in pairs)


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """A product: the network's inputs that round its inputs, and that replace its weights; where its outputs lie."""

    switch: str
    weights: str
    values: Array
    outputs_first: bool

    def carried(self) -> Array:
        """The weights, rounded so that errors add up to almost nothing."""
        first = self.values if self.outputs_first else self.values.T
        rounded = carry(first.reshape(len(first), -1)).reshape(first.shape)
        return rounded if self.outputs_first else rounded.T


class _Network:
    """The network with one more input a layer, and weights that are inputs with their values as defaults."""

    def __init__(self, model: Model) -> None:
        import onnx
        import onnxruntime

        graph = onnx.ModelProto()
        graph.CopyFrom(model.graph)
        self.layers: dict[str, _Layer] = {}
        self._change(graph.graph, node_labels(model.graph.graph))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        content = graph.SerializeToString()
        self._session: Any = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(self, values: Mapping[str, Array]) -> list[Array]:
        """Compute all outputs."""
        return [np.asarray(each, dtype=np.float64) for each in self._session.run(None, dict(values))]

    def _change(self, graph: onnx.GraphProto, labels: tuple[str, ...]) -> None:
        from onnx import TensorProto, helper, numpy_helper

        constants = {each.name: each for each in graph.initializer}
        listed = {each.name for each in graph.input}
        nodes: list[onnx.NodeProto] = []
        for label, node in zip(labels, graph.node, strict=True):
            if node.op_type in _PRODUCTS and node.input[1] in constants:
                weights = constants[node.input[1]]
                switch, rounded = f"{node.output[0]}/as half", f"{node.output[0]}/input"
                nodes.append(_rounding(node.input[0], switch, rounded))
                node.input[0] = rounded
                graph.initializer.append(numpy_helper.from_array(np.zeros((), np.bool_), switch))
                graph.input.append(helper.make_tensor_value_info(switch, TensorProto.BOOL, []))
                if weights.name not in listed:
                    graph.input.append(helper.make_tensor_value_info(weights.name, weights.data_type, weights.dims))
                    listed.add(weights.name)
                transposed = any(each.name == "transB" and each.i for each in node.attribute)
                self.layers[label] = _Layer(
                    switch=switch,
                    weights=weights.name,
                    values=numpy_helper.to_array(weights),
                    outputs_first=node.op_type == "Conv" or transposed,
                )
            nodes.append(node)
        del graph.node[:]
        graph.node.extend(nodes)


def _rounding(source: str, switch: str, result: str) -> onnx.NodeProto:
    """result = source as halves if switch, else source."""
    from onnx import TensorProto, helper

    def branch(name: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
        output = nodes[-1].output[0]
        return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)])

    narrowed, rounded, kept = f"{result}/half", f"{result}/rounded", f"{result}/kept"
    as_halves = branch(
        f"{result}/then",
        helper.make_node("Cast", [source], [narrowed], to=TensorProto.FLOAT16),
        helper.make_node("Cast", [narrowed], [rounded], to=TensorProto.FLOAT),
    )
    as_floats = branch(f"{result}/else", helper.make_node("Identity", [source], [kept]))
    return helper.make_node("If", [switch], [result], then_branch=as_halves, else_branch=as_floats)
