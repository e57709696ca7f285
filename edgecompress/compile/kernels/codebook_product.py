"""Layers whose weights take at most sixteen values, kept as indices (compile/codebook.py): unpacked, then multiplied.

A part of the output channels at a time, as many as RAM is given for; the kernels are the ordinary ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile import codebook
from edgecompress.compile.codebook import Indices
from edgecompress.compile.kernels.cutting import Cut, constant_bytes, cut, equal_parts, one_scale, two_words_a_row
from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.part_tables import PartTable
from edgecompress.compile.parts import Parts
from edgecompress.core.values import Array

LEAST_SAVING = 256
"""Bytes that a layer must become smaller: the function around its kernel takes some of them."""
ROOM_OF_VECTOR = 3072
"""Bytes of RAM for the weights of a layer with one pixel: there, smaller parts cost nothing."""
MOST_TRIED = 4
"""Sizes of a part that are tried: kernels of all parts must be one function."""
LEAST_ROWS = 8
"""Rows of a layer's table that are worth being shortened: each saves four bytes, and the call takes some."""
BYTES_OF_TWO = 2
"""Neighbouring weights are unpacked in pairs of so many bytes."""


def choose(product: Product, family: Callable[[Product], Kernel], room: int) -> Cut | None:
    """Keep a layer's weights as indices, and unpack them into at most so many bytes of RAM.

    None where there are too many values, or too little is saved.
    """
    bits = codebook.width(product.weights)
    pixels = product.window.output_width * product.window.output_height
    if bits is None:
        return None
    plain = family(product)
    sizes = equal_parts(product.outputs, product.outputs) if product.groups == 1 else [product.outputs]
    room = room if pixels > 1 else min(room, ROOM_OF_VECTOR)
    fitting = [size for size in sizes if _room(product, size, bits) <= room]
    for size in fitting[:MOST_TRIED]:
        found = cut(product, family, size)
        indexed = None if found is None else _indexed(*found)
        if indexed is not None:
            saved = constant_bytes(plain) - constant_bytes(indexed[0])
            return indexed if saved >= LEAST_SAVING else None
    return None


def _room(product: Product, outputs: int, bits: int) -> int:
    """About how many bytes of RAM a part of so many outputs takes: weights, pairs, and the part written apart."""
    pixels = product.window.output_width * product.window.output_height
    apart = 0 if outputs == product.outputs or pixels == 1 else pixels * outputs
    pairs = BYTES_OF_TWO * 4**bits
    return outputs * int(product.weights[0].size) + int(pairs) + apart


def _indexed(kernels: list[Kernel], parts: Parts) -> Cut | None:
    """Put indices and values in the place of weights, biases in that of a table with one scale."""
    packed = [kernel.constants["weights"] for kernel in kernels]
    others = {role: values for role, values in kernels[0].constants.items() if role not in ("weights", "table")}
    if packed[0].itemsize != 1 or packed[0].size % BYTES_OF_TWO or (others and len(kernels) > 1):
        return None
    weights = [codebook.split_halfwords(each) if kernels[0].halfwords else _as_int8(each) for each in packed]
    together = np.concatenate(weights)
    # What a kernel pads its weights with may be one value more.
    bits = codebook.width(together)
    if bits is None:
        return None
    book = np.unique(together)
    tables = np.concatenate([kernel.constants["table"].reshape(-1) for kernel in kernels])
    constants, scalars, layout = _scaled(kernels, parts) or ({"table": tables}, [], None)
    indices = np.concatenate([codebook.pack(each, book, bits) for each in weights])
    kernel = replace(
        kernels[0],
        constants={"weights": indices, "values": codebook.filled(book, bits), **constants, **others},
        scalars=[*kernels[0].scalars, *scalars],
    )
    packing = Indices(bits=bits, weights_bytes=parts.weights_bytes, halfwords=kernels[0].halfwords)
    return kernel, replace(parts, table=layout, packing=packing)


def _as_int8(packed: codebook.Bytes) -> NDArray[np.int8]:
    return np.ascontiguousarray(packed).reshape(-1).view(np.int8)


def _scaled(kernels: list[Kernel], parts: Parts) -> tuple[dict[str, Array], list[int], PartTable] | None:
    """A shorter table, where it is worth its writing: for one pixel, or where there are several rows."""
    if parts.pixels == 1 and (scaled := one_scale(kernels)):
        return scaled
    return two_words_a_row(kernels) if parts.count * parts.rows >= LEAST_ROWS else None
