"""Softmax and layer normalisation of rows of numbers, over vectors; a row is whole vectors.

A sum over a row is taken lane by lane, then over the lanes in order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgecompress.compile.c_text import float_literal
from edgecompress.compile.kernels.vector_core import VectorCore, indented, loop
from edgecompress.compile.program import CKernel

_MOST_TOGETHER = 4
"""Vectors that are added up side by side, so that no addition waits for the one before."""


@dataclass(frozen=True, kw_only=True)
class Softmax:
    """e^x over the sum of them, for each of `rows` of `length` numbers."""

    rows: int
    length: int


@dataclass(frozen=True, kw_only=True)
class LayerNorm:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, for each of `rows` of `length` numbers."""

    rows: int
    length: int
    epsilon: float


def softmax(name: str, layer: Softmax, core: VectorCore) -> CKernel:
    """Write the kernel (x, y)."""
    vec, step = core.vec, core.width
    largest = core.call("splat", "x[0]")
    body = [
        f"{vec} most = {largest};",
        *_each(layer.length, core, [f"most = {core.call('larger', 'most', core.call('load', 'x + i'))};"]),
        "float largest = most[0];",
        *_lanes(step, "largest = max_float(largest, most[lane]);"),
        f"for (uint32_t i = 0; i < {layer.length}u; ++i) {{",
        "  y[i] = exp_float(x[i] - largest);",
        "}",
        *_sum(layer.length, core, "total", core.call("load", "y + {place}")),
        f"const {vec} factor = {core.call('splat', '1.0f / total')};",
        *_each(
            layer.length, core, [f"{core.call('store', 'y + i', _times(core, core.call('load', 'y + i'), 'factor'))};"]
        ),
    ]
    parameters = "const float *restrict x, float *restrict y"
    return _kernel(name, parameters, layer.rows, layer.length, body)


def layer_norm(name: str, layer: LayerNorm, core: VectorCore) -> CKernel:
    """Write the kernel (x, gamma, beta, y)."""
    vec = core.vec
    share = float_literal(int(np.float32(1.0 / layer.length).view(np.int32)))
    epsilon = float_literal(int(np.float32(layer.epsilon).view(np.int32)))
    away = core.call("add", core.call("load", "x + {place}"), "below")
    store = core.call("store", "y + i", "normal")
    body = [
        *_sum(layer.length, core, "total", core.call("load", "x + {place}")),
        f"const {vec} below = {core.call('splat', f'-(total * {share})')};",
        *_sum(layer.length, core, "squares", _times(core, away, away)),
        f"const {vec} factor = {core.call('splat', f'1.0f / sqrtf(squares * {share} + {epsilon})')};",
        *_each(
            layer.length,
            core,
            [
                f"{vec} normal = {core.call('load', 'b + i')};",
                f"const {vec} scaled = {_times(core, away.format(place='i'), 'factor')};",
                core.accumulate("normal", "scaled", core.call("load", "w + i")),
                f"{store};",
            ],
        ),
    ]
    parameters = "const float *restrict x, const float *restrict w, const float *restrict b, float *restrict y"
    return _kernel(name, parameters, layer.rows, layer.length, body)


def _kernel(name: str, parameters: str, rows: int, length: int, body: list[str]) -> CKernel:
    """A kernel whose `body` computes the row that begins at x and y."""
    ends = [f"x += {length};", f"y += {length};"]
    lines = loop("row", rows, [*body, *ends])
    text = "\n".join([f"KERNEL void {name}({parameters}) {{", *indented(lines), "}", ""])
    return CKernel(name=name, source=text, workspaces=())


def _times(core: VectorCore, a: str, b: str) -> str:
    return core.call("multiply", a, b)


def _each(length: int, core: VectorCore, body: list[str]) -> list[str]:
    """Do something for each vector of a row, which begins at `i`."""
    return [f"for (uint32_t i = 0; i < {length}u; i += {core.width}u) {{", *indented(body), "}"]


def _lanes(width: int, statement: str) -> list[str]:
    """Do something for each lane but the first."""
    return [f"for (uint32_t lane = 1; lane < {width}u; ++lane) {{", f"  {statement}", "}"]


def _sum(length: int, core: VectorCore, name: str, value: str) -> list[str]:
    """Add up a row; `value` is one vector of it, from the number at `{place}`."""
    together = next(n for n in (_MOST_TOGETHER, 2, 1) if length % (n * core.width) == 0)
    parts = [f"{name}{n}" for n in range(together)]
    lines = [f"{core.vec} {part} = {{0}};" for part in parts]
    places = ["i" if n == 0 else f"i + {n * core.width}" for n in range(together)]
    added = [
        f"{part} = {core.call('add', part, value.format(place=place))};"
        for part, place in zip(parts, places, strict=True)
    ]
    lines += [f"for (uint32_t i = 0; i < {length}u; i += {together * core.width}u) {{", *indented(added), "}"]
    lines += [f"{parts[0]} = {core.call('add', parts[0], part)};" for part in parts[1:]]
    return [*lines, f"float {name} = {parts[0]}[0];", *_lanes(core.width, f"{name} = {name} + {parts[0]}[lane];")]
