"""Which ONNX operators can be compiled, and what to do about the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import onnx
from onnx import numpy_helper

from edgecompress.compile import emit_network
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Model

_FLOAT = """
Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Constant Conv ConvTranspose
DepthToSpace Div Dropout Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements Gelu Gemm
GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GroupNormalization HardSigmoid HardSwish Hardmax
Identity InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpPool MatMul Max MaxPool
Mean Min Mul Neg Not Or PRelu Pad Pow RMSNormalization Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp
ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Round Selu Shrink Sigmoid Sign
Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh ThresholdedRelu Tile Transpose Trilu
Unsqueeze Where Xor
"""

FLOAT = frozenset(_FLOAT.split())
"""What a float network may hold. A test compiles every one of them and compares it with ONNX Runtime."""

QUANTIZED = FLOAT | {"DequantizeLinear", "QuantizeLinear"}
"""What a quantized network may hold; what has no integer kernel in it is computed with reals."""

POWERS = (-1.0, 0.5, 1.0, 2.0, 3.0)
"""Exponents that need no logarithm."""

_RECURRENT = "unroll the recurrence into MatMul, Sigmoid and Tanh before exporting, or keep it on the host"
_DATA_SIZED = "how much it gives depends on the data; keep that part of the network on the host"
_TRIGONOMETRY = "compute it ahead, as a constant, or keep that part of the network on the host"
_HOST = "keep that part of the network on the host"

_ADVICE: Mapping[str, str] = {
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _RECURRENT),
    **dict.fromkeys(("Compress", "NonMaxSuppression", "NonZero", "Unique"), _DATA_SIZED),
    **dict.fromkeys(("Acos", "Asin", "Atan", "Cos", "Cosh", "Sin", "Sinh", "Tan"), _TRIGONOMETRY),
    "Dropout": "only its first output can be compiled, not the mask",
    "MaxPool": "only its first output can be compiled, not the indices",
    "Pow": f"only the constant exponents {', '.join(f'{power:g}' for power in POWERS)} can be compiled",
}


def node_labels(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Name every node: its own name, or its type and first output where the name is empty or used twice."""
    names = [node.name for node in graph.node]
    uses = Counter(names)
    return tuple(
        name if name and uses[name] == 1 else f"{node.op_type} {next(filter(None, node.output), '')}"
        for node, name in zip(graph.node, names, strict=True)
    )


def check(model: Model) -> None:
    """Raise ModelError that lists every operator that cannot be compiled, its layers, and what to do.

    So does an input or output that has too many axes for a device; inside of the network there may be any number.
    """
    emit_network.check_ranks((*model.inputs, *model.outputs))
    graph = model.graph.graph
    supported = QUANTIZED if model.is_quantized else FLOAT
    constants = {tensor.name: tensor for tensor in graph.initializer}
    found: dict[str, list[str]] = {}
    for node, label in zip(graph.node, node_labels(graph), strict=True):
        if node.op_type not in supported or not _fits(node, constants):
            found.setdefault(node.op_type, []).append(label)
    if not found:
        return
    operators = "1 operator" if len(found) == 1 else f"{len(found)} operators"
    lines = [f"{model.name} holds {operators} that cannot be compiled:"]
    lines += [f"  {name}: {_layers(found[name])}" for name in sorted(found)]
    advice = [f"{name}: {_ADVICE.get(name, _HOST)}" for name in sorted(found)]
    raise ModelError("\n".join(lines), hint="\n".join(advice))


def _layers(labels: list[str]) -> str:
    return f"{'layer' if len(labels) == 1 else 'layers'} {', '.join(map(repr, labels))}"


def _fits(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """True when this use of a supported operator can be compiled."""
    if node.op_type in ("Dropout", "MaxPool"):
        return len([name for name in node.output if name]) == 1
    if node.op_type == "Pow":
        exponent = constants.get(node.input[1])
        return exponent is not None and set(numpy_helper.to_array(exponent).flat) in [{power} for power in POWERS]
    return True
