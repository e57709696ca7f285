"""The int8 kernels of attention as C, with address and undefined sanitizers, against plain numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kernel_cases import Case, check, int8

from edgecompress.compile import quantized
from edgecompress.compile.kernels import matrix_product, slicing
from edgecompress.compile.kernels.matrix_product import MatrixProduct
from edgecompress.compile.kernels.slicing import Slice
from edgecompress.core.values import Array

EXTENTS = ((1, 1, 1, 1), (2, 3, 5, 4), (1, 2, 4, 9), (3, 7, 8, 1), (4, 5, 6, 33), (1, 8, 13, 64))
"""Batches, rows, columns, depth."""


def product(first: Array, second: Array, shape: MatrixProduct, factor: float, clamp: tuple[int, int]) -> Case:
    """`first` is (batch, rows, depth), `second` (batch, columns, depth), as they lie in memory."""
    by = quantized.multiplier(factor)
    zeros = (3, -128, 7)
    sums = np.einsum("bik,bjk->bij", first.astype(np.int64) - zeros[0], second.astype(np.int64) - zeros[1])
    wanted = np.clip(quantized.scale(sums, by) + zeros[2], *clamp).astype(np.int8)
    return Case(
        function=matrix_product.build(shape),
        arguments=(first, second),
        scalars=(*zeros[:2], by.value, by.shift, zeros[2], *clamp),
        wanted=wanted,
    )


@pytest.mark.parametrize("factor", [0.0004, 0.3, 1.7])
def test_products_of_two_tensors_equal_their_definition(factor: float, tmp_path: Path) -> None:
    random = np.random.default_rng(12)
    cases = []
    for batches, rows, columns, depth in EXTENTS:
        shape = MatrixProduct(
            batches=(batches,),
            rows=rows,
            columns=columns,
            depth=depth,
            first_strides=(rows * depth, depth),
            second_strides=(columns * depth, depth),
        )
        first, second = int8(random, batches, rows, depth), int8(random, batches, columns, depth)
        cases.append(product(first, second, shape, factor / np.sqrt(depth), (-100, 127)))
    check(cases, tmp_path)


def test_heads_that_lie_side_by_side_are_read_in_place(tmp_path: Path) -> None:
    """(positions, heads, width) in memory, multiplied head by head: (heads, positions, positions)."""
    random = np.random.default_rng(13)
    positions, heads, width = 6, 3, 5
    first, second = int8(random, positions, heads, width), int8(random, positions, heads, width)
    strides = (width, heads * width)
    shape = MatrixProduct(
        batches=(heads,), rows=positions, columns=positions, depth=width, first_strides=strides, second_strides=strides
    )
    moved = product(first.transpose(1, 0, 2), second.transpose(1, 0, 2), shape, 0.01, (-128, 127))

    check(
        [Case(function=moved.function, arguments=(first, second), scalars=moved.scalars, wanted=moved.wanted)], tmp_path
    )


def test_parts_equal_numpys(tmp_path: Path) -> None:
    random = np.random.default_rng(14)
    x = int8(random, 4, 6, 5)
    parts = [
        (x[:, 1:5:2, :], Slice(shape=x.shape, begins=(0, 1, 0), extents=(4, 2, 5), steps=(1, 2, 1))),
        (x[3:, ::-1, 2:3], Slice(shape=x.shape, begins=(3, 5, 2), extents=(1, 6, 1), steps=(1, -1, 1))),
    ]

    check([Case(function=slicing.build(shape), arguments=(x,), wanted=wanted) for wanted, shape in parts], tmp_path)
    assert len({shape.name for _, shape in parts}) == 2
