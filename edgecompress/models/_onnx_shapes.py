"""Bind dynamic input shapes, infer all the others, and insist that none is left open."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import ModelProto, ValueInfoProto

from edgecompress.core.errors import ModelError

ELEMENTS_LIMIT = 2**28
"""One tensor of more elements (1 GiB of float32) is refused before anything tries to allocate it."""

LARGE_BYTES = 4096

Dims = tuple[int | str, ...]


def bind(proto: ModelProto, shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Give every graph input a static shape, in place: the user's from `shapes`, else 1 for an open leading dimension.

    Raises ModelError naming the input and its dimensions when one stays open, when `shapes` contradicts the file or
    names no input, and when the leading dimension is not 1.
    """
    inputs = _true_inputs(proto)
    for name in shapes:
        if name not in inputs:
            raise ModelError(f"{path} has no input {name!r} to bind a shape to", hint=f"inputs: {', '.join(inputs)}")
    leading = [dims_of(info)[0] if dims_of(info) else 0 for info in inputs.values()]
    batch_is_open = all(not isinstance(dim, int) or dim == 1 for dim in leading)
    for name, info in inputs.items():
        _bind_input(info, shapes.get(name), batch_is_open, path)
    del proto.graph.value_info[:]
    for output in proto.graph.output:
        _forget_open_dims(output)


def infer(proto: ModelProto, path: Path) -> None:
    """Infer the shape of every tensor, in place. Raises ModelError when shapes contradict each other or are absurd."""
    weights = _take_weights(proto)
    try:
        # Without data propagation: it would write out a Range of any length that the file asks for.
        inferred = onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{path}: the shapes do not fit together: {' '.join(str(error).split())[:300]}",
            hint="export the network again, or correct [shapes] in the recipe",
        ) from error
    proto.CopyFrom(inferred)
    for place, content in weights.items():
        proto.graph.initializer[place].raw_data = content
    for info in [*proto.graph.value_info, *proto.graph.output, *proto.graph.input]:
        dims = dims_of(info)
        elements = math.prod(dim for dim in dims if isinstance(dim, int))
        if elements > ELEMENTS_LIMIT:
            raise ModelError(
                f"{path}: the tensor {info.name!r} {show(dims)} has {elements:,} elements; "
                f"{ELEMENTS_LIMIT:,} are allowed",
                hint="the file may be damaged; no device takes a tensor of that size",
            )


def _take_weights(proto: ModelProto) -> dict[int, bytes]:
    """Take the content of large floats out of a graph: no shape depends on it, and inference would copy it thrice."""
    taken = {
        place: tensor.raw_data
        for place, tensor in enumerate(proto.graph.initializer)
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.raw_data) > LARGE_BYTES
    }
    for place in taken:
        proto.graph.initializer[place].ClearField("raw_data")
    return taken


def check_static(proto: ModelProto, path: Path) -> None:
    """Raise ModelError for the first tensor, in order of execution, whose shape is not known."""
    shapes = {info.name: dims_of(info) for info in [*proto.graph.value_info, *proto.graph.output]}
    for node in proto.graph.node:
        for name in filter(None, node.output):
            dims = shapes.get(name)
            if dims is None or not all(isinstance(dim, int) and dim > 0 for dim in dims):
                shown = "unknown" if dims is None else show(dims)
                raise ModelError(
                    f"{path}: {node.op_type} {node.name!r} makes {name!r} with the shape {shown}",
                    hint="a device needs shapes that do not depend on the data",
                )


def dims_of(info: ValueInfoProto) -> Dims:
    """The dimensions of a tensor: a number when bound, the exporter's name or `?` when open."""
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in info.type.tensor_type.shape.dim
    )


def show(dims: Dims) -> str:
    """`(batch, 3, 32, 32)`: dimensions as text."""
    return "(" + ", ".join(str(dim) for dim in dims) + ")"


def _true_inputs(proto: ModelProto) -> dict[str, ValueInfoProto]:
    constants = {tensor.name for tensor in proto.graph.initializer}
    return {info.name: info for info in proto.graph.input if info.name not in constants}


def _bind_input(info: ValueInfoProto, wanted: tuple[int, ...] | None, batch_is_open: bool, path: Path) -> None:
    dims = dims_of(info)
    where = f"{path}: input {info.name!r} {show(dims)}"
    shape = _automatic(dims, batch_is_open) if wanted is None else wanted
    if wanted is not None and not _agrees(dims, wanted):
        raise ModelError(f"{where} cannot be bound to {show(wanted)}", hint="change only its open dimensions")
    open_dims = [str(dim) for dim in shape if not isinstance(dim, int) or dim < 1]
    if open_dims:
        example = ", ".join("1" if i == 0 else str(d) if isinstance(d, int) else "…" for i, d in enumerate(dims))
        raise ModelError(
            f"{where} has open dimensions: {', '.join(open_dims)}",
            hint=f'bind them in the recipe: [shapes] "{info.name}" = [{example}]',
        )
    if not shape or shape[0] != 1:
        raise ModelError(
            f"{where}: the first dimension must be the batch, and 1",
            hint="export the network with batch 1 or with an open batch",
        )
    tensor_shape = info.type.tensor_type.shape
    del tensor_shape.dim[:]
    for dim in shape:
        tensor_shape.dim.add(dim_value=int(dim))


def _automatic(dims: Dims, batch_is_open: bool) -> Dims:
    return (1, *dims[1:]) if dims and batch_is_open else dims


def _agrees(dims: Dims, wanted: tuple[int, ...]) -> bool:
    return len(dims) == len(wanted) and all(not isinstance(d, int) or d == w for d, w in zip(dims, wanted, strict=True))


def _forget_open_dims(info: ValueInfoProto) -> None:
    """Drop an output's named dimensions, so that inference fills them in from the bound inputs."""
    for dim in info.type.tensor_type.shape.dim:
        dim.ClearField("dim_param")
