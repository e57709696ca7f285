"""Which pixels an image of another size is made of, along one axis: by TFLite's definition or by ONNX's.

Weights count in 1/1024 of a pixel, as in TFLite. Sources: TensorFlow Lite, reference_ops::ResizeNearestNeighbor and
ResizeBilinear (ResizeBilinearInteger); ONNX, operator Resize.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgecompress.core.values import Arithmetic

Coordinates = Literal["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
Rounding = Literal["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]

WEIGHT_BITS = 10
ONE = 1 << WEIGHT_BITS

_ROUND: Mapping[Rounding, Callable[[float], int]] = {
    "round_prefer_floor": lambda place: math.ceil(place - 0.5),
    "round_prefer_ceil": lambda place: math.floor(place + 0.5),
    "floor": math.floor,
    "ceil": math.ceil,
}


@dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis of an image: how many pixels it has and shall have, and where the new ones lie among the old."""

    extent: int
    wanted: int
    coordinates: Coordinates
    arithmetic: Arithmetic


def nearest(axis: Axis, rounding: Rounding) -> NDArray[np.int32]:
    """The old pixel that each new one is, as (new pixels, 1)."""
    if axis.arithmetic == "tflite":
        places = [_tflite_nearest(axis, at) for at in range(axis.wanted)]
    else:
        places = [_ROUND[rounding](_place(axis, at)) for at in range(axis.wanted)]
    return np.clip(np.array(places, np.int32), 0, axis.extent - 1)[:, np.newaxis]


def linear(axis: Axis) -> NDArray[np.int32]:
    """The old pixels that each new one lies between and the weight of the second, as (new pixels, 3)."""
    if axis.arithmetic == "tflite":
        return np.array([_tflite_linear(axis, at) for at in range(axis.wanted)], np.int32)
    places = np.clip([_place(axis, at) for at in range(axis.wanted)], 0, axis.extent - 1)
    lower = np.floor(places).astype(np.int32)
    weights = np.rint((places - lower) * ONE).astype(np.int32)
    return np.stack([lower, np.minimum(lower + 1, axis.extent - 1), weights], axis=1)


def _place(axis: Axis, at: int) -> float:
    """Where a new pixel lies among the old ones (ONNX, coordinate_transformation_mode)."""
    match axis.coordinates:
        case "align_corners":
            return at * (axis.extent - 1) / (axis.wanted - 1) if axis.wanted > 1 else 0.0
        case "asymmetric":
            return at * axis.extent / axis.wanted
        case "pytorch_half_pixel" if axis.wanted == 1:
            return 0.0
    return (at + 0.5) * axis.extent / axis.wanted - 0.5


def _tflite_nearest(axis: Axis, at: int) -> int:
    """TFLite's GetNearestNeighbor, in single precision."""
    aligns = axis.coordinates == "align_corners"
    corners = aligns and axis.wanted > 1
    scale = np.float32(axis.extent - corners) / np.float32(axis.wanted - corners)
    offset = np.float32(0.5 if axis.coordinates == "half_pixel" else 0)
    place = (np.float32(at) + offset) * scale
    return math.floor(place + np.float32(0.5)) if aligns else math.floor(place)


def _tflite_linear(axis: Axis, at: int) -> tuple[int, int, int]:
    """TFLite's ComputeInterpolationValuesInteger; no weight at an edge, where both pixels are one.

    TFLite's rounded scale can lead it beyond the last pixel of a very small image; here the last one is taken.
    """
    corners = axis.coordinates == "align_corners" and axis.wanted > 1
    extent, wanted = axis.extent - corners, axis.wanted - corners
    scale = (ONE * extent + wanted // 2) // wanted
    place = at * scale + (scale // 2 - ONE // 2 if axis.coordinates == "half_pixel" else 0)
    lower = min(max(math.trunc(place / ONE), 0), axis.extent - 1)
    upper = min(math.trunc((place + ONE - 1) / ONE), axis.extent - 1)
    return lower, upper, place - ONE * lower if lower < upper else 0
