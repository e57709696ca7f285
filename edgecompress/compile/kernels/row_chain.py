"""The geometry of layers that run row by row (compile/chain.py): how many rows each keeps, and which enter when.

A turn makes `rows` rows of the last layer's output, and of every other as many as the next one's stride asks for. A
layer is ahead of the next one by the rows below that the next one sees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgecompress.compile.kernels.window import Window
from edgecompress.compile.memory import ALIGNMENT


@dataclass(frozen=True, kw_only=True)
class Band:
    """What a layer sees in a turn: `rows` of its input, of which `step` are new; the first of those is `first`.

    `window` is the layer's, over the band alone.
    """

    window: Window
    step: int
    first: int

    @property
    def rows(self) -> int:
        """The rows of the band."""
        return self.window.height

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.window.width * self.window.channels

    @property
    def room(self) -> int:
        """What it takes in memory."""
        return -(-self.rows * self.row_bytes // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, kw_only=True)
class RowChain:
    """The bands of layers that run one behind the other; the first `warm_up` turns give no output."""

    bands: tuple[Band, ...]
    turns: int
    warm_up: int
    output_bytes: int

    @property
    def room(self) -> int:
        """What the bands take in memory."""
        return sum(band.room for band in self.bands)

    def fits_in_place(self, image_rows: int) -> bool:
        """True when no turn's output reaches rows of the image that a later turn must still copy."""
        first = self.bands[0]
        return all(
            (turn + 1) * self.output_bytes <= min((turn + 1) * first.step + first.first, image_rows) * first.row_bytes
            for turn in range(self.turns)
        )


def can_link(window: Window) -> bool:
    """True when a layer's rows can be seen through a band that moves down."""
    shared = _reach(window) - window.stride[0]
    return 0 <= window.padding[0] <= shared and window.output_height >= 1


def plan(windows: Sequence[Window], output_row_bytes: int, rows: int) -> RowChain:
    """Plan layers that all `can_link`, by the last one's row of output; `rows` divides its output's height."""
    bands: list[Band] = []
    made, lead, warm_up = rows, 0, 0
    for window in reversed(windows):
        shared = _reach(window) - window.stride[0]
        step = made * window.stride[0]
        first = lead * window.stride[0] + shared - window.padding[0]
        part = replace(window, height=step + shared, padding=(0, window.padding[1], 0, window.padding[3]))
        bands.insert(0, Band(window=part, step=step, first=first))
        # The rows above the image have to enter before the first output is made.
        warm_up = max(warm_up, math.ceil((first + window.padding[0]) / step))
        made, lead = step, first
    return RowChain(
        bands=tuple(bands),
        turns=windows[-1].output_height // rows,
        warm_up=warm_up,
        output_bytes=rows * output_row_bytes,
    )


def _reach(window: Window) -> int:
    return window.dilation[0] * (window.kernel[0] - 1) + 1
