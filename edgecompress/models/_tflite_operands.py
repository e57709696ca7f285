"""What every layer of a .tflite network must keep: how many tensors it names, of which types and scales."""

from __future__ import annotations

from edgecompress.models._tflite_graph import Graph
from edgecompress.models._tflite_records import DAMAGED, Operator, Tensor

PRODUCTS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
JOINTS = frozenset({"ADD", "CONCATENATION", "MUL"})
CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})
CONVERT_TO_INT8 = (
    "convert the network to full int8: supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8] and a representative "
    "data set"
)


def check_operands(graph: Graph, operator: Operator, least: int, most: int) -> None:
    """Check that a layer names as many tensors as its operator takes, and that all are float32 or all int8."""
    if not least <= len(operator.inputs) <= most or len(operator.outputs) != 1:
        counts = str(least) if least == most else f"{least} to {most:,}"
        found = f"{len(operator.inputs)} inputs and {len(operator.outputs)} outputs"
        raise graph.refusal(operator, f"has {found}; it takes {counts} and 1", DAMAGED)
    missing = [place for place, index in enumerate(operator.inputs) if index < 0]
    if missing and not (operator.kind in PRODUCTS and missing == [2]):
        raise graph.refusal(operator, f"has no input {missing[0]}", DAMAGED)
    flowing = [graph.tensor(index) for index in (*_data(operator), *operator.outputs)]
    for tensor in flowing:
        _check_type(graph, operator, tensor)
    if operator.kind not in CONVERSIONS and len({tensor.dtype for tensor in flowing}) > 1:
        types = ", ".join(f"{tensor.name!r} is {tensor.dtype}" for tensor in flowing)
        raise graph.refusal(operator, f"mixes types: {types}", CONVERT_TO_INT8)


def check_same_scale(graph: Graph, operator: Operator) -> None:
    """Check that a layer that TFLite computes on the numbers as stored keeps their scale and zero point."""
    result = graph.tensor(operator.outputs[0])
    for tensor in (graph.tensor(index) for index in _data(operator)):
        if _parameters(tensor) != _parameters(result):
            found, wanted = (
                " and zero point ".join(map("{:g}".format, _parameters(each))) for each in (tensor, result)
            )
            reason = f"turns scale {found} into scale {wanted}; TFLite keeps them"
            raise graph.refusal(operator, reason, "quantize again")


def _data(operator: Operator) -> tuple[int, ...]:
    """The inputs that flow; the others are constants such as weights and axes."""
    return operator.inputs if operator.kind in JOINTS else operator.inputs[:1]


def _check_type(graph: Graph, operator: Operator, tensor: Tensor) -> None:
    if tensor.dtype == "float32":
        return
    if tensor.dtype == "uint8" and operator.kind not in CONVERSIONS:
        raise graph.refusal(operator, f"computes in uint8 ({tensor.name!r}), the old quantization", CONVERT_TO_INT8)
    if tensor.dtype not in ("int8", "uint8"):
        reason = f"computes in {tensor.dtype} ({tensor.name!r}); only float32 and int8 can run"
        raise graph.refusal(operator, reason, CONVERT_TO_INT8)
    if tensor.quantization is None:
        raise graph.refusal(operator, f"computes with {tensor.name!r}, which is int8 and has no scale", DAMAGED)
    if tensor.quantization.scales.size != 1:
        count = tensor.quantization.scales.size
        raise graph.refusal(operator, f"computes with {tensor.name!r}, which has {count:,} scales, not one", DAMAGED)


def _parameters(tensor: Tensor) -> tuple[float, ...]:
    if tensor.quantization is None:
        return ()
    return float(tensor.quantization.scales[0]), float(tensor.quantization.zero_points[0])
