"""Images of another size: numbers around them, more or fewer pixels."""

from __future__ import annotations

from typing import Any, cast, get_args

import numpy as np
from tvm import relax

from edgecompress.compile import resampling
from edgecompress.compile.integer import layers
from edgecompress.compile.integer.builder import Builder, NoMatchError, Target
from edgecompress.compile.integer.graph import shape_of
from edgecompress.compile.integer.views import View, channels_last
from edgecompress.compile.resampling import Axis

LARGEST_EXTENT = 2**16
"""Of an image's side: places and weights count in int32."""


def pad(builder: Builder, target: Target, expression: Any, call: relax.Call) -> View:
    """A number around a tensor, rescaled afterwards where the scale changes."""
    view = builder.in_memory(builder.quantized(call.args[0]))
    if str(call.attrs.pad_mode) != "constant":
        raise NoMatchError(f"{builder.label(expression)} (pad) is of mode {call.attrs.pad_mode}; only constant can")
    flat = [int(width) for width in call.attrs.pad_width]
    widths = list(zip(flat[::2], flat[1::2], strict=True))
    source = view.value
    number = source.zero_point + np.rint(np.float32(call.attrs.pad_value) / np.float32(source.scale))
    padded = builder.emit(
        target.at(source),
        shape_of(call),
        view.order,
        layers.Padding,
        inputs=(source,),
        widths=tuple(widths[axis] for axis in view.order),
        fill=int(np.clip(number, -128, 127)),
    )
    return builder.rescale(target, padded)


def resize(builder: Builder, target: Target, expression: Any, call: relax.Call) -> View:
    """An image with more or fewer rows and columns, rescaled afterwards where the scale changes."""
    view = builder.operand(call.args[0])
    attrs, shape = call.attrs, shape_of(call)
    method, coordinates = str(attrs.method), str(attrs.coordinate_transformation_mode)
    known = method in ("nearest_neighbor", "linear") and coordinates in get_args(resampling.Coordinates)
    if not known or str(attrs.layout) != "NCHW" or max(*view.shape, *shape) > LARGEST_EXTENT:
        raise NoMatchError(f"{builder.label(expression)} (resize) is of method {method}, {coordinates}")
    axes = [
        Axis(
            extent=extent,
            wanted=wanted,
            coordinates=cast("resampling.Coordinates", coordinates),
            arithmetic=builder.arithmetic,
        )
        for extent, wanted in zip(view.shape[2:], shape[2:], strict=True)
    ]
    rounding = cast("resampling.Rounding", str(attrs.rounding_method))
    rows, columns = (
        resampling.linear(axis) if method == "linear" else resampling.nearest(axis, rounding) for axis in axes
    )
    resized = builder.emit(
        target.at(view.value),
        shape,
        channels_last(4),
        layers.Resize,
        inputs=(view.value,),
        rows=rows,
        columns=columns,
    )
    return builder.rescale(target, resized)
