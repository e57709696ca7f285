"""Sliding windows over NHWC tensors: geometry, and padded rows where the window reaches over the edge.

A padded input is never copied whole: a kernel keeps only the rows that one row of output sees.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from edgecompress.compile.kernels.loops import Buffer, Expr, choose, int32, loop, temporary


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window sliding over an image of `height` x `width` x `channels`.

    `kernel`, `stride` and `dilation` are (rows, columns); `padding` is (top, left, bottom, right).
    """

    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def output_height(self) -> int:
        """Rows of output."""
        reach = self.dilation[0] * (self.kernel[0] - 1) + 1
        return (self.height + self.padding[0] + self.padding[2] - reach) // self.stride[0] + 1

    @property
    def output_width(self) -> int:
        """Columns of output."""
        reach = self.dilation[1] * (self.kernel[1] - 1) + 1
        return (self.width + self.padding[1] + self.padding[3] - reach) // self.stride[1] + 1

    @property
    def is_padded(self) -> bool:
        """True when some window reaches over the edge."""
        return any(self.padding)

    @property
    def row_elements(self) -> int:
        """Elements between two rows that the kernel sees."""
        return (self.width + self.padding[1] + self.padding[3]) * self.channels

    @property
    def is_pointwise(self) -> bool:
        """True when every output sees one input pixel, in order."""
        return self.kernel == (1, 1) and self.stride == (1, 1) and not self.is_padded

    def flattened(self) -> Window:
        """See the same memory as fewer, longer rows where that is possible.

        An image under a pointwise window, or one that is a single column, is one row of pixels.
        """
        if self.is_pointwise:
            return Window(height=1, width=self.height * self.width, channels=self.channels, kernel=(1, 1))
        top, left, bottom, right = self.padding
        if (self.width, self.kernel[1], left, right) != (1, 1, 0, 0):
            return self
        return Window(
            height=1,
            width=self.height,
            channels=self.channels,
            kernel=(1, self.kernel[0]),
            stride=(1, self.stride[0]),
            dilation=(1, self.dilation[0]),
            padding=(0, top, 0, bottom),
        )

    def name(self) -> str:
        """Name the geometry, for the kernel's name."""
        parts = [f"{self.height}x{self.width}x{self.channels}", f"k{self.kernel[0]}x{self.kernel[1]}"]
        if self.stride != (1, 1):
            parts.append(f"s{self.stride[0]}x{self.stride[1]}")
        if self.dilation != (1, 1):
            parts.append(f"d{self.dilation[0]}x{self.dilation[1]}")
        if self.is_padded:
            parts.append("p" + "_".join(str(side) for side in self.padding))
        return "_".join(parts)


class Rows:
    """The rows of input that one row of output sees: the input itself, or a padded copy of just these rows."""

    def __init__(self, window: Window, image: Buffer, fill: Expr) -> None:
        self._window = window
        self._image = image
        self._fill = fill.astype("int8") if window.is_padded else None
        self.buffer = image
        if window.is_padded:
            self.buffer = temporary("rows", window.kernel[0] * window.row_elements, "int8")
        if window.padding[1] or window.padding[3]:
            with loop("edge", window.kernel[0] * window.row_elements) as edge:
                self.buffer[edge] = self._fill

    def load(self, y: Expr) -> None:
        """Bring in the rows that row `y` of the output sees; rows beyond the edge are filled."""
        window = self._window
        if not window.is_padded:
            return
        inner = window.width * window.channels
        with loop("tap", window.kernel[0]) as tap:
            source = y * window.stride[0] + tap * window.dilation[0] - window.padding[0]
            start = tap * window.row_elements + window.padding[1] * window.channels

            def copy() -> None:
                with loop("i", inner) as i:
                    self.buffer[start + i] = self._image[source * inner + i]

            def fill() -> None:
                with loop("i", inner) as i:
                    self.buffer[start + i] = self._fill

            if window.padding[0] == 0 and window.padding[2] == 0:
                copy()
            else:
                inside = tirx.all(int32(source) >= 0, int32(source) < window.height)
                choose(inside, copy, fill)

    def start(self, y: Expr, tap_y: Expr, x: Expr, tap_x: Expr) -> Expr:
        """Where the pixel lies that output (y, x) sees through the kernel's (tap_y, tap_x)."""
        window = self._window
        column = (x * window.stride[1] + tap_x * window.dilation[1]) * window.channels
        if window.is_padded:
            return tap_y * window.row_elements + column
        return (y * window.stride[0] + tap_y * window.dilation[0]) * window.row_elements + column
