"""Write small .tflite files, right ones and wrong ones, with nothing but the flatbuffers package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite

TYPES = {name.lower(): number for name, number in vars(tflite.TensorType).items() if isinstance(number, int)}


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor; what is not said is as a converter writes it. `buffer` is there to lie."""

    shape: Sequence[int]
    dtype: str = "int8"
    scale: float | Sequence[float] | None = 0.5
    zero: int | Sequence[int] = 0
    axis: int = 0
    data: Any = None
    signature: Sequence[int] = ()
    buffer: int | None = None
    is_variable: bool = False
    is_sparse: bool = False
    has_details: bool = False


@dataclass(frozen=True, kw_only=True)
class Layer:
    """An operator that reads and makes tensors by name; `options` are fields of the table of that name."""

    kind: str | int
    reads: Sequence[str | int]
    makes: Sequence[str | int]
    table: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    code: int | None = None


def floats(*shape: int, data: Any = None) -> Tensor:
    """A float32 tensor."""
    return Tensor(shape=shape, dtype="float32", scale=None, data=data)


def integers(data: Any) -> Tensor:
    """A constant of axes, shapes or widths."""
    values = np.asarray(data, np.int32)
    return Tensor(shape=values.shape, dtype="int32", scale=None, data=values)


def write(
    tensors: dict[str, Tensor],
    layers: Sequence[Layer],
    inputs: Sequence[str | int] = ("x",),
    outputs: Sequence[str | int] = ("y",),
    subgraphs: int = 1,
) -> bytes:
    """Make the bytes of a file with one subgraph, or the same subgraph several times."""
    builder = flatbuffers.Builder(1024)
    index = {name: place for place, name in enumerate(tensors)}

    def indices(names: Sequence[str | int]) -> list[int]:
        return [name if isinstance(name, int) else index[name] for name in names]

    datas = [b"", *(bytes(np.asarray(t.data).astype(_numpy(t.dtype)).tobytes()) for t in _constants(tensors))]
    places = {id(tensor): place for place, tensor in enumerate(_constants(tensors), start=1)}
    tables = [_tensor(builder, name, tensor, places.get(id(tensor), 0)) for name, tensor in tensors.items()]
    kinds = list(dict.fromkeys(layer.kind for layer in layers))
    operators = [
        _operator(builder, layer, kinds.index(layer.kind), indices(layer.reads), indices(layer.makes))
        for layer in layers
    ]
    graph = _table(
        builder,
        "SubGraph",
        Tensors=_offsets(builder, tables),
        Inputs=builder.CreateNumpyVector(np.array(indices(inputs), np.int32)),
        Outputs=builder.CreateNumpyVector(np.array(indices(outputs), np.int32)),
        Operators=_offsets(builder, operators),
    )
    codes = [_code(builder, kind) for kind in kinds]
    buffers = [_buffer(builder, data) for data in datas]
    model = _table(
        builder,
        "Model",
        Version=3,
        OperatorCodes=_offsets(builder, codes),
        Subgraphs=_offsets(builder, [graph] * subgraphs),
        Buffers=_offsets(builder, buffers),
    )
    builder.Finish(model, file_identifier=b"TFL3")
    return bytes(builder.Output())


def _constants(tensors: dict[str, Tensor]) -> list[Tensor]:
    return [tensor for tensor in tensors.values() if tensor.data is not None]


def _numpy(dtype: str) -> str:
    return dtype if dtype in ("float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool") else "int8"


def _tensor(builder: flatbuffers.Builder, name: str, tensor: Tensor, buffer: int) -> int:
    fields = {
        "Name": builder.CreateString(name),
        "Shape": builder.CreateNumpyVector(np.array(tensor.shape, np.int32)),
        "Type": TYPES.get(tensor.dtype, 99),
        "Buffer": buffer if tensor.buffer is None else tensor.buffer,
        "IsVariable": tensor.is_variable,
    }
    if tensor.signature:
        fields["ShapeSignature"] = builder.CreateNumpyVector(np.array(tensor.signature, np.int32))
    if tensor.is_sparse:
        fields["Sparsity"] = _table(builder, "SparsityParameters")
    if tensor.scale is not None:
        fields["Quantization"] = _table(
            builder,
            "QuantizationParameters",
            Scale=builder.CreateNumpyVector(np.atleast_1d(np.array(tensor.scale, np.float32))),
            ZeroPoint=builder.CreateNumpyVector(np.atleast_1d(np.array(tensor.zero, np.int64))),
            QuantizedDimension=tensor.axis,
            DetailsType=int(tensor.has_details),
        )
    return _table(builder, "Tensor", **fields)


def _operator(builder: flatbuffers.Builder, layer: Layer, code: int, reads: list[int], makes: list[int]) -> int:
    fields = {
        "OpcodeIndex": code if layer.code is None else layer.code,
        "Inputs": builder.CreateNumpyVector(np.array(reads, np.int32)),
        "Outputs": builder.CreateNumpyVector(np.array(makes, np.int32)),
    }
    if layer.table:
        fields["BuiltinOptions"] = _table(builder, layer.table, **layer.options)
        fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, layer.table)
    return _table(builder, "Operator", **fields)


def _code(builder: flatbuffers.Builder, kind: str | int) -> int:
    if isinstance(kind, str) and not hasattr(tflite.BuiltinOperator, kind):
        custom = {"CustomCode": builder.CreateString(kind)}
        number = tflite.BuiltinOperator.CUSTOM
    else:
        custom, number = {}, kind if isinstance(kind, int) else getattr(tflite.BuiltinOperator, kind)
    return _table(
        builder, "OperatorCode", DeprecatedBuiltinCode=min(number, 127), BuiltinCode=number, Version=1, **custom
    )


def _buffer(builder: flatbuffers.Builder, data: bytes) -> int:
    if not data:
        return _table(builder, "Buffer")
    return _table(builder, "Buffer", Data=builder.CreateNumpyVector(np.frombuffer(data, np.uint8)))


def _offsets(builder: flatbuffers.Builder, tables: list[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())


def _table(builder: flatbuffers.Builder, name: str, **fields: Any) -> int:
    getattr(tflite, f"{name}Start")(builder)
    for key, value in fields.items():
        getattr(tflite, f"{name}Add{key}")(builder, value)
    return int(getattr(tflite, f"{name}End")(builder))
