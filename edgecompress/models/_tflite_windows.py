"""Where a window of TFLite stands on an image: its size, steps and the zeros around the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tflite

from edgecompress.models._tflite_graph import Graph
from edgecompress.models._tflite_records import DAMAGED, Operator

EXTENT_LIMIT = 4096
"""A larger window, stride or dilation is damage, not a network for a small device."""
NO_BORDER = (0, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Window:
    """Rows first, then columns; `pads` are ONNX's: top, left, bottom, right."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    output: tuple[int, int]

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of an ONNX Conv; those of a pooling, dilations aside."""
        return {
            "kernel_shape": self.kernel,
            "strides": self.strides,
            "dilations": self.dilations,
            "pads": self.pads,
        }


def place(
    graph: Graph,
    operator: Operator,
    image: tuple[int, int],
    kernel: tuple[int, int],
    border: tuple[int, int, int, int] = NO_BORDER,
) -> Window:
    """Place the window of a layer on an image of rows and columns, with a border of zeros around it.

    Padding SAME is TFLite's ComputePadding: the smaller half before, the larger half behind. Raises ModelError for
    sizes out of range and for a window that does not fit on the image.
    """
    options = graph.options(operator)
    strides = options["stride_h"], options["stride_w"]
    dilations = options.get("dilation_h", 1), options.get("dilation_w", 1)
    for what, pair in (("window", kernel), ("strides", strides), ("dilations", dilations)):
        if not all(1 <= extent <= EXTENT_LIMIT for extent in pair):
            raise graph.refusal(operator, f"has the {what} {pair}; 1 to {EXTENT_LIMIT:,} are allowed", DAMAGED)
    if options["padding"] not in (tflite.Padding.SAME, tflite.Padding.VALID):
        raise graph.refusal(operator, f"has the unknown padding {options['padding']}", DAMAGED)
    sides = [
        _side(image[axis] + border[axis] + border[axis + 2], kernel[axis], strides[axis], dilations[axis], options)
        for axis in (0, 1)
    ]
    output = sides[0][0], sides[1][0]
    if min(output) < 1:
        raise graph.refusal(operator, f"has a window {kernel} that is larger than its image {image}", DAMAGED)
    pads = (
        border[0] + sides[0][1],
        border[1] + sides[1][1],
        border[2] + sides[0][2],
        border[3] + sides[1][2],
    )
    return Window(kernel=kernel, strides=strides, dilations=dilations, pads=pads, output=output)


def _side(extent: int, kernel: int, stride: int, dilation: int, options: Any) -> tuple[int, int, int]:
    """Along one axis: how many windows, and how many zeros before and behind."""
    reach = (kernel - 1) * dilation + 1
    if options["padding"] == tflite.Padding.VALID:
        return (extent - reach) // stride + 1, 0, 0
    count = -(-extent // stride)
    zeros = max((count - 1) * stride + reach - extent, 0)
    return count, zeros // 2, zeros - zeros // 2
