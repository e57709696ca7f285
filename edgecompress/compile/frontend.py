"""ONNX to Relax, remembering which ONNX nodes every Relax variable came from.

TVM's own importer (tvm.relax.frontend.onnx) drops the names of the nodes; error messages, the comments of the
generated C and the per-layer report need them.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import tvm
from tvm import relax, tirx
from tvm.relax.frontend.onnx.onnx_frontend import ONNXGraphImporter

from edgecompress.compile.operators import node_labels
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Model

_LONGEST_NAME = 48
_OWN_DOMAINS = ("", "ai.onnx")
_PADDED = {"AveragePool", "Conv", "LpPool", "MaxPool"}


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A network as a Relax module whose function `main` is one data-flow block.

    QuantizeLinear and DequantizeLinear nodes are `relax.quantize` and `relax.dequantize`; weights are constants.
    The parameters of `main` stand in the order of the model's inputs. `origin` gives the labels of the ONNX nodes
    behind a variable (operators.node_labels), by the variable's name; inputs have none.
    """

    module: tvm.IRModule
    origin: Mapping[str, tuple[str, ...]]


def import_onnx(model: Model) -> Imported:
    """Turn the ONNX graph into Relax, one variable for each node's value.

    Raises ModelError, with the node's label and TVM's reason, when TVM's importer refuses a node.
    """
    importer = _Importer(node_labels(model.graph.graph))
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TVM prints the operands of a node that it refuses
            module = importer.from_onnx(model.graph.graph, _opset(model.graph))
    except ModelError:
        importer.bb._end_block()  # TVM prints a warning when a block is left open
        raise
    origin = importer.origin(module["main"])
    module = relax.transform.CanonicalizeBindings()(module)
    kept = [binding.var.name for binding in bindings(module["main"])]
    return Imported(module=module, origin={name: origin[name] for name in kept if name in origin})


def bindings(function: relax.Function) -> Iterator[relax.Binding]:
    """Yield the bindings of a function in order."""
    for block in function.body.blocks:
        yield from block.bindings


def identifier(onnx_name: str) -> str:
    """Make an ONNX name a short C identifier, by its last words: `net/conv1/Relu;net/bn/Norm` -> `net_conv1_Relu`."""
    first = onnx_name.split(";", maxsplit=1)[0]
    words = re.sub(r"[\W_]+", "_", first, flags=re.ASCII).strip("_")
    while "_" in words and (len(words) > _LONGEST_NAME or words[0].isdigit()):
        words = words.split("_", maxsplit=1)[1]
    return f"v{words}" if not words or words[0].isdigit() else words


def _opset(graph: onnx.ModelProto) -> int:
    return next(int(opset.version) for opset in graph.opset_import if opset.domain in _OWN_DOMAINS)


@dataclass(frozen=True)
class _OneNode:
    """The part of a GraphProto that the importer's node loop reads."""

    node: tuple[onnx.NodeProto]


class _Importer(ONNXGraphImporter):  # type: ignore[misc]
    """TVM's importer, fed one node at a time, that binds each node's value to a variable of its own."""

    def __init__(self, labels: Iterable[str]) -> None:
        super().__init__(shape_dict={}, dtype_dict={}, keep_params_in_input=False, sanitize=False)
        self._labels = tuple(labels)
        self._made: list[tuple[str, frozenset[str]]] = []

    def _construct_nodes(self, graph: onnx.GraphProto) -> None:
        for label, node in zip(self._labels, graph.node, strict=True):
            try:
                super()._construct_nodes(_OneNode((node,)))
            except Exception as error:
                raise ModelError(
                    f"layer {label!r} ({node.op_type}) cannot be imported: {_last_line(error)}",
                    hint="export the network with opset 17, or keep that part of it on the host",
                ) from error
            self._made.append((label, frozenset(self._bind(name) for name in node.output if name)))

    def _convert_operator(self, op_name: str, inputs: Sequence[Any], attrs: dict[str, Any], opset: int) -> relax.Expr:
        """Import a node; what TVM makes opaque kernels of (clipping, padding) is made operators here."""
        if op_name in _PADDED and attrs.get("auto_pad") in (b"SAME_UPPER", b"SAME_LOWER"):
            attrs = _with_explicit_padding(inputs, attrs)
        value = _OWN_IMPORTS[op_name](inputs, attrs) if op_name in _OWN_IMPORTS else None
        return super()._convert_operator(op_name, inputs, attrs, opset) if value is None else self.bb.normalize(value)

    def _bind(self, onnx_name: str) -> str:
        """Bind the value to a variable named after it; return the variable's name, or nothing for a constant."""
        value = self._nodes[onnx_name]
        if isinstance(value, relax.Call):
            value = self.bb.emit(value, name_hint=identifier(onnx_name))
            self._nodes[onnx_name] = value
        return str(value.name) if isinstance(value, relax.Var) else ""

    def origin(self, main: relax.Function) -> dict[str, tuple[str, ...]]:
        """Attribute every variable to a node: a node's helper variables stand just before its own value."""
        origin: dict[str, tuple[str, ...]] = {}
        pending: list[str] = []
        owner = {name: label for label, names in reversed(self._made) for name in names}
        for binding in bindings(main):
            name = binding.var.name
            pending.append(name)
            if isinstance(binding.value, relax.Var):  # the output, another name for the last node's value
                owner.setdefault(name, owner.get(binding.value.name, ""))
            if label := owner.get(name):
                origin |= dict.fromkeys(pending, (label,))
                pending.clear()
        return origin


def _with_explicit_padding(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Replace auto_pad SAME of a convolution or pooling by the pads that it stands for (ONNX, operator Conv)."""
    extents = [int(extent) for extent in inputs[0].ty.shape.values[2:]]
    kernel = attributes.get("kernel_shape") or [int(extent) for extent in inputs[1].ty.shape.values[2:]]
    strides = attributes.get("strides") or [1] * len(extents)
    dilations = attributes.get("dilations") or [1] * len(extents)
    begins, ends = [], []
    for extent, size, stride, dilation in zip(extents, kernel, strides, dilations, strict=True):
        covered = (-(-extent // stride) - 1) * stride + (size - 1) * dilation + 1
        total = max(covered - extent, 0)
        smaller, larger = total // 2, total - total // 2
        begins.append(smaller if attributes["auto_pad"] == b"SAME_UPPER" else larger)
        ends.append(larger if attributes["auto_pad"] == b"SAME_UPPER" else smaller)
    explicit = {name: value for name, value in attributes.items() if name != "auto_pad"}
    return {**explicit, "pads": [*begins, *ends]}


def _clip(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> relax.Expr | None:  # noqa: ARG001
    """Clip between constants; with 0 as the only bound it is a Relu."""
    data, low, high = inputs[0], inputs[1], inputs[2]
    if any(bound is not None and not isinstance(bound, tvm.ir.GenericConst) for bound in (low, high)):
        return None
    if low is not None and high is not None:
        return relax.op.clip(data, _scalar(low), _scalar(high))
    if low is not None:
        return relax.op.maximum(data, low) if _scalar(low).value else relax.op.nn.relu(data)
    return relax.op.minimum(data, high) if high is not None else data


def _scalar(constant: tvm.ir.GenericConst) -> tirx.FloatImm:
    return tirx.FloatImm("float32", float(constant.value.numpy()))


def _pad(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> relax.Expr | None:
    """Pad all axes with a constant."""
    data, widths, value, axes = inputs[0], inputs[1], inputs[2], inputs[3]
    if attributes.get("mode", b"constant") != b"constant" or axes is not None:
        return None
    before, after = np.split(widths.value.numpy(), 2)
    pairs = np.stack([before, after], axis=1).ravel().tolist()
    return relax.op.nn.pad(data, pairs, pad_value=_scalar(value).value if value is not None else 0.0)


def _tile(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> relax.Expr | None:  # noqa: ARG001
    """Repeat along the axes."""
    return relax.op.tile(inputs[0], inputs[1].value.numpy().tolist())


def _dropout(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> relax.Expr:  # noqa: ARG001
    """Drop nothing: the network is not being trained."""
    return inputs[0]


_OWN_IMPORTS = {"Clip": _clip, "Dropout": _dropout, "Pad": _pad, "Tile": _tile}


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
