"""compress/torch_graph: a reshape that was made for one sample follows batches and changed channels."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompress.compress.torch_graph._reshaping import sizes

Shape = tuple[int, ...]


@pytest.mark.parametrize(
    ("before", "after", "changed", "wanted"),
    [
        ((1, 64, 5, 5), (1, 1600), (7, 32, 5, 5), (7, 800)),
        ((1, 64, 1, 1), (1, 64), (7, 32, 1, 1), (7, 32)),
        ((1, 16), (1, 16, 1, 1), (7, 8), (7, 8, 1, 1)),
        ((1, 49, 10, 1), (1, 1, 49, 10), (7, 49, 10, 1), (7, 1, 49, 10)),
        ((1, 64, 128), (64, 128), (7, 64, 96), (448, 96)),
        ((64, 128), (1, 64, 128), (448, 96), (7, 64, 96)),
        ((1, 64, 128), (1, 64, 4, 32), (7, 64, 96), (7, 64, 4, 24)),
        ((1, 64, 4, 32), (64, 128), (7, 64, 4, 24), (448, 96)),
        ((1, 16), (16,), (7, 16), (112,)),
        ((1,), (1, 1), (7,), (7, 1)),
    ],
)
def test_a_reshape_follows_the_batch_and_the_channels(
    before: Shape, after: Shape, changed: Shape, wanted: Shape
) -> None:
    assert tuple(size.of(changed) for size in sizes(before, after)) == wanted


@st.composite
def reshapes(draw: st.DrawFn) -> tuple[Shape, Shape]:
    """Draw two shapes that hold equally much, the first for one sample."""
    factors = draw(st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=6))

    def grouped() -> Shape:
        cuts = sorted(draw(st.sets(st.integers(1, len(factors)), max_size=3)) - {len(factors)})
        bounds = [0, *cuts, len(factors)]
        return tuple(math.prod(factors[a:b]) for a, b in itertools.pairwise(bounds))

    return (1, *grouped()), (*draw(st.sampled_from([(), (1,)])), *grouped())


@given(reshapes(), st.integers(1, 5))
def test_the_sizes_hold_as_much_as_before_for_any_batch(shapes: tuple[Shape, Shape], batch: int) -> None:
    before, after = shapes
    changed = (batch, *before[1:])

    found = [size.of(changed) for size in sizes(before, after)]

    assert [size.of(before) for size in sizes(before, after)] == list(after)
    assert math.prod(found) == math.prod(changed)
