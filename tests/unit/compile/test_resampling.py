"""Which pixels an image of another size is made of."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompress.compile import resampling
from edgecompress.compile.resampling import ONE, Arithmetic, Axis, Coordinates

AXES = st.builds(
    Axis,
    extent=st.integers(1, 40),
    wanted=st.integers(1, 90),
    coordinates=st.sampled_from(get_args(Coordinates)),
    arithmetic=st.sampled_from(get_args(Arithmetic)),
)


def axis(extent: int, wanted: int, coordinates: Coordinates, arithmetic: Arithmetic = "onnx") -> Axis:
    return Axis(extent=extent, wanted=wanted, coordinates=coordinates, arithmetic=arithmetic)


@given(AXES)
def test_every_place_lies_on_the_image_and_weights_make_one(drawn: Axis) -> None:
    lower, upper, weights = resampling.linear(drawn).T

    assert len(lower) == drawn.wanted
    assert 0 <= lower.min() <= lower.max() < drawn.extent
    assert ((upper - lower >= 0) & (upper - lower <= 1)).all()
    assert 0 <= weights.min() <= weights.max() <= ONE
    assert set(resampling.nearest(drawn, "round_prefer_ceil")[:, 0]) <= set(range(drawn.extent))


@pytest.mark.parametrize("coordinates", get_args(Coordinates))
def test_the_same_size_changes_nothing(coordinates: Coordinates) -> None:
    for arithmetic in get_args(Arithmetic):
        lower, _, weights = resampling.linear(axis(7, 7, coordinates, arithmetic)).T
        assert lower.tolist() == list(range(7))
        assert not weights.any()
        assert resampling.nearest(axis(7, 7, coordinates, arithmetic), "floor")[:, 0].tolist() == list(range(7))


def test_halves_are_rounded_as_the_mode_says() -> None:
    doubled = axis(3, 5, "align_corners")
    found = {name: resampling.nearest(doubled, name)[:, 0].tolist() for name in get_args(resampling.Rounding)}

    assert found == {
        "round_prefer_floor": [0, 0, 1, 1, 2],
        "round_prefer_ceil": [0, 1, 1, 2, 2],
        "floor": [0, 0, 1, 1, 2],
        "ceil": [0, 1, 1, 2, 2],
    }


def test_twice_as_many_pixels_are_a_quarter_off_their_centres() -> None:
    for arithmetic in get_args(Arithmetic):
        lower, upper, weights = resampling.linear(axis(2, 4, "half_pixel", arithmetic)).T
        places = lower + weights / ONE * (upper > lower)
        assert np.array_equal(places, [0, 0.25, 0.75, 1])
