"""Random int8 layers that move or scale numbers: kinds for random_layers.draw."""

from __future__ import annotations

from typing import get_args

from random_layers import LARGEST_CHANNELS, LARGEST_SIDE, Pick, clamp, zero_point

from edgecompress.compile import resampling
from edgecompress.compile.integer import layers
from edgecompress.compile.integer.layers import Value
from edgecompress.core.values import Arithmetic

LARGEST_SIZE = 13
LARGEST_WIDTH = 3


def _concatenation(pick: Pick, name: str) -> layers.Layer:
    """Two or three images side by side: their channels, or their rows."""
    height, width, channels = _image(pick)
    count = pick(2, 3)
    if pick(0, 1):
        shapes = [(height, width, pick(1, LARGEST_CHANNELS)) for _ in range(count)]
        rows, runs = height * width, tuple(shape[2] for shape in shapes)
        output: tuple[int, ...] = (height, width, sum(runs))
    else:
        shapes = [(pick(1, LARGEST_SIDE), width, channels) for _ in range(count)]
        rows, runs = 1, tuple(shape[0] * width * channels for shape in shapes)
        output = (sum(shape[0] for shape in shapes), width, channels)
    zero = zero_point(pick)
    inputs = tuple(_value(f"{name}_in{number}", shape, zero) for number, shape in enumerate(shapes))
    return layers.Concatenate(inputs=inputs, output=_value(name, output, zero), nodes=(name,), rows=rows, runs=runs)


def _mean(pick: Pick, name: str) -> layers.Layer:
    height, width, channels = _image(pick)
    source = _value(f"{name}_in", (height, width, channels), zero_point(pick))
    output = _value(name, (1, 1, channels), zero_point(pick), scale=0.5 * _ratio(pick))
    limits = clamp(pick, output.zero_point)
    return layers.Mean(
        inputs=(source,), output=output, nodes=(name,), pixels=height * width, channels=channels, clamp=limits
    )


def _multiplication(pick: Pick, name: str) -> layers.Layer:
    """Of two images, or of an image and a number a channel."""
    shape = _image(pick)
    second = (shape, (1, 1, shape[2]))[pick(0, 1)]
    inputs = (
        _value(f"{name}_in0", shape, zero_point(pick)),
        _value(f"{name}_in1", second, zero_point(pick), scale=0.02),
    )
    output = _value(name, shape, zero_point(pick), scale=(0.01, 0.3, 0.9, 2.0)[pick(0, 3)] * _ratio(pick))
    limits = clamp(pick, output.zero_point)
    return layers.Multiplication(inputs=inputs, output=output, nodes=(name,), clamp=limits)


def _padding(pick: Pick, name: str) -> layers.Layer:
    shape, zero = _image(pick), zero_point(pick)
    widths = tuple((pick(0, LARGEST_WIDTH), pick(0, LARGEST_WIDTH)) if pick(0, 2) else (0, 0) for _ in shape)
    padded = tuple(before + extent + behind for extent, (before, behind) in zip(shape, widths, strict=True))
    return layers.Padding(
        inputs=(_value(f"{name}_in", shape, zero),),
        output=_value(name, padded, zero),
        nodes=(name,),
        widths=widths,
        fill=pick(-128, 127),
    )


def _resize(pick: Pick, name: str) -> layers.Layer:
    height, width, channels = _image(pick)
    zero, is_linear = zero_point(pick), pick(0, 1)
    coordinates, roundings, arithmetics = (
        get_args(each) for each in (resampling.Coordinates, resampling.Rounding, Arithmetic)
    )
    mode = coordinates[pick(0, len(coordinates) - 1)]
    rounding = roundings[pick(0, len(roundings) - 1)]
    arithmetic = arithmetics[pick(0, 1)]
    tables = []
    for extent in (height, width):
        axis = resampling.Axis(extent=extent, wanted=pick(1, LARGEST_SIZE), coordinates=mode, arithmetic=arithmetic)
        tables.append(resampling.linear(axis) if is_linear else resampling.nearest(axis, rounding))
    return layers.Resize(
        inputs=(_value(f"{name}_in", (height, width, channels), zero),),
        output=_value(name, (len(tables[0]), len(tables[1]), channels), zero),
        nodes=(name,),
        rows=tables[0],
        columns=tables[1],
    )


KINDS = (_concatenation, _mean, _multiplication, _padding, _resize)


def _image(pick: Pick) -> tuple[int, int, int]:
    return pick(1, LARGEST_SIDE), pick(1, LARGEST_SIDE), pick(1, LARGEST_CHANNELS)


def _ratio(pick: Pick) -> float:
    return (1.0, 0.37, 1.7, 0.9)[pick(0, 3)]


def _value(name: str, shape: tuple[int, ...], zero: int, scale: float = 0.5) -> Value:
    return Value(name=name, shape=shape, scale=scale, zero_point=zero)
