"""Copies of an int8 image with its zero point around it, channels last."""

from __future__ import annotations

from edgecompress.compile.kernels.vector_core import loop
from edgecompress.compile.kernels.window import Window


def size(window: Window) -> int:
    """Bytes of the copy; the zero point is written from the end of a row to where the next one's image begins."""
    top, left, bottom, _ = window.padding
    return (window.height + top + bottom) * window.row_elements + left * window.channels


def text(window: Window) -> list[str]:
    """Write the copy from `x` to `image`, when the window reaches over the edge."""
    if not window.is_padded:
        return []
    top, left, bottom, right = window.padding
    row, inner = window.row_elements, window.width * window.channels
    before, between = left * window.channels, (left + right) * window.channels
    start = top * row + before
    lines = [f"fill_bytes(image, input_zero, {start}u);"] if start else []
    body = [f"copy_bytes(to, x + row * {inner}u, {inner}u);"]
    if between:
        body += [f"fill_bytes(to + {inner}, input_zero, {between}u);"]
    lines += loop("row", window.height, [f"int8_t *const to = image + {start}u + row * {row}u;", *body])
    end = bottom * row - before
    if end > 0:
        lines += [f"fill_bytes(image + {(top + window.height) * row + before}u, input_zero, {end}u);"]
    return lines
