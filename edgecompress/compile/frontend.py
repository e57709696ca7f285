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

import onnx
import tvm
from tvm import relax
from tvm.relax.frontend.onnx.onnx_frontend import ONNXGraphImporter

from edgecompress.compile import onnx_nodes
from edgecompress.compile.operators import node_labels
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Model

_LONGEST_NAME = 48
_FUNCTION = "main"
_OWN_DOMAINS = ("", "ai.onnx")


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
    """Make an ONNX name a short C identifier, by its last words: `net/conv1/Relu;net/bn/Norm` -> `net_conv1_Relu`.

    It is never `main`: a variable of that name would take it from the function.
    """
    first = onnx_name.split(";", maxsplit=1)[0]
    words = re.sub(r"[\W_]+", "_", first, flags=re.ASCII).strip("_")
    while "_" in words and (len(words) > _LONGEST_NAME or words[0].isdigit()):
        words = words.split("_", maxsplit=1)[1]
    return f"v{words}" if not words or words[0].isdigit() or words == _FUNCTION else words


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
        """Import a node in our own way where there is one, else in TVM's."""
        value = onnx_nodes.convert(op_name, inputs, attrs)
        if value is not None:
            return self.bb.normalize(value)
        attrs = onnx_nodes.with_explicit_padding(op_name, inputs, attrs)
        return super()._convert_operator(op_name, inputs, attrs, opset)

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


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
