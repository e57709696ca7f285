"""ONNX files: read strictly, checked, every shape bound, cleaned; written so that the same model gives the same bytes.

A network that passes `load` is one straight graph of standard operators in float32 or QDQ form, with batch 1, static
shapes, unique node names and constant, sensible quantization parameters. What may run on a device is the compiler's
question, not this module's.
"""

from __future__ import annotations

import contextlib
import logging
import re
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto, TensorProto, external_data_helper, inliner, version_converter
from pydantic import TypeAdapter, ValidationError

from edgecompress import __version__
from edgecompress.core import files
from edgecompress.core.errors import ModelError
from edgecompress.core.values import AppliedStep, Model
from edgecompress.models import _onnx_checks as checks
from edgecompress.models import _onnx_quantization as quantization
from edgecompress.models import _onnx_shapes as bound_shapes
from edgecompress.models import _onnx_specs as specs
from edgecompress.models._model_bytes import read_bytes

logger = logging.getLogger(__name__)

SUFFIXES = (".onnx",)
NAME_KEY = "edgecompress.name"
STEPS_KEY = "edgecompress.steps"
ARITHMETIC_KEY = "edgecompress.arithmetic"
CLEAN_KEY = "edgecompress.clean"
"""Says which version of this program cleaned the graph: it is not cleaned again, which takes half a second."""
NO_SHAPES: Mapping[str, tuple[int, ...]] = MappingProxyType({})
FOLDED_BYTES_LIMIT = 64 * 2**20
"""What folding would make larger stays a computation: a few bytes of file can ask for gigabytes of constant."""
FOLDING_MEMORY_BYTES = 8 * 2**30

_STEPS = TypeAdapter(tuple[AppliedStep, ...])


def load(path: Path, *, name: str | None = None, shapes: Mapping[str, tuple[int, ...]] = NO_SHAPES) -> Model:
    """Read an ONNX file into a Model with batch 1 and static shapes.

    `name` defaults to the one that `save` stored, then to the file's stem. `shapes` binds dynamic input shapes by input
    name; a dynamic batch dimension is bound to 1 without being asked. Raises ModelError for anything that is damaged,
    not static, not float32 or 8-bit QDQ, or not of the standard operator set.
    """
    proto = _parse(path)
    checks.check_file(proto, path)
    _load_external_weights(proto, path)
    return read(proto, path, name=name, shapes=shapes)


def read(
    proto: ModelProto, path: Path, *, name: str | None = None, shapes: Mapping[str, tuple[int, ...]] = NO_SHAPES
) -> Model:
    """Make a Model of an ONNX graph that lies whole in memory, as `load` does; `path` is what errors call it."""
    proto = _in_one_graph(proto, path)
    checks.check_graph(proto, path)
    bound_shapes.bind(proto, shapes, path)
    checks.run_onnx_checker(proto, path)
    bound_shapes.infer(proto, path)
    stored = {entry.key: entry.value for entry in proto.metadata_props}
    graph = _stripped(proto) if stored.get(CLEAN_KEY) == __version__ else _clean(proto, path)
    checks.check_graph(graph, path)
    bound_shapes.infer(graph, path)
    bound_shapes.check_static(graph, path)
    quantization.check(graph, path)
    checks.check_no_nan(graph, path)
    quantization.fold_weights(graph)
    inputs, outputs = specs.read(graph, path)
    return Model(
        name=name or stored.get(NAME_KEY) or path.stem,
        graph=graph,
        inputs=inputs,
        outputs=outputs,
        steps=_stored_steps(stored.get(STEPS_KEY, "[]"), path),
        arithmetic="tflite" if stored.get(ARITHMETIC_KEY) == "tflite" else "onnx",
    )


def save(model: Model, path: Path, *, is_clean: bool = False) -> None:
    """Write a model with its name, applied steps and arithmetic as metadata; equal models give equal bytes.

    `is_clean` says that its graph is one that `load` made. Raises StorageError when the file system refuses.
    """
    proto = ModelProto()
    proto.CopyFrom(model.graph)
    del proto.metadata_props[:]
    proto.metadata_props.add(key=NAME_KEY, value=model.name)
    proto.metadata_props.add(key=STEPS_KEY, value=_STEPS.dump_json(model.steps).decode())
    if model.arithmetic != "onnx":
        proto.metadata_props.add(key=ARITHMETIC_KEY, value=model.arithmetic)
    if is_clean:
        proto.metadata_props.add(key=CLEAN_KEY, value=__version__)
    files.write_whole(path, proto.SerializeToString(deterministic=True))


def _parse(path: Path) -> ModelProto:
    raw = read_bytes(path)
    proto = ModelProto()
    try:
        proto.ParseFromString(raw)
    except DecodeError as error:
        raise ModelError(
            f"{path} is not an ONNX file, or is cut short ({len(raw):,} bytes)",
            hint="export the network again, or copy the file again",
        ) from error
    return proto


def _load_external_weights(proto: ModelProto, path: Path) -> None:
    external = checks.external_tensors(proto, path)
    if not external:
        return
    try:
        for tensor in external:
            external_data_helper.load_external_data_for_tensor(tensor, str(path.parent.resolve()))
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]
    except (onnx.checker.ValidationError, ValueError, OSError) as error:
        raise ModelError(
            f"{path}: the weights of {tensor.name!r} cannot be read: {_first_line(error)}",
            hint="copy the model together with its data file",
        ) from error


def _in_one_graph(proto: ModelProto, path: Path) -> ModelProto:
    """Inline model-local functions (torch.onnx writes them) and raise an old operator set to OPSET_WANTED."""
    try:
        if proto.functions:
            proto = inliner.inline_local_functions(proto)
        if checks.opset(proto) < checks.OPSET_FLOOR:
            proto = version_converter.convert_version(proto, checks.OPSET_WANTED)
    except Exception as error:
        # Both are C++ behind a binding that throws several unrelated types.
        raise ModelError(
            f"{path}: operator set {checks.opset(proto)} cannot be converted to {checks.OPSET_WANTED}: "
            f"{_first_line(error)}",
            hint=f"export the network with opset_version={checks.OPSET_WANTED}",
        ) from error
    return proto


def _clean(proto: ModelProto, path: Path) -> ModelProto:
    """Fold constants, fuse batch norms and biases, drop what does nothing, and name every node once."""
    # Takes 0.7 s to import (sympy).
    import onnxslim

    _strip_texts(proto)
    try:
        with _bounded_memory():
            clean: ModelProto = onnxslim.slim(proto, size_threshold=FOLDED_BYTES_LIMIT)
    except Exception as error:
        # A graph rewriter on foreign graphs: anything it throws means that this graph is not one it understands.
        logger.debug("onnxslim failed on %s", path, exc_info=True)
        raise ModelError(
            f"{path} cannot be simplified: {type(error).__name__}: {_first_line(error)}",
            hint="export the network for inference, with static shapes",
        ) from error
    _strip_texts(clean)
    _name_nodes(clean)
    return clean


def _stripped(proto: ModelProto) -> ModelProto:
    """Only drop texts, as `_clean` does too."""
    _strip_texts(proto)
    return proto


@contextlib.contextmanager
def _bounded_memory() -> Iterator[None]:
    """Let the process grow by FOLDING_MEMORY_BYTES at most: a hostile file ends in an error, not in a swap storm."""
    statm = Path("/proc/self/statm")
    if not statm.exists():  # not Linux
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(statm.read_text().split()[0]) * resource.getpagesize()
    room = used + FOLDING_MEMORY_BYTES
    soft = room if before[0] == resource.RLIM_INFINITY else min(room, before[0])
    resource.setrlimit(resource.RLIMIT_AS, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _strip_texts(proto: ModelProto) -> None:
    """Drop documentation strings and per-node metadata: exporters write paths and times there."""
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    del proto.graph.quantization_annotation[:]
    proto.ClearField("doc_string")
    proto.graph.ClearField("doc_string")
    described: list[Any] = [*proto.graph.node, *proto.graph.initializer, *proto.graph.input, *proto.graph.output]
    for item in described:
        item.ClearField("doc_string")
        item.ClearField("metadata_props")


def _name_nodes(proto: ModelProto) -> None:
    """Keep the user's names; a missing one becomes `Conv_3` (type and position), a second use gets a number."""
    taken: set[str] = set()
    for position, node in enumerate(proto.graph.node):
        wanted = node.name or f"{node.op_type}_{position}"
        unique, number = wanted, 2
        while unique in taken:
            unique, number = f"{wanted}_{number}", number + 1
        node.name = unique
        taken.add(unique)


def _stored_steps(text: str, path: Path) -> tuple[AppliedStep, ...]:
    try:
        return _STEPS.validate_json(text)
    except ValidationError as error:
        raise ModelError(f"{path}: the metadata {STEPS_KEY} is damaged", hint="compress the network again") from error


def _first_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error).strip())[:200]
