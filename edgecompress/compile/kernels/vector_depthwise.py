"""Depthwise convolutions over vectors of channels: several pixels of the same channels in registers.

An image is read where it lies: rows beyond its edge are a row of zeros, and patches at its sides leave out the taps
that see nothing. Only an image with channels first is copied, with zeros around it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgecompress.compile import c_text
from edgecompress.compile.kernels import half_sums, vector_border
from edgecompress.compile.kernels.vector_core import PLAIN, Finish, Halves, VectorCore, indented, loop, offset, terms
from edgecompress.compile.kernels.vector_product import types
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import CKernel
from edgecompress.core.values import Array

_KEPT_WEIGHTS = 9
"""A kernel of so many taps stays in registers while a row is computed."""

_MOST_ROWS = 3
_MOST_PIXELS = 8
_TILE_COST = 8


@dataclass(frozen=True, kw_only=True)
class Depthwise:
    """A convolution of each channel by itself; `batch` images lie one after the other.

    `halves`: products are computed in half precision.
    """

    window: Window
    batch: int = 1
    planes: bool = False
    has_bias: bool = True
    finish: Finish = PLAIN
    halves: Halves | None = None

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        window = self.window
        results = window.output_height * window.output_width * window.channels
        return self.batch * results * window.kernel[0] * window.kernel[1]


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A register tile of results: rows x pixels."""

    rows: int
    pixels: int


def choose_patch(window: Window, core: VectorCore) -> Patch:
    """Choose the patch that takes the fewest instructions for the image."""
    kept = _kept(window, core)
    patches = [
        Patch(rows=rows, pixels=pixels)
        for rows in range(1, min(window.output_height, _MOST_ROWS) + 1)
        for pixels in range(1, min(window.output_width, _MOST_PIXELS) + 1)
        if rows * pixels + kept + min(_seen(window, 1, pixels), 4) + 2 <= core.registers
    ]
    return min(patches or [Patch(rows=1, pixels=1)], key=lambda patch: _cost(window, core, patch))


def _kept(window: Window, core: VectorCore) -> int:
    taps = window.kernel[0] * window.kernel[1]
    return taps if taps <= _KEPT_WEIGHTS and taps + 4 <= core.registers else 1


def _seen(window: Window, axis: int, results: int) -> int:
    """How many inputs neighbouring results see along an axis."""
    return (results - 1) * window.stride[axis] + (window.kernel[axis] - 1) * window.dilation[axis] + 1


def _cost(window: Window, core: VectorCore, patch: Patch) -> float:
    taps = window.kernel[0] * window.kernel[1]
    rows, rows_left = divmod(window.output_height, patch.rows)
    columns, columns_left = divmod(window.output_width, patch.pixels)
    total = 0.0
    for row_count, r in ((rows, patch.rows), (1, rows_left)):
        if not (row_count and r):
            continue
        total += row_count * (taps + _TILE_COST)
        for count, p in ((columns, patch.pixels), (1, columns_left)):
            loads = len(_columns_seen(window, p)) * _seen(window, 0, r)
            again = taps if _kept(window, core) == 1 else 0
            total += row_count * count * (p > 0) * (loads + again + r * p * (taps + 3) + _TILE_COST)
    return total


def _columns_seen(window: Window, pixels: int) -> list[int]:
    """The columns that a patch reads of each row of input."""
    stride, dilation = window.stride[1], window.dilation[1]
    return sorted({p * stride + tap * dilation for p in range(pixels) for tap in range(window.kernel[1])})


def pack(weights: Array, layer: Depthwise, core: VectorCore) -> Array:
    """Pack weights (channels, 1, rows, columns) as (vectors, taps, lanes), the last vector filled with zeros."""
    core = core.of_halves() if layer.halves else core
    channels = weights.shape[0]
    flat = np.pad(weights.reshape(channels, -1), ((0, -channels % core.width), (0, 0)))
    packed = np.ascontiguousarray(np.moveaxis(flat.reshape(-1, core.width, flat.shape[1]), 1, 2)).ravel()
    return packed.astype(np.float16 if layer.halves else np.float32)


def pack_bias(bias: Array, layer: Depthwise, core: VectorCore) -> Array:
    """Fill the biases up to whole vectors."""
    core = core.of_halves() if layer.halves else core
    return np.pad(bias.ravel(), (0, -bias.size % core.width)).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class _View:
    """The image that patches read, from `in`: its size, and how many rows and columns before it a window begins."""

    height: int
    width: int
    channels: int
    top: int = 0
    left: int = 0

    @property
    def row(self) -> int:
        """Floats from a row to the next one."""
        return self.width * self.channels


def _view(layer: Depthwise) -> _View:
    window = layer.window
    top, left, bottom, right = window.padding
    if layer.planes:
        height, width = window.height + top + bottom, window.width + left + right
        return _View(height=height, width=width, channels=window.channels)
    return _View(height=window.height, width=window.width, channels=window.channels, top=top, left=left)


def _has_rows_beyond(window: Window) -> bool:
    return window.padding[0] > 0 or window.padding[2] > 0


def kernel(name: str, layer: Depthwise, core: VectorCore) -> CKernel:
    """Write the kernel: (x, weights, [bias], [other], y, [the image with its border], [a row of zeros])."""
    window, view = layer.window, _view(layer)
    core = core.of_halves() if layer.halves else core
    image, result = (c_text.TYPES[each] for each in types(layer.halves))
    parameters = [f"const {image} *restrict x", f"const {core.number} *restrict w"]
    parameters += ["const float *restrict c"] if layer.has_bias else []
    parameters += ["const float *restrict z"] if layer.finish.adds else []
    parameters += [f"{result} *restrict y"]
    workspaces: tuple[int, ...] = ()
    body = [f"const {core.number} *const in = x;"]
    copied = window if layer.planes else replace(window, padding=(0, 0, 0, 0))
    border = vector_border.Border(window=copied, planes=layer.planes, halves=layer.halves)
    if border.copies:
        parameters, workspaces = [*parameters, f"{core.number} *restrict image"], (border.bytes,)
        body = [*border.text(), f"const {core.number} *const in = image;"]
    if _has_rows_beyond(window) and not layer.planes:
        parameters = [*parameters, f"{core.number} *restrict zeros"]
        workspaces = (*workspaces, core.number_bytes * view.row)
        clear = "clear_halves" if layer.halves else "clear_floats"
        body = [f"{clear}(zeros, {view.row}u);", *body]
    body += _image(layer, core)
    if layer.batch > 1:
        results = window.output_height * window.output_width * window.channels
        body += [f"x += {window.height * window.width * window.channels};", f"y += {results};"]
        body += [f"z += {results};"] if layer.finish.adds else []
        body = loop("n", layer.batch, body)
    text = "\n".join([f"{c_text.wrapped(f'KERNEL void {name}(', parameters)}) {{", *indented(body), "}", ""])
    return CKernel(name=name, source=text, workspaces=workspaces, spreads=True)


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Patches side by side: `count` of `pixels` results from `first`."""

    count: int
    pixels: int
    first: int


def _columns(layer: Depthwise, pixels: int) -> list[_Columns]:
    """Cut a row of results into patches; those that see beyond a side stand alone, so that each knows its taps."""
    window, view = layer.window, _view(layer)
    reach = (window.kernel[1] - 1) * window.dilation[1]

    def sees_beyond(result: int) -> bool:
        start = result * window.stride[1] - view.left
        return start < 0 or start + reach >= view.width

    whole = window.output_width
    inside = [result for result in range(whole) if not sees_beyond(result)]
    first, end = (inside[0], inside[-1] + 1) if inside else (whole, whole)
    cuts: list[_Columns] = []
    place = 0
    while place < whole:
        count = (end - place) // pixels if place >= first else 0
        size = pixels if count > 0 else min(pixels, whole - place)
        cuts.append(_Columns(count=max(count, 1), pixels=size, first=place))
        place += max(count, 1) * size
    return cuts


def _image(layer: Depthwise, core: VectorCore) -> list[str]:
    """The loops over bands of rows, vectors of channels and patches."""
    window = layer.window
    patch = choose_patch(window, core)
    full, rest = divmod(window.output_height, patch.rows)
    vectors, some = divmod(window.channels, core.width)
    lines: list[str] = []
    for bands, rows, first_row in ((full, patch.rows, 0), (1 if rest else 0, rest, full * patch.rows)):
        body: list[str] = []
        for blocks, first, last in ((vectors, 0, 0), (1 if some else 0, vectors, some)):
            one = _band(layer, core, Patch(rows=rows, pixels=patch.pixels), (bands, first_row), (blocks, first, last))
            body += loop("block", blocks, one) if blocks else []
        lines += loop("band", bands, body) if bands else []
    return lines


def _band(
    layer: Depthwise, core: VectorCore, patch: Patch, band: tuple[int, int], block: tuple[int, int, int]
) -> list[str]:
    """A band of rows of one vector of channels: its weights, the rows that it sees, then its patches."""
    window, (bands, first_row), (blocks, first, last) = layer.window, band, block
    taps = window.kernel[0] * window.kernel[1]
    results_row = window.output_width * window.channels
    channel = first * core.width

    def at(base: str, constant: int, band_step: int, block_step: int) -> str:
        used = [("band", band_step)] if bands > 1 else []
        return offset(terms(base, *used, *([("block", block_step)] if blocks > 1 else [])), constant)

    result = first_row * results_row + channel
    lines = [
        f"const {core.number} *const weights = {at('w', channel * taps, 0, core.width * taps)};",
        f"{c_text.TYPES[types(layer.halves)[1]]} *const to = {at('y', result, patch.rows * results_row, core.width)};",
    ]
    for y in sorted(_rows_seen(window, patch.rows)):
        lines += _seen_row(layer, y, first_row, patch.rows, bands, at("", channel, 0, core.width).strip(" +"))
    if layer.finish.adds:
        lines += [f"const float *const other = {at('z', result, patch.rows * results_row, core.width)};"]
    bias, zeros = at("c", channel, 0, core.width), f"({core.vec}){{0}}"
    begin = core.call("load", bias) if layer.has_bias and not layer.halves else zeros
    lines += [f"const {core.vec} first = {begin};"]
    if layer.halves:
        lines += [f"const float *const bias = {bias};"] if layer.has_bias else []
    if _kept(window, core) > 1:
        lines += [
            f"const {core.vec} w{tap} = {core.call('load', offset('weights', tap * core.width))};"
            for tap in range(taps)
        ]
    for columns in _columns(layer, patch.pixels):
        lines += loop("tile", columns.count, _patch(layer, core, patch.rows, columns, last))
    return lines


def _rows_seen(window: Window, rows: int) -> set[int]:
    """The rows of input that so many rows of results see, counted from the first one's first."""
    return {row * window.stride[0] + tap * window.dilation[0] for row in range(rows) for tap in range(window.kernel[0])}


def _seen_row(layer: Depthwise, y: int, first_row: int, rows: int, bands: int, channel: str) -> list[str]:
    """Point to row `y` of those that a band sees, at its channels; beyond the image's edge, to zeros."""
    window, view = layer.window, _view(layer)
    number = "uint16_t" if layer.halves else "float"
    stride = window.stride[0]
    nearest = first_row * stride + y - view.top
    farthest = nearest + (bands - 1) * rows * stride
    plus = f" + {channel}" if channel else ""
    start = f"band * {rows * stride}u" if bands > 1 else "0u"
    if nearest >= view.height or farthest < 0:
        return [f"const {number} *const row{y} = zeros{plus};"]
    place = f"({start} + {nearest}u) * {view.row}u" if nearest >= 0 else f"({start} - {-nearest}u) * {view.row}u"
    if bands == 1:
        place = f"{nearest * view.row}"
    if nearest >= 0 and farthest < view.height:
        return [f"const {number} *const row{y} = in + {place}{plus};"]
    shifted = f"{start} + {nearest}u" if nearest >= 0 else f"{start} - {-nearest}u"
    return [f"const {number} *const row{y} = ({shifted} < {view.height}u ? in + {place} : zeros){plus};"]


def _patch(layer: Depthwise, core: VectorCore, rows: int, columns: _Columns, last: int) -> list[str]:
    """Compute one patch; of its channels only the first `last` are there, or all where that is 0."""
    window = layer.window
    lines = [f"{core.vec} sum{r}_{p} = first;" for r in range(rows) for p in range(columns.pixels)]
    for y in sorted(_rows_seen(window, rows)):
        lines += _row(layer, core, rows, columns, y, last)
    for r in range(rows):
        for p in range(columns.pixels):
            lines += _store(layer, core, (r, p), columns, last)
    return lines


def _row(layer: Depthwise, core: VectorCore, rows: int, columns: _Columns, y: int, last: int) -> list[str]:
    """Take what a patch sees of one row of input."""
    window, view = layer.window, _view(layer)
    uses = [
        (r, tap)
        for r in range(rows)
        for tap in range(window.kernel[0])
        if r * window.stride[0] + tap * window.dilation[0] == y
    ]
    start = columns.first * window.stride[1] - view.left
    there = [x for x in _columns_seen(window, columns.pixels) if columns.count > 1 or 0 <= start + x < view.width]
    step = columns.pixels * window.stride[1] * view.channels
    lines = []
    for x in there:
        tiles = [("tile", step)] if columns.count > 1 else []
        place = offset(terms(f"row{y}", *tiles), (start + x) * view.channels)
        value = core.call("load_some", place, f"{last}u") if last else core.call("load", place)
        lines.append(f"const {core.vec} x{x} = {value};")
    kept = _kept(window, core) > 1
    for r, tap_y in uses:
        for tap_x in range(window.kernel[1]):
            tap = tap_y * window.kernel[1] + tap_x
            weight = f"w{tap}" if kept else core.call("load", offset("weights", tap * core.width))
            for p in range(columns.pixels):
                x = p * window.stride[1] + tap_x * window.dilation[1]
                lines += [core.accumulate(f"sum{r}_{p}", f"x{x}", weight)] if x in there else []
    return ["{", *indented(lines), "}"]


def _store(layer: Depthwise, core: VectorCore, at: tuple[int, int], columns: _Columns, last: int) -> list[str]:
    """Finish and store one vector of results."""
    channels = layer.window.channels
    r, p = at
    place = r * layer.window.output_width * channels + (columns.first + p) * channels
    index = [("tile", columns.pixels * channels)] if columns.count > 1 else []
    if layer.halves:
        end = half_sums.End(finish=layer.finish, has_bias=layer.has_bias, halves=layer.halves)
        return half_sums.finish_text(core, end, f"sum{r}_{p}", (place, last), terms("", *index))
    other = offset(terms("other", *index), place)
    value = core.call("load_some", other, f"{last}u") if last else core.call("load", other)
    lines = layer.finish.statements(core, f"sum{r}_{p}", value)
    target = offset(terms("to", *index), place)
    stored = core.call("store_some", target, f"sum{r}_{p}", f"{last}u") if last else None
    return [*lines, f"{stored or core.call('store', target, f'sum{r}_{p}')};"]
