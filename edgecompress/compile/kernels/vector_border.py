"""Copies of an image with zeros around it, channels last."""

from __future__ import annotations

from dataclasses import dataclass

from edgecompress.compile.kernels.vector_core import loop
from edgecompress.compile.kernels.window import Window


@dataclass(frozen=True, kw_only=True)
class Border:
    """What a window sees beyond the image. `planes`: the image has channels first, and is always copied."""

    window: Window
    planes: bool = False

    @property
    def copies(self) -> bool:
        """True when the window sees a copy, `image`, instead of `x`."""
        return self.window.is_padded or self.planes

    @property
    def bytes(self) -> int:
        """The size of the copy; zeros are written from the end of a row to where the next one's image begins."""
        top, left, bottom, _ = self.window.padding
        return ((self.window.height + top + bottom) * self.window.row_elements + left * self.window.channels) * 4

    def text(self) -> list[str]:
        """Write the copy, when there is one."""
        if not self.copies:
            return []
        window = self.window
        top, left, bottom, right = window.padding
        row = window.row_elements
        before, between = left * window.channels, (left + right) * window.channels
        body: list[str] = []
        if self.planes:
            to = f"to[column * {window.channels}u + channel]"
            pixel = f"{to} = x[channel * {window.height * window.width}u + row * {window.width}u + column];"
            body += loop("column", window.width, loop("channel", window.channels, [pixel]))
        else:
            inner = window.width * window.channels
            body += [f"copy_floats(to, x + row * {inner}u, {inner}u);"]
        start = top * row + before
        lines = [f"clear_floats(image, {start}u);"] if start else []
        if between:
            body += [f"clear_floats(to + {window.width * window.channels}, {between}u);"]
        lines += loop("row", window.height, [f"float *const to = image + {start}u + row * {row}u;", *body])
        end = bottom * row - before
        if bottom:
            lines += [f"clear_floats(image + {(top + window.height) * row + before}u, {max(end, 0)}u);"]
        return lines
