"""What an ONNX file must be before anything is done with it; each check raises one ModelError."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from edgecompress.core.errors import ModelError
from edgecompress.models._model_bytes import FILE_BYTES_LIMIT

NODES_LIMIT = 100_000
OPSET_OLDEST = 7
OPSET_FLOOR = 13
"""Per-axis QuantizeLinear and today's Softmax begin here; older files are converted."""
OPSET_WANTED = 17
STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
ELEMENT_TYPES = frozenset(
    {
        TensorProto.FLOAT,
        TensorProto.INT8,
        TensorProto.UINT8,
        TensorProto.INT16,
        TensorProto.INT32,
        TensorProto.INT64,
        TensorProto.BOOL,
    }
)


def check_file(proto: ModelProto, path: Path) -> None:
    """Check what the file as a whole says: that it holds a graph, of a known operator set, of a bearable size."""
    if not proto.HasField("graph") or not proto.graph.node:
        raise ModelError(f"{path} holds no network", hint="it may be cut short, or not be an ONNX file")
    newest = onnx.defs.onnx_opset_version()
    found = opset(proto)
    if not OPSET_OLDEST <= found <= newest:
        raise ModelError(
            f"{path} uses operator set {found}; {OPSET_OLDEST} to {newest} can be read",
            hint=f"export the network with opset_version={OPSET_WANTED}",
        )
    if len(proto.graph.node) > NODES_LIMIT:
        raise ModelError(f"{path} has {len(proto.graph.node):,} nodes; {NODES_LIMIT:,} are allowed")


def opset(proto: ModelProto) -> int:
    """The version of the standard operator set that the file asks for; 0 when it names none."""
    return max((entry.version for entry in proto.opset_import if entry.domain in STANDARD_DOMAINS), default=0)


def check_graph(proto: ModelProto, path: Path) -> None:
    """Check that the graph is one acyclic graph of standard operators on element types that a device can have."""
    graph = proto.graph
    _check_domains(graph, path)
    _check_no_subgraphs(graph, path)
    if graph.sparse_initializer:
        raise ModelError(
            f"{path}: {graph.sparse_initializer[0].values.name!r} is a sparse tensor", hint="export dense weights"
        )
    _check_order(graph, path)
    _check_element_types(graph, path)
    for tensor in _graph_tensors(graph):
        _check_value_count(tensor, path)


def check_no_nan(proto: ModelProto, path: Path) -> None:
    """Check that every float constant is a number."""
    for tensor in proto.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.isnan(numpy_helper.to_array(tensor)).any():
            raise ModelError(
                f"{path}: the constant {tensor.name!r} holds NaN", hint="the training diverged; train again"
            )


def run_onnx_checker(proto: ModelProto, path: Path) -> None:
    """Run the ONNX project's own checker with full shape inference."""
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{path} is not a valid ONNX model: {_first_sentence(error)}", hint="export the network again"
        ) from error


def external_tensors(proto: ModelProto, path: Path) -> list[TensorProto]:
    """List the tensors whose data lies in other files, all of them inside the model's folder.

    Raises ModelError for a location outside of it, and when everything together is too large.
    """
    found = [tensor for tensor in _tensors(proto) if tensor.data_location == TensorProto.EXTERNAL]
    folder = path.parent.resolve()
    total = path.stat().st_size
    seen: set[Path] = set()
    for tensor in found:
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        target = (folder / location.replace("\0", "?")).resolve()
        if not location or not target.is_relative_to(folder) or Path(location).is_absolute():
            raise ModelError(
                f"{path}: the weights of {tensor.name!r} lie at {location!r}, outside the model's folder",
                hint="save the network as one file: onnx.save(onnx.load(path), new_path)",
            )
        if not target.is_file():
            raise ModelError(
                f"{path}: the file {location!r} with the weights of {tensor.name!r} is missing",
                hint="copy the model together with its data file",
            )
        total += 0 if target in seen else target.stat().st_size
        seen.add(target)
    if total > FILE_BYTES_LIMIT:
        raise ModelError(f"{path} and its data files have {total:,} bytes; a model may have {FILE_BYTES_LIMIT:,}")
    return found


def _check_domains(graph: GraphProto, path: Path) -> None:
    foreign = Counter(f"{node.domain}.{node.op_type}" for node in graph.node if node.domain not in STANDARD_DOMAINS)
    if foreign:
        raise ModelError(
            f"{path} uses operators outside the ONNX standard: {', '.join(sorted(foreign))}",
            hint="export without vendor operators; from onnxruntime, save the model before it is optimized",
        )


def _check_no_subgraphs(graph: GraphProto, path: Path) -> None:
    for node in graph.node:
        if any(attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for attribute in node.attribute):
            raise ModelError(
                f"{path}: {_label(node)} is control flow",
                hint="unroll it or take the one branch before exporting; a device runs a fixed list of layers",
            )


def _check_order(graph: GraphProto, path: Path) -> None:
    """Check that every node comes after those that feed it; a graph with a cycle cannot be sorted so."""
    makers = {name: node for node in graph.node for name in node.output}
    done = {""} | {tensor.name for tensor in graph.initializer} | {value.name for value in graph.input}
    for node in graph.node:
        for name in node.input:
            if name in done:
                continue
            if name not in makers:
                raise ModelError(
                    f"{path}: {_label(node)} reads {name!r}, which nothing makes", hint="export the network again"
                )
            raise ModelError(
                f"{path}: {_label(node)} reads {name!r} before {_label(makers[name])} makes it",
                hint="the graph has a cycle or is not sorted",
            )
        done.update(node.output)


def _check_element_types(graph: GraphProto, path: Path) -> None:
    typed = [(tensor.name, tensor.data_type) for tensor in _graph_tensors(graph)]
    for info in [*graph.input, *graph.output, *graph.value_info]:
        if not info.type.HasField("tensor_type"):
            raise ModelError(f"{path}: {info.name!r} is not a tensor", hint="sequences, maps and optionals cannot run")
        typed.append((info.name, info.type.tensor_type.elem_type))
    for node in graph.node:
        typed.extend((node.output[0], a.i) for a in node.attribute if node.op_type == "Cast" and a.name == "to")
    for name, element_type in typed:
        if element_type in ELEMENT_TYPES or element_type == TensorProto.UNDEFINED:
            continue
        kind = _type_name(element_type)
        raise ModelError(f"{path}: the tensor {name!r} is {kind}", hint=_type_hint(kind))


def _check_value_count(tensor: TensorProto, path: Path) -> None:
    """Check that a constant holds the values that its shape promises; the ONNX checker does not."""
    try:
        whole = min(tensor.dims, default=0) >= 0 and numpy_helper.to_array(tensor).shape == tuple(tensor.dims)
    except (ValueError, TypeError):
        whole = False
    if not whole:
        shape = "(" + ", ".join(str(dim) for dim in tensor.dims) + ")"
        raise ModelError(
            f"{path}: the constant {tensor.name!r} does not hold the values of its shape {shape}",
            hint="the file is damaged; export the network again",
        )


def _label(node: NodeProto) -> str:
    """`Conv 'stem'`: the type and the name of a node, or of what it makes when it has none."""
    return f"{node.op_type} {node.name or next(iter(node.output), '')!r}"


def _type_name(element_type: int) -> str:
    known = TensorProto.DataType.values()
    return str(TensorProto.DataType.Name(element_type)).lower() if element_type in known else f"type {element_type}"


def _type_hint(kind: str) -> str:
    if kind in ("float16", "bfloat16", "double"):
        return "export the network in float32; this tool quantizes it to int8 itself"
    return "float32 networks and 8-bit QDQ networks can be read"


def _tensors(proto: ModelProto) -> Iterator[TensorProto]:
    yield from _graph_tensors(proto.graph)
    for function in proto.functions:
        yield from _attribute_tensors(function.node)


def _graph_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _attribute_tensors(graph.node)


def _attribute_tensors(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for graph in [attribute.g, *attribute.graphs] if attribute.HasField("g") else attribute.graphs:
                yield from _graph_tensors(graph)


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
