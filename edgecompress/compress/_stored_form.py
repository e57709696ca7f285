"""A network's parameters as bytes: sparse, shared weights entropy-coded (Han et al. 2016, sections 2 to 4), and back.

Of a layer that is coded there are the reach of each output (float32; none for integers), the levels that occur (int8),
and two Huffman streams: how many zeros stand before each weight, and which level it has. A run of zeros that is longer
than an alphabet of gaps tells is cut by a weight of level 0. Tensors that this does not make smaller stay as they are.
Names and shapes are the graph's, as they are where the parameters are not coded.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from edgecompress.compress import _huffman, _layer_weights
from edgecompress.compress._layer_weights import LayerWeights
from edgecompress.compress.codebook import levels_of, to_weights
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Array, Model

MOST_LEVELS = 256
GAP_BITS = (2, 3, 4, 5, 6, 8)
"""Alphabets of gaps that are tried: 2**bits of them."""
HEAD = struct.Struct("<BB")
"""Kind, and the number of levels less one."""
PLAIN, INTEGERS, REALS, REALS_OF_ONE_REACH = range(4)


def encode(model: Model) -> bytes:
    """Write all parameters, in the order of the graph."""
    layers = {each.tensor: each for each in _layer_weights.read(model)}
    return b"".join(
        _encoded(numpy_helper.to_array(tensor), layers.get(tensor.name)) for tensor in model.graph.graph.initializer
    )


def decode(stream: bytes, graph: ModelProto, layers: Mapping[str, LayerWeights]) -> dict[str, Array]:
    """Read all parameters again, by name; of the graph and its layers, names, shapes and types count, not the values.

    Raises ModelError for bytes that are none of this graph.
    """
    found: dict[str, Array] = {}
    for tensor in graph.graph.initializer:
        like = numpy_helper.to_array(tensor)
        values, taken = _decoded(stream, like, layers.get(tensor.name))
        found[tensor.name] = values
        stream = stream[taken:]
    if stream:
        raise ModelError(f"{len(stream):,} bytes are left when all tensors are read")
    return found


def _encoded(values: Array, layer: LayerWeights | None) -> bytes:
    plain = HEAD.pack(PLAIN, 0) + values.tobytes()
    coded = [] if layer is None else _codings(layer)
    return min([plain, *coded], key=len)


def _codings(layer: LayerWeights) -> list[bytes]:
    """Write a layer in every way that gives exactly its weights."""
    if layer.is_quantized:
        return _coded(INTEGERS, layer.rows.astype(np.int64), b"")
    found: list[bytes] = []
    for kind in (REALS, REALS_OF_ONE_REACH):
        levels, reach = levels_of(layer.rows, per_channel=kind == REALS)
        if np.array_equal(to_weights(levels, reach), layer.rows):
            kept = reach if kind == REALS else reach[:1]
            found += _coded(kind, levels, kept.astype("<f4").tobytes())
    return found


def _coded(kind: int, levels: NDArray[np.int64], reach: bytes) -> list[bytes]:
    book = np.union1d(levels, [0])
    if len(book) > MOST_LEVELS:
        return []
    head = HEAD.pack(kind, len(book) - 1) + book.astype(np.int8).tobytes() + reach
    flat = np.searchsorted(book, levels.reshape(-1))
    zero = int(np.searchsorted(book, 0))
    return [
        head + _huffman.encode(gaps) + _huffman.encode(places)
        for gaps, places in (_runs(flat, zero, 2**bits - 1) for bits in GAP_BITS)
    ]


def _runs(places: NDArray[np.int64], zero: int, longest: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """List how many zeros stand before each place that is kept, and the place; zeros at the end need none."""
    gaps: list[int] = []
    kept: list[int] = []
    last = -1
    for at in np.flatnonzero(places != zero).tolist():
        while at - last - 1 > longest:
            gaps.append(longest)
            kept.append(zero)
            last += longest + 1
        gaps.append(at - last - 1)
        kept.append(int(places[at]))
        last = at
    return np.array(gaps, np.int64), np.array(kept, np.int64)


def _decoded(stream: bytes, like: Array, layer: LayerWeights | None) -> tuple[Array, int]:
    kind, last = HEAD.unpack_from(stream)
    at = HEAD.size
    if kind == PLAIN:
        values = np.frombuffer(stream, like.dtype, like.size, at).reshape(like.shape)
        return values, at + like.nbytes
    if layer is None or kind not in (INTEGERS, REALS, REALS_OF_ONE_REACH):
        raise ModelError(f"the coded tensor is of the unknown kind {kind}")
    book = np.frombuffer(stream, np.int8, last + 1, at).astype(np.int64)
    at += last + 1
    outputs = {INTEGERS: 0, REALS: len(layer.values), REALS_OF_ONE_REACH: 1}[kind]
    reach = np.frombuffer(stream, "<f4", outputs, at).astype(np.float64).reshape(-1, 1)
    at += 4 * outputs
    gaps, taken = _huffman.decode(stream[at:])
    at += taken
    places, taken = _huffman.decode(stream[at:])
    levels = np.zeros(layer.values.size, np.int64)
    levels[np.cumsum(gaps + 1) - 1] = book[places]
    rows = levels.reshape(layer.rows.shape)
    values = rows if kind == INTEGERS else to_weights(rows, reach)
    ordered = np.transpose(values.reshape(layer.values.shape), layer.order)
    return np.ascontiguousarray(ordered).astype(like.dtype), at + taken
