"""Softmax and layer normalisation of rows of numbers, over vectors; a row is whole vectors.

A sum over a row is taken lane by lane, then over the lanes in order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgecompress.compile import c_vector_math
from edgecompress.compile.c_text import float_literal
from edgecompress.compile.kernels.vector_core import VectorCore, indented, loop
from edgecompress.compile.program import CKernel

_ROWS_A_TURN = 8
"""What a thread takes at a time, at most."""
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
    together = _together(layer.length, core)
    away = core.call("subtract", core.call("load", "from + {place}"), "below")
    power = c_vector_math.call("exp", core.width, away, fused=core.fused)
    exponentials = []
    for n, place in enumerate(_places(together, core)):
        exponentials += [
            f"const {vec} power{n} = {power.format(place=place)};",
            f"{core.call('store', f'to + {place}', f'power{n}')};",
            f"total{n} = {core.call('add', f'total{n}', f'power{n}')};",
        ]
    scaled = core.call("store", "to + i", core.call("multiply", core.call("load", "to + i"), "factor"))
    body = [
        f"{vec} most = {core.call('load', 'from')};",
        *_each(layer.length, core, [f"most = {core.call('limit_max', 'most', core.call('load', 'from + i'))};"]),
        "float largest = most[0];",
        *_lanes(step, "largest = max_float(largest, most[lane]);"),
        f"const {vec} below = {core.call('splat', 'largest')};",
        *(f"{vec} total{n} = {{0}};" for n in range(together)),
        f"for (uint32_t i = 0; i < {layer.length}u; i += {together * core.width}u) {{",
        *indented(exponentials),
        "}",
        *_total("total", together, core),
        f"const {vec} factor = {core.call('splat', '1.0f / total')};",
        *_each(layer.length, core, [f"{scaled};"]),
    ]
    parameters = "const float *restrict x, float *restrict y"
    known = c_vector_math.kept("exp", core.width)
    return _kernel(name, parameters, (layer.rows, layer.length), known, body)


def layer_norm(name: str, layer: LayerNorm, core: VectorCore) -> CKernel:
    """Write the kernel (x, gamma, beta, y)."""
    vec = core.vec
    share = float_literal(int(np.float32(1.0 / layer.length).view(np.int32)))
    epsilon = float_literal(int(np.float32(layer.epsilon).view(np.int32)))
    away = core.call("add", core.call("load", "from + {place}"), "below")
    store = core.call("store", "to + i", "normal")
    body = [
        *_sum(layer.length, core, "total", core.call("load", "from + {place}")),
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
    return _kernel(name, parameters, (layer.rows, layer.length), [], body)


def _kernel(name: str, parameters: str, extents: tuple[int, int], known: list[str], body: list[str]) -> CKernel:
    """A kernel whose `body` computes the row at `from` to `to`; what is `known` for all rows stands before some."""
    rows, length = extents
    turn = next(size for size in range(min(rows, _ROWS_A_TURN), 0, -1) if rows % size == 0)
    inner = [
        f"const float *const from = x + (turn * {turn}u + row) * {length}u;",
        f"float *const to = y + (turn * {turn}u + row) * {length}u;",
        *body,
    ]
    lines = loop("turn", rows // turn, [*known, *loop("row", turn, inner)])
    text = "\n".join([f"KERNEL void {name}({parameters}) {{", *indented(lines), "}", ""])
    return CKernel(name=name, source=text, workspaces=(), spreads=True, work=3 * rows * length)


def _times(core: VectorCore, a: str, b: str) -> str:
    return core.call("multiply", a, b)


def _each(length: int, core: VectorCore, body: list[str]) -> list[str]:
    """Do something for each vector of a row, which begins at `i`."""
    return [f"for (uint32_t i = 0; i < {length}u; i += {core.width}u) {{", *indented(body), "}"]


def _lanes(width: int, statement: str) -> list[str]:
    """Do something for each lane but the first."""
    return [f"for (uint32_t lane = 1; lane < {width}u; ++lane) {{", f"  {statement}", "}"]


def _together(length: int, core: VectorCore) -> int:
    """How many vectors of a row are added up side by side."""
    return next(n for n in (_MOST_TOGETHER, 2, 1) if length % (n * core.width) == 0)


def _places(together: int, core: VectorCore) -> list[str]:
    return ["i" if n == 0 else f"i + {n * core.width}" for n in range(together)]


def _sum(length: int, core: VectorCore, name: str, value: str) -> list[str]:
    """Add up a row; `value` is one vector of it, from the number at `{place}`."""
    together = _together(length, core)
    lines = [f"{core.vec} {name}{n} = {{0}};" for n in range(together)]
    added = [
        f"{name}{n} = {core.call('add', f'{name}{n}', value.format(place=place))};"
        for n, place in enumerate(_places(together, core))
    ]
    lines += [f"for (uint32_t i = 0; i < {length}u; i += {together * core.width}u) {{", *indented(added), "}"]
    return [*lines, *_total(name, together, core)]


def _total(name: str, together: int, core: VectorCore) -> list[str]:
    """Add up sums side by side, then their lanes."""
    lines = [f"{name}0 = {core.call('add', f'{name}0', f'{name}{n}')};" for n in range(1, together)]
    return [*lines, f"float {name} = {name}0[0];", *_lanes(core.width, f"{name} = {name} + {name}0[lane];")]
