"""Attention over vectors: scores, their softmax and what they weigh, without scores that leave the cache.

For a block of keys, whose panel fits half of the level 1 cache, a tile of queries at a time: scores by the packed keys,
exponentials, and their products with the values. Where the keys are several blocks, the largest score, the sum and the
result so far are brought to the new largest one each time (Milakov and Gimelshein 2018, "Online normalizer calculation
for softmax"; Dao et al. 2022, FlashAttention, algorithm 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgecompress.compile import c_text, c_vector_math
from edgecompress.compile.c_text import float_literal
from edgecompress.compile.kernels.vector_core import VectorCore, indented, loop, offset, terms
from edgecompress.compile.program import CKernel

VECTORS = 2
LANES = 4
MOST_ROWS = 4096
"""The largest scores and the sums lie on the stack, where there are several blocks."""
MOST_DEPTH = 512
LEAST_KEYS, MOST_KEYS = 16, 512
"""Keys of a block."""
NO_KEY = "-0x1p+126f"
"""The score of what is no key."""


@dataclass(frozen=True, kw_only=True)
class Operand:
    """Where a matrix lies for each batch, in floats: rows are `row` apart, the numbers of a row side by side."""

    start: int
    batches: tuple[int, ...]
    row: int


@dataclass(frozen=True, kw_only=True)
class Attention:
    """softmax(queries x keys^T * scale + mask) x values, for each of several batches."""

    batches: tuple[int, ...]
    rows: int
    keys: int
    depth: int
    outputs: int
    scale: float
    query: Operand
    key: Operand
    value: Operand
    result: Operand
    mask: Operand | None = None

    @property
    def macs(self) -> int:
        """How many products are summed."""
        return math.prod(self.batches) * self.rows * self.keys * (self.depth + self.outputs)


def fits(layer: Attention, core: VectorCore) -> bool:
    """True for whole vectors of results, and keys of whole registers."""
    is_small = layer.rows <= MOST_ROWS and layer.depth <= MOST_DEPTH
    return layer.outputs % core.width == 0 and layer.depth % LANES == 0 and is_small and layer.scale > 0


def kernel(name: str, layer: Attention, core: VectorCore) -> CKernel:
    """Write the kernel (queries, keys, values, [mask], y)."""
    body = _Writer(layer, core).batch()
    for axis in reversed(range(len(layer.batches))):
        body = loop(f"batch{axis}", layer.batches[axis], body)
    names = ["q", "k", "v", *(["m"] if layer.mask is not None else [])]
    parameters = [*(f"const float *restrict {each}" for each in names), "float *restrict y"]
    text = "\n".join([f"{c_text.wrapped(f'KERNEL void {name}(', parameters)}) {{", *indented(body), "}", ""])
    return CKernel(name=name, source=text, workspaces=(), spreads=True)


class _Writer:
    """Writes one batch."""

    def __init__(self, layer: Attention, core: VectorCore) -> None:
        self._layer = layer
        self._core = core
        self._rows = 8 if core.registers >= 32 else 4
        self._block = self._choose_block()
        self._several = layer.keys > self._block
        self._scale = float_literal(int(np.float32(layer.scale).view(np.int32)))

    def _choose_block(self) -> int:
        """Keys whose panel, with their values, takes half of the level 1 cache."""
        step = VECTORS * self._core.width
        numbers = self._core.l1_bytes // 2 // 4 // (self._layer.depth + self._layer.outputs)
        block = min(max(numbers // step * step, LEAST_KEYS), MOST_KEYS)
        return min(block, -(-self._layer.keys // step) * step)

    def batch(self) -> list[str]:
        """Block after block of keys."""
        layer = self._layer
        lines = [
            *c_vector_math.kept("exp", self._core.width),
            f"const float *const queries = {self._start('q', layer.query)};",
            f"const float *const keys = {self._start('k', layer.key)};",
            f"const float *const values = {self._start('v', layer.value)};",
            f"float *const results = {self._start('y', layer.result)};",
        ]
        if layer.mask is not None:
            lines.append(f"const float *const masks = {self._start('m', layer.mask)};")
        if self._several:
            lines += [f"float mosts[{layer.rows}], totals[{layer.rows}];"]
            lines += self._each_row([f"mosts[row] = {NO_KEY};", "totals[row] = 0.0f;"], "splat", "0.0f")
        full, rest = divmod(layer.keys, self._block)
        lines += loop("block", full, self._keys("block" if full > 1 else "", 0, self._block))
        if rest:
            lines += ["{", *indented(self._keys("", full * self._block, rest)), "}"]
        if self._several:
            factor = f"const {self._core.vec} factor = {self._core.call('splat', '1.0f / totals[row]')};"
            lines += self._each_row([factor], "multiply", self._core.call("load", "to + i"), "factor")
        return lines

    def _start(self, base: str, operand: Operand) -> str:
        steps = [(f"batch{axis}", step) for axis, step in enumerate(operand.batches) if self._layer.batches[axis] > 1]
        return offset(terms(base, *steps), operand.start)

    def _each_row(self, head: list[str], function: str, *arguments: str) -> list[str]:
        """Write something to every vector of every result."""
        core, layer = self._core, self._layer
        value = core.call(function, *arguments)
        return [
            f"for (uint32_t row = 0; row < {layer.rows}u; ++row) {{",
            *indented(head),
            f"  float *const to = results + row * {layer.result.row}u;",
            f"  for (uint32_t i = 0; i < {layer.outputs}u; i += {core.width}u) {{",
            f"    {core.call('store', 'to + i', value)};",
            "  }",
            "}",
        ]

    def _keys(self, index: str, first: int, keys: int) -> list[str]:
        """Pack a block of keys, and take it to all queries."""
        layer, step = self._layer, VECTORS * self._core.width
        padded = -(-keys // step) * step
        row, value_row = layer.key.row, layer.value.row
        own = offset(terms("keys", (index, self._block * row)), first * row)
        worth = offset(terms("values", (index, self._block * value_row)), first * value_row)
        hidden = offset(terms("masks", (index, self._block)), first)
        lines = [
            f"const float *const own = {own};",
            f"const float *const worth = {worth};",
            f"float panel[{layer.depth * padded}], scores[{self._rows * padded}], factors[{self._rows}];",
            *([] if layer.mask is None else [f"const float *const hidden = {hidden};"]),
            f"pack_columns(panel, own, {row}u, {keys}u, {layer.depth}u, {padded}u);",
        ]
        full, rest = divmod(layer.rows, self._rows)
        lines += loop("tile", full, self._tile("tile" if full > 1 else "", 0, self._rows, keys, padded))
        if rest:
            lines += ["{", *indented(self._tile("", full * self._rows, rest, keys, padded)), "}"]
        return lines

    def _tile(self, index: str, first: int, rows: int, keys: int, padded: int) -> list[str]:
        """Some queries and a block of keys."""
        layer = self._layer
        query = offset(terms("queries", (index, self._rows * layer.query.row)), first * layer.query.row)
        result = offset(terms("results", (index, self._rows * layer.result.row)), first * layer.result.row)
        place = offset(terms("0", (index, self._rows)), first)
        return [
            f"const float *const x = {query};",
            f"float *const to = {result};",
            *self._scores(rows, padded),
            f"for (uint32_t row = 0; row < {rows}u; ++row) {{",
            *indented(self._softmax(keys, padded, f"{place} + row")),
            "}",
            *self._weigh(rows, keys, padded),
        ]

    def _scores(self, rows: int, padded: int) -> list[str]:
        """Queries times packed keys, some vectors of keys at a time."""
        core, layer = self._core, self._layer
        places = [f"panel + n * {padded}u + i + {v * core.width}" for v in range(VECTORS)]
        factors = [f"x + {r * layer.query.row} + n" for r in range(rows)]
        lines = [f"{core.vec} sum{r}_{v} = {{0}};" for r in range(rows) for v in range(VECTORS)]
        lines += self._products("n", layer.depth, factors, places, str(padded))
        for r in range(rows):
            for v in range(VECTORS):
                lines.append(f"{core.call('store', f'scores + {r * padded + v * core.width} + i', f'sum{r}_{v}')};")
        return [f"for (uint32_t i = 0; i < {padded}u; i += {VECTORS * core.width}u) {{", *indented(lines), "}"]

    def _products(self, index: str, count: int, factors: list[str], places: list[str], step: str) -> list[str]:
        """Add to the sums the products of numbers (one address a row) with vectors (one address each), for all counts.

        The vectors of the next count are `step` floats further on.
        """
        core = self._core
        together = LANES if core.by_lane else 1
        whole = count // together * together
        lines = [f"for (uint32_t {index} = 0; {index} < {whole}u; {index} += {together}u) {{"]
        body = [f"const vec4 x{r} = load_vec4({factor});" for r, factor in enumerate(factors)] if core.by_lane else []
        for lane in range(together):
            for v, place in enumerate(places):
                at = f"{place} + {lane} * {step}" if lane else place
                body.append(f"const {core.vec} w{lane}_{v} = {core.call('load', at)};")
            for r, factor in enumerate(factors):
                if not core.by_lane:
                    body.append(f"const {core.vec} x{r} = {core.call('splat', f'*({factor})')};")
                for v in range(len(places)):
                    body.append(self._accumulated(f"sum{r}_{v}", f"w{lane}_{v}", f"x{r}", lane))
        lines += [*indented(body), "}"]
        for n in range(whole, count):
            body = [f"const uint32_t {index} = {n};"]
            body += [f"const {core.vec} w{v} = {core.call('load', place)};" for v, place in enumerate(places)]
            for r, factor in enumerate(factors):
                value = core.call("splat", f"*({factor})")
                body += [core.accumulate(f"sum{r}_{v}", f"w{v}", value) for v in range(len(places))]
            lines += ["{", *indented(body), "}"]
        return lines

    def _accumulated(self, total: str, vector: str, factors: str, lane: int) -> str:
        if self._core.by_lane:
            return f"{total} = fused_lane_vec4({total}, {vector}, {factors}, {lane});"
        return self._core.accumulate(total, vector, factors)

    def _softmax(self, keys: int, padded: int, place: str) -> list[str]:
        """Exponentials of a row of scores in their place, and what the results are multiplied with."""
        core = self._core
        vec, width = core.vec, core.width
        is_masked = self._layer.mask is not None
        scale = "1.0f" if is_masked else self._scale
        each = f"for (uint32_t i = 0; i < {padded}u; i += {VECTORS * width}u) {{"
        places = [f"line + i + {v * width}" for v in range(VECTORS)]
        lines = [f"float *const line = scores + row * {padded}u;"]
        lines += self._masked(keys, place) if is_masked else []
        if keys < padded:
            lines += [f"for (uint32_t i = {keys}; i < {padded}u; ++i) {{", f"  line[i] = {NO_KEY};", "}"]
        lines += [f"{vec} larger{v} = {core.call('load', 'line')};" for v in range(VECTORS)]
        larger = [
            f"larger{v} = {core.call('limit_max', f'larger{v}', core.call('load', place))};"
            for v, place in enumerate(places)
        ]
        lines += [each, *indented(larger), "}"]
        lines += [
            f"const {vec} larger = {core.call('limit_max', 'larger0', 'larger1')};",
            "float most = larger[0];",
            f"for (uint32_t lane = 1; lane < {width}u; ++lane) {{",
            "  most = max_float(most, larger[lane]);",
            "}",
        ]
        if self._several:
            lines += [f"const float before = mosts[{place}];", "most = max_float(most, before);"]
        elif is_masked:  # a row that is masked with infinities
            lines += [f"most = max_float(most, {NO_KEY});"]
        lines += [
            f"const {vec} below = {core.call('splat', f'-(most * {scale})')}, by = {core.call('splat', scale)};",
            f"{vec} sum0 = {{0}}, sum1 = {{0}};",
            each,
        ]
        for v, at in enumerate(places):
            power = c_vector_math.call("exp", width, f"away{v}", fused=core.fused)
            lines += [
                f"  {vec} away{v} = below;",
                f"  {core.accumulate(f'away{v}', core.call('load', at), 'by')}",
                f"  const {vec} power{v} = {power};",
                f"  {core.call('store', at, f'power{v}')};",
                f"  sum{v} = {core.call('add', f'sum{v}', f'power{v}')};",
            ]
        lines += [
            "}",
            f"const {vec} sum = {core.call('add', 'sum0', 'sum1')};",
            "float total = sum[0];",
            f"for (uint32_t lane = 1; lane < {width}u; ++lane) {{",
            "  total = total + sum[lane];",
            "}",
        ]
        if not self._several:
            return [*lines, "factors[row] = 1.0f / total;"]
        faded = c_vector_math.call("exp", width, core.call("splat", f"(before - most) * {scale}"), fused=core.fused)
        return [
            *lines,
            f"const {vec} fade = {faded};",
            "factors[row] = fade[0];",
            f"mosts[{place}] = most;",
            f"totals[{place}] = totals[{place}] * fade[0] + total;",
        ]

    def _masked(self, keys: int, place: str) -> list[str]:
        """Scale a row of scores, and add the mask."""
        core, mask = self._core, self._layer.mask
        whole = keys // core.width * core.width
        add = [
            core.accumulate("score", core.call("load", "line + i"), core.call("splat", self._scale)),
            f"{core.call('store', 'line + i', 'score')};",
        ]
        address = f"hidden + ({place}) * {mask.row}u" if mask is not None and mask.row else "hidden"
        lines = [f"const float *const mask = {address};"]
        if whole:
            first = f"{core.vec} score = {core.call('load', 'mask + i')};"
            lines += [f"for (uint32_t i = 0; i < {whole}u; i += {core.width}u) {{", *indented([first, *add]), "}"]
        if keys > whole:
            some = core.call("load_some", "mask + i", f"{keys - whole}u")
            lines += ["{", *indented([f"const uint32_t i = {whole};", f"{core.vec} score = {some};", *add]), "}"]
        return lines

    def _weigh(self, rows: int, keys: int, padded: int) -> list[str]:
        """Exponentials times values, some vectors of results at a time."""
        vectors, lines = self._layer.outputs // self._core.width, []
        whole = vectors // VECTORS
        if whole:
            step = VECTORS * self._core.width
            lines += [f"for (uint32_t i = 0; i < {whole * step}u; i += {step}u) {{"]
            lines += [*indented(self._results(rows, keys, padded, VECTORS)), "}"]
        if vectors % VECTORS:
            body = [f"const uint32_t i = {whole * VECTORS * self._core.width};"]
            lines += ["{", *indented([*body, *self._results(rows, keys, padded, 1)]), "}"]
        return lines

    def _results(self, rows: int, keys: int, padded: int, vectors: int) -> list[str]:
        core, layer = self._core, self._layer
        targets = {
            (r, v): f"to + {r * layer.result.row + v * core.width} + i" for r in range(rows) for v in range(vectors)
        }
        splats = [core.call("splat", f"factors[{r}]") for r in range(rows)]
        lines = []
        for (r, v), target in targets.items():
            begin = core.call("multiply", core.call("load", target), splats[r]) if self._several else "{0}"
            lines.append(f"{core.vec} sum{r}_{v} = {begin};")
        places = [f"worth + n * {layer.value.row}u + i + {v * core.width}" for v in range(vectors)]
        factors = [f"scores + {r * padded} + n" for r in range(rows)]
        lines += self._products("n", keys, factors, places, str(layer.value.row))
        for (r, v), target in targets.items():
            result = f"sum{r}_{v}" if self._several else core.call("multiply", f"sum{r}_{v}", splats[r])
            lines.append(f"{core.call('store', target, result)};")
        return lines
