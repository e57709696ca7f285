"""Copies of an image with zeros around it, channels last."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgecompress.compile.kernels.vector_core import Halves, loop
from edgecompress.compile.kernels.window import Window

_MOST_ROWS = 16


@dataclass(frozen=True, kw_only=True)
class Border:
    """What a window sees beyond the image. `planes`: the image has channels first, and is always copied.

    `halves`: the copy holds halves, of an image of floats or halves.
    """

    window: Window
    planes: bool = False
    halves: Halves | None = None

    @property
    def copies(self) -> bool:
        """True when the window sees a copy, `image`, instead of `x`."""
        return self.window.is_padded or self.planes or self._narrows

    @property
    def number(self) -> str:
        """The type in C of the copy's numbers."""
        return "uint16_t" if self.halves else "float"

    @property
    def _narrows(self) -> bool:
        return self.halves is not None and not self.halves.reads

    @property
    def bytes(self) -> int:
        """The size of the copy; zeros are written from the end of a row to where the next one's image begins."""
        top, left, bottom, _ = self.window.padding
        numbers = (self.window.height + top + bottom) * self.window.row_elements + left * self.window.channels
        return numbers * (2 if self.halves else 4)

    def text(self) -> list[str]:
        """Write the copy, when there is one."""
        if not self.copies:
            return []
        window = self._in_rows()
        clear = "clear_halves" if self.halves else "clear_floats"
        top, left, bottom, right = window.padding
        row = window.row_elements
        before, between = left * window.channels, (left + right) * window.channels
        body: list[str] = []
        if self.planes:
            to = f"to[column * {window.channels}u + channel]"
            pixel = f"x[channel * {window.height * window.width}u + row * {window.width}u + column]"
            value = f"narrowed_half({pixel})" if self._narrows else pixel
            body += loop("column", window.width, loop("channel", window.channels, [f"{to} = {value};"]))
        else:
            inner = window.width * window.channels
            copy = "copy_floats" if self.halves is None else "narrow_floats" if self._narrows else "copy_halves"
            body += [f"{copy}(to, x + row * {inner}u, {inner}u);"]
        start = top * row + before
        lines = [f"{clear}(image, {start}u);"] if start else []
        if between:
            body += [f"{clear}(to + {window.width * window.channels}, {between}u);"]
        lines += loop("row", window.height, [f"{self.number} *const to = image + {start}u + row * {row}u;", *body])
        end = bottom * row - before
        if bottom:
            lines += [f"{clear}(image + {(top + window.height) * row + before}u, {max(end, 0)}u);"]
        return lines

    def _in_rows(self) -> Window:
        """The window, whose only row is cut where it can be: threads take a row each."""
        window = self.window
        if window.height > 1 or self.planes or window.is_padded:
            return window
        rows = max(each for each in range(1, _MOST_ROWS + 1) if window.width % each == 0)
        return replace(window, height=rows, width=window.width // rows)
