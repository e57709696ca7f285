"""Layers whose output takes the place of an input: a kernel of the best family, for bands of the image.

Only for the smallest RAM: the copies cost instructions, and a kernel has more to do at each band's start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edgecompress.compile.bands import Bands
from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.memory import ALIGNMENT

MOST_ELEMENTS = 512
"""What is copied of an addition's operand at a time; the next ones hardly make it faster."""
PARTS = 4
"""A band is at most the image divided by this, or what one row of output sees."""


def fits(window: Window, outputs: int) -> bool:
    """True when no band's output reaches rows that a later band must still read."""
    reach = window.dilation[0] * (window.kernel[0] - 1) + 1
    shared = reach - window.stride[0]
    row_bytes, output_row_bytes = window.width * window.channels, window.output_width * outputs
    return (
        0 <= window.padding[0] <= shared
        and output_row_bytes <= window.stride[0] * row_bytes
        and output_row_bytes % ALIGNMENT == 0
        and window.output_height * output_row_bytes <= window.height * row_bytes
    )


def choose(product: Product, family: Callable[[Product], Kernel]) -> tuple[Kernel, Bands]:
    """Cut a layer that `fits` into bands and choose the kernel for one of them."""
    window = product.window
    rows = _output_rows(window)
    seen = _rows_seen(window, rows)
    part = replace(window, height=seen, padding=(0, window.padding[1], 0, window.padding[3]))
    kernel = family(replace(product, window=part))
    bands = Bands(
        kernel=kernel.name,
        count=window.output_height // rows,
        rows=seen,
        step=rows * window.stride[0],
        above=window.padding[0],
        image_rows=window.height,
        row_bytes=window.width * window.channels,
        output_bytes=rows * window.output_width * product.outputs,
    )
    return kernel, bands


def chunk(elements: int) -> int:
    """How many of these elements an addition in place adds at a time: equal chunks, aligned; 0 when there are none."""
    sizes = range(ALIGNMENT, min(MOST_ELEMENTS, elements) + 1, ALIGNMENT)
    return max((size for size in sizes if elements % size == 0), default=0)


def chunks(kernel: str, elements: int, size: int, operand: int) -> Bands:
    """Cut an addition for a kernel that adds `size` elements; the output takes the place of one operand."""
    return Bands(
        kernel=kernel,
        count=elements // size,
        rows=1,
        step=1,
        above=0,
        image_rows=elements // size,
        row_bytes=size,
        output_bytes=size,
        image_at=operand,
        others_bytes=size,
    )


def band_bytes(window: Window) -> int:
    """What is copied for a band."""
    return _rows_seen(window, _output_rows(window)) * window.width * window.channels


def _output_rows(window: Window) -> int:
    """Rows of output in a band: as many as divide the image evenly and see no more than a part of it."""
    divisors = [rows for rows in range(1, window.output_height + 1) if window.output_height % rows == 0]
    small = [rows for rows in divisors if _rows_seen(window, rows) * PARTS <= window.height]
    return max(small, default=1)


def _rows_seen(window: Window, rows: int) -> int:
    return (rows - 1) * window.stride[0] + window.dilation[0] * (window.kernel[0] - 1) + 1
