"""The rows of input that one row of output sees, copied next to each other for the Helium kernels (c_mve)."""

from __future__ import annotations

from tvm import tirx

from edgecompress.compile.kernels.loops import Buffer, Expr, call, choose, int32, loop, temporary
from edgecompress.compile.kernels.window import Window

LARGEST_STRIP = 16384
"""Bytes of copied input that are worth their room in the arena."""


class Strip:
    """Runs of `run` bytes, those of the kernel's rows next to each other.

    A run of one pixel's channels puts all that an output sees in one piece: [column][kernel row][channel]. A run of a
    whole padded row leaves rows as they are: [kernel row][column][channel]. The copy is made once a row of output; what
    lies beyond the edge is filled with the input's zero point. `slack` bytes may be read past the end.
    """

    def __init__(self, window: Window, image: Buffer, zero: Expr | None, *, by_column: bool, slack: int = 0) -> None:
        self._window, self._image, self._zero = window, image, zero
        rows, (left, right) = window.kernel[0], window.padding[1::2]
        columns, channels = left + window.width + right, window.channels
        self.buffer = temporary("strip", rows * columns * channels + slack, "int8")
        self._runs, self._run = (window.width, channels) if by_column else (1, window.width * channels)
        self._between_rows = channels if by_column else columns * channels
        self._step = rows * channels if by_column else 0
        self._first = left * (self._step or channels)
        edges = ((0, left), (left + window.width, right))
        for column, count in edges:
            if not count:
                continue
            place, size = (
                (column * self._step, count * self._step) if by_column else (column * channels, count * channels)
            )
            with loop("edge", 1 if by_column else rows) as row:
                call("mve_fill", self.buffer.at(row * self._between_rows + place), zero, size, 1, 0)

    def load(self, y: Expr) -> None:
        """Bring in the rows that row `y` of the output sees."""
        window = self._window
        with loop("tap_y", window.kernel[0]) as tap_y:
            row = int32(y * window.stride[0] + tap_y * window.dilation[0] - window.padding[0])
            to = self.buffer.at(self._first + tap_y * self._between_rows)

            def copy() -> None:
                source = self._image.at(row * (window.width * window.channels))
                call("mve_copy", to, source, self._run, self._runs, self._step)

            def fill() -> None:
                call("mve_fill", to, self._zero, self._run, self._runs, self._step)

            if window.padding[0] or window.padding[2]:
                choose(tirx.all(row >= 0, row < window.height), copy, fill)
            else:
                copy()
