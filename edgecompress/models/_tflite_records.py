"""What a .tflite flatbuffer says, as plain values: read without trusting a single offset or count in it."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from edgecompress.core.errors import ModelError
from edgecompress.core.values import Array

IDENTIFIER = b"TFL3"
RANK_LIMIT = 8
NAME_BYTES_LIMIT = 16_384
"""The converter joins the names of fused layers; a longer one is damage."""
OPERANDS_LIMIT = 1024
TABLES_LIMIT = 100_000
"""Tensors, operators or buffers of a file."""
DAMAGED = "it may be cut short or not be a .tflite file; convert or copy it again"

ELEMENT_TYPES = {number: name.lower() for name, number in vars(tflite.TensorType).items() if isinstance(number, int)}
OPERATORS = {number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)}

_STRIDES = {"stride_h": "StrideH", "stride_w": "StrideW"}
_DILATIONS = {"dilation_h": "DilationHFactor", "dilation_w": "DilationWFactor"}
_ACTIVATION = {"activation": "FusedActivationFunction"}
_POOL = {"padding": "Padding", **_STRIDES, "filter_h": "FilterHeight", "filter_w": "FilterWidth", **_ACTIVATION}
_RESIZE = {"align_corners": "AlignCorners", "half_pixel": "HalfPixelCenters"}
_OPTIONS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "CONV_2D": ("Conv2DOptions", {"padding": "Padding", **_STRIDES, **_DILATIONS, **_ACTIVATION}),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", {"padding": "Padding", **_STRIDES, **_DILATIONS, **_ACTIVATION}),
    "FULLY_CONNECTED": ("FullyConnectedOptions", {"weights_format": "WeightsFormat", **_ACTIVATION}),
    "ADD": ("AddOptions", _ACTIVATION),
    "MUL": ("MulOptions", _ACTIVATION),
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", _RESIZE),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", _RESIZE),
    "AVERAGE_POOL_2D": ("Pool2DOptions", _POOL),
    "MAX_POOL_2D": ("Pool2DOptions", _POOL),
    "MEAN": ("ReducerOptions", {"keep_dims": "KeepDims"}),
    "SOFTMAX": ("SoftmaxOptions", {"beta": "Beta"}),
    "CONCATENATION": ("ConcatenationOptions", {"axis": "Axis", **_ACTIVATION}),
}
"""By operator: the table with its options, and the fields of it that matter."""


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """Real numbers are scale * (stored - zero_point); several scales run along `axis`."""

    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor: `dtype` as in numpy where numpy has it; `data` are the bytes of a constant, None when it is computed.

    `open_dims` are the dimensions that the signature leaves open, the batch aside. `oddity` says what makes the tensor
    one that cannot be read, in words that follow its name.
    """

    name: str
    shape: tuple[int, ...]
    open_dims: tuple[int, ...]
    dtype: str
    quantization: Quantization | None
    data: Array | None
    oddity: str | None


@dataclass(frozen=True, kw_only=True)
class Operator:
    """A layer. `kind` is the name of a builtin operator; inputs and outputs are indices of tensors, -1 for none."""

    kind: str
    options: Mapping[str, Any] | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Network:
    """The one subgraph of a file."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class _DamagedError(Exception):
    """Says what is wrong, in words that follow the file's name."""


def read(raw: bytes, path: Path) -> Network:
    """Read a flatbuffer. Raises ModelError for damage and for a file with another number of subgraphs than one."""
    if raw[4:8] != IDENTIFIER:
        raise ModelError(f"{path} is not a .tflite file, or is cut short ({len(raw):,} bytes)", hint=DAMAGED)
    try:
        model = tflite.Model.GetRootAs(raw, 0)
        subgraphs = model.SubgraphsLength()
        if subgraphs == 1:
            return _network(model, len(raw))
    except _DamagedError as error:
        raise ModelError(f"{path}: {error}", hint=DAMAGED) from error
    except (struct.error, ValueError, IndexError, TypeError, OverflowError, AttributeError) as error:
        # The flatbuffers package follows every offset blindly and trips over the wrong ones in these ways.
        raise ModelError(f"{path} is damaged, or cut short ({len(raw):,} bytes)", hint=DAMAGED) from error
    if subgraphs == 0:
        raise ModelError(f"{path} holds no network", hint=DAMAGED)
    raise ModelError(
        f"{path} has {subgraphs:,} subgraphs; one can be read",
        hint="convert the network without control flow, and each signature into a file of its own",
    )


def _network(model: Any, file_bytes: int) -> Network:
    graph = model.Subgraphs(0)
    buffers = _Buffers(model, file_bytes)
    tensors = tuple(
        _tensor(graph.Tensors(index), index, buffers) for index in _count("tensors", graph.TensorsLength(), file_bytes)
    )
    codes = [
        _kind(model.OperatorCodes(index)) for index in _count("operator codes", model.OperatorCodesLength(), file_bytes)
    ]
    return Network(
        tensors=tensors,
        operators=tuple(
            _operator(graph.Operators(index), index, codes, tensors)
            for index in _count("operators", graph.OperatorsLength(), file_bytes)
        ),
        inputs=_indices(graph.InputsAsNumpy(), "the network's inputs", tensors),
        outputs=_indices(graph.OutputsAsNumpy(), "the network's outputs", tensors),
    )


def _count(what: str, count: int, file_bytes: int) -> range:
    """Count over a vector of tables: each takes four bytes of the file at least."""
    limit = min(TABLES_LIMIT, file_bytes // 4)
    if count > limit:
        raise _DamagedError(f"it claims {count:,} {what}; {limit:,} are possible")
    return range(count)


class _Buffers:
    """The constants of a file. One may serve several tensors, but not so many that the file would burst."""

    SHARING_LIMIT = 16

    def __init__(self, model: Any, file_bytes: int) -> None:
        self._model = model
        self._count = len(_count("buffers", model.BuffersLength(), file_bytes))
        self._room = self.SHARING_LIMIT * file_bytes

    def read(self, index: int, name: str) -> Array | None:
        """The bytes of a buffer; None for an empty one, which marks a tensor that is computed."""
        if index >= self._count:
            raise _DamagedError(f"{name!r} has its data in buffer {index:,}; there are {self._count:,}")
        buffer = self._model.Buffers(index)
        if buffer.Offset() > 1:
            raise _DamagedError(f"{name!r} has its data behind the flatbuffer, as only files over 2 GiB do")
        data = buffer.DataAsNumpy()
        if isinstance(data, int) or not data.size:
            return None
        self._room -= data.size
        if self._room < 0:
            raise _DamagedError(f"its tensors share their data more than {self.SHARING_LIMIT} times over")
        return np.asarray(data)


def _tensor(table: Any, index: int, buffers: _Buffers) -> Tensor:
    name = _text(table.Name(), f"tensor {index}") or f"tensor_{index}"
    shape = _shape(table.ShapeAsNumpy(), name)
    signature = _shape(table.ShapeSignatureAsNumpy(), name)
    if signature and len(signature) != len(shape):
        raise _DamagedError(f"{name!r} has {len(shape)} dimensions, and {len(signature)} in its signature")
    number = table.Type()
    is_float = number == tflite.TensorType.FLOAT32  # its quantization is the range that it had in training
    return Tensor(
        name=name,
        shape=shape,
        open_dims=tuple(axis for axis, extent in enumerate(signature) if axis and extent < 0),
        dtype=ELEMENT_TYPES.get(number, f"type {number}"),
        quantization=None if is_float else _quantization(table.Quantization(), name),
        data=buffers.read(table.Buffer(), name),
        oddity=_oddity(table),
    )


def _oddity(table: Any) -> str | None:
    if table.IsVariable():
        return "is a variable, which keeps its value between runs"
    if table.Sparsity() is not None:
        return "is sparse"
    quantization = table.Quantization()
    if quantization is not None and quantization.DetailsType():
        return "has a custom quantization"
    return None


def _quantization(table: Any, name: str) -> Quantization | None:
    """The scales as stored; None for a tensor without any."""
    if table is None or not table.ScaleLength():
        return None
    scales, zero_points = table.ScaleAsNumpy(), table.ZeroPointAsNumpy()
    if table.ZeroPointLength() != scales.size:
        raise _DamagedError(f"{name!r} has {scales.size:,} scales and {table.ZeroPointLength():,} zero points")
    return Quantization(scales=scales, zero_points=zero_points, axis=table.QuantizedDimension())


def _shape(dims: Any, name: str) -> tuple[int, ...]:
    if isinstance(dims, int):
        return ()
    if dims.size > RANK_LIMIT:
        raise _DamagedError(f"{name!r} has {dims.size:,} dimensions; {RANK_LIMIT} are allowed")
    return tuple(int(dim) for dim in dims)


def _text(raw: bytes | None, what: str) -> str:
    """A name, with what cannot be printed as `?`."""
    if raw is None:
        return ""
    if len(raw) > NAME_BYTES_LIMIT:
        raise _DamagedError(f"the name of {what} has {len(raw):,} bytes; {NAME_BYTES_LIMIT:,} are allowed")
    return "".join(letter if letter.isprintable() else "?" for letter in raw.decode(errors="replace"))


def _kind(code: Any) -> str:
    """The operator of an operator code. Codes over 127 stand in a second field (schema.fbs, version 3a)."""
    number = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
    if number == tflite.BuiltinOperator.CUSTOM:
        return f"custom operator {_text(code.CustomCode(), 'a custom operator')!r}"
    return str(OPERATORS.get(number, f"operator {number}"))


def _operator(table: Any, index: int, codes: list[str], tensors: tuple[Tensor, ...]) -> Operator:
    code = table.OpcodeIndex()
    if code >= len(codes):
        raise _DamagedError(f"operator {index} has the code {code:,}; there are {len(codes):,}")
    kind = codes[code]
    return Operator(
        kind=kind,
        options=_options(table, kind),
        inputs=_indices(table.InputsAsNumpy(), f"operator {index} ({kind})", tensors, least=-1),
        outputs=_indices(table.OutputsAsNumpy(), f"operator {index} ({kind})", tensors),
    )


def _indices(found: Any, where: str, tensors: tuple[Tensor, ...], least: int = 0) -> tuple[int, ...]:
    if isinstance(found, int):
        return ()
    if found.size > OPERANDS_LIMIT:
        raise _DamagedError(f"{where}: {found.size:,} tensors are named; {OPERANDS_LIMIT:,} are allowed")
    for index in _outside(found, least, len(tensors)):
        raise _DamagedError(f"{where}: tensor {index:,} is named; there are {len(tensors):,}")
    return tuple(int(index) for index in found)


def _outside(indices: Array, least: int, end: int) -> Iterator[int]:
    return (int(index) for index in indices if not least <= index < end)


def _options(table: Any, kind: str) -> Mapping[str, Any] | None:
    """The options that matter, by name; None when the operator has none or lacks them."""
    if kind not in _OPTIONS or table.BuiltinOptions() is None:
        return None
    type_name, fields = _OPTIONS[kind]
    if table.BuiltinOptionsType() != getattr(tflite.BuiltinOptions, type_name):
        return None
    options = getattr(tflite, type_name)()
    options.Init(table.BuiltinOptions().Bytes, table.BuiltinOptions().Pos)
    return {name: getattr(options, field)() for name, field in fields.items()}
