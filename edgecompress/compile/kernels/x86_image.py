"""Copies of an int8 image in the form in which x86-64 multiplies it, its zero point around it, channels last."""

from __future__ import annotations

from collections.abc import Sequence

from edgecompress.compile.kernels.vector_core import loop
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.kernels.x86_core import Core

SPARE = 64
"""Elements behind the last row that registers may reach over; what is there is multiplied by 0 or not stored."""


def size(core: Core, window: Window, spare: int = SPARE) -> int:
    """Bytes of the copy; `spare` elements follow its end.

    The zero point is written from the end of a row to where the next one's image begins.
    """
    top, left, bottom, _ = window.padding
    elements = (window.height + top + bottom) * window.row_elements + left * window.channels + spare
    return elements * core.element_bytes


def text(core: Core, window: Window) -> list[str]:
    """Write the copy from `x` to `image`."""
    inner = window.width * window.channels
    copy = f"copy_{core.method}{core.lanes}"
    if not window.is_padded:
        return [f"{copy}(image, x, {window.height * inner}u);"]
    return _around(core, window, "image", "input_zero", [f"{copy}(to, x + row * {inner}u, {inner}u);"])


def border(core: Core, window: Window, image: str, zero: str) -> list[str]:
    """Write the zero point around an image that others write."""
    return _around(core, window, image, zero, [])


def first(window: Window) -> int:
    """Where the first pixel lies inside its border."""
    top, left, *_ = window.padding
    return top * window.row_elements + left * window.channels


def _around(core: Core, window: Window, image: str, zero: str, row_lines: Sequence[str]) -> list[str]:
    """Fill what lies around the rows, and do for each row what is told; `to` is where its first pixel lies."""
    top, left, bottom, right = window.padding
    row, inner = window.row_elements, window.width * window.channels
    fill = f"fill_{core.method}{core.lanes}"
    before, between = left * window.channels, (left + right) * window.channels
    start = first(window)
    lines = [f"{fill}({image}, {zero}, {start}u);"] if start else []
    body = [*row_lines, *([f"{fill}(to + {inner}, {zero}, {between}u);"] if between else [])]
    if body:
        lines += loop("row", window.height, [f"{core.element} *const to = {image} + {start}u + row * {row}u;", *body])
    end = bottom * row - before
    if end > 0:
        lines += [f"{fill}({image} + {(top + window.height) * row + before}u, {zero}, {end}u);"]
    return lines
