"""Transposes and reshapes that cost nothing, checked on real memory."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgecompress.compile.integer.layers import Value
from edgecompress.compile.integer.views import View, channels_last, identity


def image(*shape: int) -> View:
    """An NCHW tensor that lies channels last."""
    order = channels_last(len(shape))
    value = Value(name="image", shape=tuple(shape[axis] for axis in order))
    return View(value=value, shape=shape, order=order)


def logical(view: View) -> np.ndarray:
    """The tensor of which memory is 0, 1, 2, …"""
    return np.arange(math.prod(view.shape))[view.stored_index()].reshape(view.shape)


def test_an_image_lies_channels_last() -> None:
    assert image(1, 3, 4, 5).stored_shape == (1, 4, 5, 3)
    assert np.array_equal(logical(image(1, 3, 4, 5)), np.arange(60).reshape(1, 4, 5, 3).transpose(0, 3, 1, 2))


@pytest.mark.parametrize("axes", [(0, 2, 3, 1), (0, 1, 3, 2), (3, 2, 1, 0), (1, 0, 2, 3)])
def test_a_transpose_moves_no_memory(axes: tuple[int, ...]) -> None:
    view = image(2, 3, 4, 5)

    assert np.array_equal(logical(view.permuted(axes)), logical(view).transpose(axes))


@pytest.mark.parametrize(
    ("shape", "new"),
    [
        ((1, 8, 1, 1), (1, 8)),
        ((1, 8, 1, 3), (8, 3)),
        ((1, 3, 4, 5), (1, 60)),
        ((1, 3, 4, 5), (1, 1, 3, 4, 5)),
        ((1, 3, 4, 5), (3, 20)),
    ],
)
def test_a_reshape_keeps_the_row_major_order_of_the_elements(shape: tuple[int, ...], new: tuple[int, ...]) -> None:
    view = image(*shape)

    assert np.array_equal(logical(view.reshaped(new)), logical(view).reshape(new))


def test_a_reshape_back_is_the_first_view() -> None:
    view = image(1, 3, 4, 5)

    assert view.reshaped((1, 60)).reshaped((1, 3, 4, 5)).order == view.order


def test_a_reshape_that_memory_does_not_follow_is_pending() -> None:
    flat = image(1, 3, 4, 5).reshaped((1, 60))

    assert flat.before is not None
    assert not flat.lies_in(identity(2))
    with pytest.raises(ValueError, match="materialise a reshape before it is transposed"):
        flat.permuted((1, 0))


def test_axes_of_one_element_do_not_matter_for_the_order() -> None:
    assert image(1, 1, 49, 10).lies_in(identity(4))
    assert image(1, 64, 1, 1).lies_in(identity(4))
    assert not image(1, 2, 49, 10).lies_in(identity(4))


def test_a_view_takes_the_quantization_that_is_read_from_the_graph() -> None:
    flat = image(1, 3, 4, 5).reshaped((1, 60)).requantified(0.5, 3)

    assert flat.before is not None
    assert {(each.value.scale, each.value.zero_point) for each in (flat, flat.before)} == {(0.5, 3)}
