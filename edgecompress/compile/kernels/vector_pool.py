"""Largest and average numbers of windows, over vectors of channels; windows end at the image's edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgecompress.compile.kernels.vector_core import VectorCore, indented, loop, offset, terms
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import CKernel

_MOST_VECTORS = 4


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A pooling; `counts_border`: an average divides by the window's size even at the edge."""

    window: Window
    kind: Literal["max", "average"]
    counts_border: bool = False
    batch: int = 1


def kernel(name: str, pool: Pool, core: VectorCore) -> CKernel:
    """Write the kernel (x, y)."""
    window = pool.window
    body = bounds("row", window.height, window.kernel[0], window.stride[0], window.dilation[0], window.padding[0])
    inner = bounds("column", window.width, window.kernel[1], window.stride[1], window.dilation[1], window.padding[1])
    inner += _pixel(pool, core)
    body += loop("column", window.output_width, inner)
    body = loop("row", window.output_height, body)
    if pool.batch > 1:
        results = window.output_height * window.output_width * window.channels
        body += [f"x += {window.height * window.width * window.channels};", f"y += {results};"]
        body = loop("n", pool.batch, body)
    head = f"KERNEL void {name}(const float *restrict x, float *restrict y) {{"
    source = "\n".join([head, *indented(body), "}", ""])
    return CKernel(name=name, source=source, workspaces=(), spreads=True, work=_instructions(pool, core))


def _instructions(pool: Pool, core: VectorCore) -> int:
    """About what the kernel executes: a load and an operation for each tap."""
    window = pool.window
    vectors = pool.batch * window.output_height * window.output_width * -(-window.channels // core.width)
    return 2 * vectors * window.kernel[0] * window.kernel[1]


def bounds(axis: str, extent: int, taps: int, stride: int, dilation: int, before: int) -> list[str]:
    """The taps that see the image: from `{axis}_first` to before `{axis}_end`."""
    first = f"(int32_t)({axis} * {stride}u) - {before}"
    below = f"{axis}_from < 0 ? (uint32_t)(-{axis}_from + {dilation - 1}) / {dilation}u : 0u"
    left = f"(uint32_t)({extent - 1} - {axis}_from) / {dilation}u + 1u"
    return [
        f"const int32_t {axis}_from = {first};",
        f"const uint32_t {axis}_first = {below};",
        f"const uint32_t {axis}_left = {left};",
        f"const uint32_t {axis}_end = {axis}_left < {taps}u ? {axis}_left : {taps}u;",
    ]


def _pixel(pool: Pool, core: VectorCore) -> list[str]:
    window = pool.window
    vectors, some = divmod(window.channels, core.width)
    together = next(size for size in (_MOST_VECTORS, 3, 2, 1) if vectors % size == 0)
    lines: list[str] = []
    if pool.kind == "average":
        seen = "(row_end - row_first) * (column_end - column_first)"
        count = f"{window.kernel[0] * window.kernel[1]}u" if pool.counts_border else seen
        lines += [f"const {core.vec} factor = {core.call('splat', f'1.0f / (float)({count})')};"]
    if vectors:
        lines += loop("block", vectors // together, _block(pool, core, together, 0, vectors > together))
    if some:
        body = _block(pool, core, 1, some, False)
        lines += ["{", *indented(body), "}"]
    return lines


def _block(pool: Pool, core: VectorCore, vectors: int, some: int, repeated: bool) -> list[str]:
    """Some vectors of channels of one pixel; of a last one, `some` numbers."""
    window = pool.window
    channel = window.channels - some if some else 0
    step = [("block", vectors * core.width)] if repeated else []
    start = "-INFINITY" if pool.kind == "max" else "0.0f"
    lines = [f"{core.vec} value{v} = {core.call('splat', start)};" for v in range(vectors)]
    row = f"x + (uint32_t)(row_from + (int32_t)(tap_y * {window.dilation[0]}u)) * {window.width * window.channels}u"
    column = f" + (uint32_t)(column_from + (int32_t)(tap_x * {window.dilation[1]}u)) * {window.channels}u"
    taken = [f"const float *const a = {offset(terms(row + column, *step), channel)};"]
    for v in range(vectors):
        place = offset("a", v * core.width)
        value = core.call("load_some", place, f"{some}u") if some else core.call("load", place)
        function = "larger" if pool.kind == "max" else "add"
        taken.append(f"value{v} = {core.call(function, f'value{v}', value)};")
    lines += [
        "for (uint32_t tap_y = row_first; tap_y < row_end; ++tap_y) {",
        "  for (uint32_t tap_x = column_first; tap_x < column_end; ++tap_x) {",
        *indented(indented(taken)),
        "  }",
        "}",
    ]
    base = f"y + (row * {window.output_width}u + column) * {window.channels}u"
    for v in range(vectors):
        if pool.kind == "average":
            lines.append(f"value{v} = {core.call('multiply', f'value{v}', 'factor')};")
        target = offset(terms(base, *step), channel + v * core.width)
        stored = core.call("store_some", target, f"value{v}", f"{some}u") if some else None
        lines.append(f"{stored or core.call('store', target, f'value{v}')};")
    return lines
