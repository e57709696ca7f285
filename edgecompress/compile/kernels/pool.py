"""int8 pooling: average (padding not counted), largest value, and the mean of a whole image at any scale.

Source: TensorFlow Lite, reference_integer_ops::AveragePool and MaxPool, reference_ops::QuantizedMeanOrSum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tvm import tirx

from edgecompress.compile.kernels import fixed_point
from edgecompress.compile.kernels.loops import Expr, Function, clamp, int32, let, loop, split, temporary
from edgecompress.compile.kernels.window import Rows, Window

TILE_CHANNELS = 4


@dataclass(frozen=True, kw_only=True)
class AveragePool:
    """The shape class of an average pool."""

    window: Window

    SCALARS: ClassVar[tuple[str, ...]] = ("low", "high")

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"average_pool_{self.window.name()}"


@dataclass(frozen=True, kw_only=True)
class MaxPool:
    """The shape class of a max pool."""

    window: Window

    SCALARS: ClassVar[tuple[str, ...]] = ("low", "high")

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"max_pool_{self.window.name()}"


@dataclass(frozen=True, kw_only=True)
class Mean:
    """The shape class of the mean of an image."""

    pixels: int
    channels: int

    SCALARS: ClassVar[tuple[str, ...]] = ("input_zero", "multiplier", "shift", "output_zero", "low", "high")

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"mean_{self.pixels}x{self.channels}"


def build_average(shape: AveragePool) -> tirx.PrimFunc:
    """Write the kernel: (input, output, scalars). Edges count as zero and are left out of the divisor."""
    window = shape.window

    def start() -> Expr:
        return int32(0)

    def step(total: Expr, value: Expr) -> Expr:
        return total + value

    def finish(total: Expr, y: Expr, x: Expr) -> Expr:
        if not window.is_padded:
            return round_divide(total, window.kernel[0] * window.kernel[1])
        return round_divide(total, _taps_inside(window, 0, y) * _taps_inside(window, 1, x))

    return _build_pool(shape, start, step, finish, fill=0)


def build_max(shape: MaxPool) -> tirx.PrimFunc:
    """Write the kernel: (input, output, scalars)."""
    return _build_pool(shape, lambda: int32(-128), tirx.max, lambda total, _y, _x: total, fill=-128)


def build_mean(shape: Mean) -> tirx.PrimFunc:
    """Write the kernel: (input, output, scalars). The multiplier holds the division (quantized.mean_multiplier)."""
    function = Function()
    with function.body():
        image = function.argument("input", shape.pixels * shape.channels, "int8")
        output = function.argument("output", shape.channels, "int8")
        scalars = {name: function.scalar(name) for name in shape.SCALARS}
        for first, tiles, channels in split(shape.channels, TILE_CHANNELS):
            with loop("tile", tiles) as tile:
                channel = first + tile * channels
                sums = temporary("sums", channels, "int32")
                for c in range(channels):
                    sums[c] = -scalars["input_zero"] * shape.pixels
                with loop("pixel", shape.pixels) as pixel:
                    for c in range(channels):
                        sums[c] += int32(image[pixel * shape.channels + channel + c])
                for c in range(channels):
                    scaled = let("scaled", fixed_point.scale(sums[c], scalars["multiplier"], scalars["shift"]))
                    mean = scaled + scalars["output_zero"]
                    output[channel + c] = clamp(mean, scalars["low"], scalars["high"]).astype("int8")
    return function.finish()


def round_divide(total: Expr, count: Expr) -> Expr:
    """Divide, rounding half away from zero."""
    total, count = let("total", total), let("count", int32(count))
    half = tirx.truncdiv(count, int32(2))
    return tirx.truncdiv(total + tirx.Select(total > 0, half, -half), count)


def _build_pool(shape: AveragePool | MaxPool, start: Expr, step: Expr, finish: Expr, *, fill: int) -> tirx.PrimFunc:
    window = shape.window
    columns = window.output_width
    function = Function()
    with function.body():
        image = function.argument("input", window.height * window.width * window.channels, "int8")
        output = function.argument("output", window.output_height * columns * window.channels, "int8")
        low, high = (function.scalar(name) for name in shape.SCALARS)
        rows = Rows(window, image, int32(fill))
        with loop("y", window.output_height) as y:
            rows.load(y)
            for first, tiles, channels in split(window.channels, TILE_CHANNELS):
                with loop("x", columns) as x, loop("tile", tiles) as tile:
                    channel = first + tile * channels
                    totals = temporary("totals", channels, "int32")
                    for c in range(channels):
                        totals[c] = start()
                    with loop("tap_y", window.kernel[0]) as tap_y, loop("tap_x", window.kernel[1]) as tap_x:
                        for c in range(channels):
                            value = int32(rows.buffer[rows.start(y, tap_y, x, tap_x) + channel + c])
                            totals[c] = step(totals[c], value)
                    for c in range(channels):
                        at = (y * columns + x) * window.channels + channel + c
                        output[at] = clamp(finish(totals[c], y, x), low, high).astype("int8")
    return function.finish()


def _taps_inside(window: Window, axis: int, at: Expr) -> Expr:
    """How many of the window's rows (axis 0) or columns (axis 1) lie on the image."""
    extent = (window.height, window.width)[axis]
    first = int32(at) * window.stride[axis] - window.padding[axis]
    places = [first + tap * window.dilation[axis] for tap in range(window.kernel[axis])]
    return sum(tirx.all(place >= 0, place < extent).astype("int32") for place in places)
