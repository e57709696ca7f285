"""Convolutions of 3x3 taps by Winograd's filters: fewer products, between two transforms of elementwise sums.

A tile of m + 2 by m + 2 pixels gives m x m results. Its pixels are brought to (m + 2)^2 points, channel by channel;
at each point the tiles are the rows of a matrix product with the weights of that point; what that gives is brought
back to pixels, and finished. Images have channels last, so that a vector holds channels of one pixel, and the
transforms are sums of vectors. All tiles of a band of rows pass one step before the next one begins: a band is as
large as the level 2 cache holds, or whole where weights that do not fit there would be read again for each.

What a row of the work space holds lies by tiles, then points, then channels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from edgecompress.compile import c_text, c_winograd, threads
from edgecompress.compile.kernels import vector_border
from edgecompress.compile.kernels.vector_core import PLAIN, VectorCore, indented, loop, offset, terms
from edgecompress.compile.kernels.vector_product import Product
from edgecompress.compile.kernels.vector_sums import Depth, Steps, Tile, choose_tile, tile_text
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import CKernel
from edgecompress.compile.winograd import FILTERS, TAPS, Filter
from edgecompress.core.values import Array

_SKEW = 16
_CONFLICTING_FLOATS = 256
"""Channels of so many bytes, or a multiple, would lie at places that share a few sets of a level 1 cache."""


@dataclass(frozen=True, kw_only=True)
class Winograd:
    """A convolution of 3x3 taps, stride 1, one group and one image; `results` is m, the rows and columns of a tile."""

    product: Product
    results: int

    @property
    def filter(self) -> Filter:
        """F(m, 3)."""
        return FILTERS[self.results]

    @property
    def points(self) -> int:
        """Products for each tile, input and output channel."""
        return self.filter.size**2

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return -(-self.product.window.output_height // self.results)

    @property
    def columns(self) -> int:
        """Columns of tiles."""
        return -(-self.product.window.output_width // self.results)

    @property
    def window(self) -> Window:
        """The window with the zeros that the last tiles read beyond the image."""
        window = self.product.window
        top, left, bottom, right = window.padding
        below = self.rows * self.results - window.output_height
        beside = self.columns * self.results - window.output_width
        return replace(window, padding=(top, left, bottom + below, right + beside))


def fits(product: Product) -> bool:
    """True for a convolution that Winograd's filters can do."""
    window = product.window
    plain = window.kernel == (TAPS, TAPS) and window.stride == (1, 1) and window.dilation == (1, 1)
    return plain and product.groups == product.batch == 1 and not product.computed


@dataclass(frozen=True, kw_only=True)
class _Band:
    """`count` neighbouring bands of `rows` rows of tiles, from row `first`; the last row has `last` rows of results."""

    count: int
    rows: int
    first: int
    last: int


class Plan:
    """How a layer is cut into bands, and where its work space holds what."""

    def __init__(self, layer: Winograd, core: VectorCore) -> None:
        self.layer = layer
        self.core = core
        self.channels = layer.product.window.channels
        self.outputs = layer.product.outputs
        self.input_step = _step(self.channels, core)
        self.output_step = _step(self.outputs, core)
        self.band_rows = _band_rows(
            layer, core, 4 * layer.points * layer.columns * (self.input_step + self.output_step)
        )
        self.depth = Depth(taps=(), length=self.channels)

    @cached_property
    def tile(self) -> Tile:
        """The register tile of the products: neighbouring tiles of the image, and vectors of output channels."""
        return choose_tile(self.core, self.band_rows * self.layer.columns, self.outputs, self.depth)

    @property
    def workspaces(self) -> tuple[int, int]:
        """Bytes of a band at its points, before and after the products."""
        tiles = 4 * self.band_rows * self.layer.columns * self.layer.points
        return tiles * self.input_step, tiles * self.output_step

    @property
    def bands(self) -> list[_Band]:
        """The bands; one that is shorter or not whole is the last."""
        layer, size = self.layer, self.band_rows
        rest = layer.product.window.output_height % layer.results or layer.results
        whole = (layer.rows - (rest != layer.results)) // size
        left = layer.rows - whole * size
        bands = [_Band(count=whole, rows=size, first=0, last=layer.results)] if whole else []
        return [*bands, *([_Band(count=1, rows=left, first=whole * size, last=rest)] if left else [])]

    @property
    def vectors(self) -> int:
        """Vectors of output channels."""
        return -(-self.outputs // self.core.width)


def weight_bytes(product: Product, results: int) -> int:
    """Bytes of the weights at the points."""
    return 4 * (results + TAPS - 1) ** 2 * product.window.channels * product.outputs


def _step(channels: int, core: VectorCore) -> int:
    """Floats from one point of a tile to the next."""
    whole = -(-channels // core.width) * core.width
    return whole + (_SKEW if whole % _CONFLICTING_FLOATS == 0 else 0)


def _band_rows(layer: Winograd, core: VectorCore, row_bytes: int) -> int:
    """Choose the rows of a band so that the fewest bytes come from beyond the level 2 cache.

    Of bands that are equal in this it takes the smallest that gives threads rows enough, else the largest.
    """
    weights = weight_bytes(layer.product, layer.results)
    room = core.l2_bytes // 2

    def cost(rows: int) -> tuple[int, bool, int]:
        bands = -(-layer.rows // rows)
        moved = 2 * layer.rows * row_bytes if rows * row_bytes > room else 0
        traffic = moved + (bands * weights if weights > room else 0)
        return traffic, rows < threads.FEW_TURNS, -rows if rows < threads.FEW_TURNS else rows

    return min(range(1, layer.rows + 1), key=cost)


def pack(weights: Array, layer: Winograd, core: VectorCore) -> Array:
    """Bring weights (outputs, inputs, 3, 3) to the points and put them in the order in which the products read them.

    The factors of the transforms come first where a core takes them from registers.
    """
    plan = Plan(layer, core)
    by_point = layer.filter.transform_weights(weights).reshape(layer.points, plan.channels, plan.outputs)
    by_point = np.pad(by_point, ((0, 0), (0, 0), (0, -plan.outputs % core.width)))
    step = plan.tile.vectors * core.width
    blocks = [
        point[:, start : start + step].ravel()
        for point in by_point
        for start in range(0, plan.vectors * core.width, step)
    ]
    factors = [c_winograd.factors(side, layer.results) for side in ("input", "output")] if core.by_lane else []
    return np.concatenate([*factors, *blocks]).astype(np.float32)


def pack_bias(bias: Array, core: VectorCore) -> Array:
    """Fill biases up to whole vectors."""
    return np.pad(bias.ravel(), (0, -bias.size % core.width)).astype(np.float32)


def kernel(name: str, layer: Winograd, core: VectorCore) -> CKernel:
    """Write the kernel: (x, weights, [bias], [other], y, [image with its border], tiles, sums)."""
    plan, product = Plan(layer, core), layer.product
    border = vector_border.Border(window=layer.window, planes=product.planes)
    parameters = ["const float *restrict x", "const float *restrict w"]
    parameters += ["const float *restrict c"] if product.has_bias else []
    parameters += ["const float *restrict z"] if product.finish.adds else []
    parameters += ["float *restrict y", *(["float *restrict image"] if border.copies else [])]
    parameters += ["float *restrict tiles", "float *restrict sums"]
    body = [*border.text(), f"const float *const in = {'image' if border.copies else 'x'};"]
    for band in plan.bands:
        body += _in_turn("band", band.count, _band(plan, band))
    text = "\n".join([f"{c_text.wrapped(f'KERNEL void {name}(', parameters)}) {{", *indented(body), "}", ""])
    copies = (border.bytes,) if border.copies else ()
    return CKernel(name=name, source=text, workspaces=(*copies, *plan.workspaces), spreads=True)


def _in_turn(variable: str, count: int, body: list[str]) -> list[str]:
    """A loop whose turns share a work space: threads.py leaves it alone and spreads those inside."""
    if count == 1:
        return body
    return [f"for (uint32_t {variable} = 0; {variable} != {count}u; ++{variable}) {{", *indented(body), "}"]


def _band(plan: Plan, band: _Band) -> list[str]:
    return [*_inputs(plan, band), *_products(plan, band), *_outputs(plan, band)]


def _at(base: str, constant: int, counts: dict[str, int], **steps: int) -> str:
    """An address; indices of loops that run once are left out."""
    used = [(index, distance) for index, distance in steps.items() if counts.get(index, 1) > 1]
    return offset(terms(base, *used), constant)


def _each_vector(channels: int, width: int, body: dict[int, list[str]]) -> list[str]:
    """The loop over vectors of channels: `body[0]` for whole ones, the other one for the last when it is not whole."""
    whole, rest = divmod(channels, width)
    return [*loop("part", whole, body[0]), *(["{", *indented(body[rest]), "}"] if rest else [])]


def _inputs(plan: Plan, band: _Band) -> list[str]:
    """Bring the tiles of a band to the points."""
    layer, core = plan.layer, plan.core
    window, size = layer.window, layer.filter.size
    counts = {"band": band.count, "row": band.rows, "tile": layer.columns, "part": plan.channels // core.width}
    row_step = layer.results * window.row_elements
    tile_step = layer.points * plan.input_step

    def transform(some: int) -> list[str]:
        last = plan.channels - some if some else 0
        part = {} if some else {"part": core.width}
        place = {"band": band.rows * row_step, "row": row_step, "tile": layer.results * window.channels, **part}
        target = {"row": layer.columns * tile_step, "tile": tile_step, **part}
        lines = [
            f"const float *const from = {_at('in', band.first * row_step + last, counts, **place)};",
            f"float *const to = {_at('tiles', last, counts, **target)};",
            f"{core.vec} d[{layer.points}];",
        ]
        for column in range(size):
            for row in range(size):
                at = offset("from", row * window.row_elements + column * window.channels)
                value = core.call("load_some", at, f"{some}u") if some else core.call("load", at)
                lines.append(f"d[{row * size + column}] = {value};")
            lines.append(_line(plan, "input", column, size))
        for row in range(size):
            lines.append(_line(plan, "input", row * size, 1))
            for point in range(row * size, row * size + size):
                lines.append(f"{core.call('store', offset('to', point * plan.input_step), f'd[{point}]')};")
        return lines

    rest = plan.channels % core.width
    body = _each_vector(plan.channels, core.width, {some: transform(some) for some in {0, rest}})
    tiles = loop("tile", layer.columns, [*_factors(plan, "input"), *body])
    return loop("row", band.rows, tiles)


def _factors(plan: Plan, side: c_winograd.Side) -> list[str]:
    """Load the factors of a transform where it finds them in registers."""
    if not plan.core.by_lane:
        return []
    before = len(c_winograd.factors("input", plan.layer.results)) if side == "output" else 0
    count = len(c_winograd.factors(side, plan.layer.results))
    places = range(before, before + count, plan.core.width)
    loads = ", ".join(plan.core.call("load", offset("w", place)) for place in places)
    return [f"const {plan.core.vec} k[{len(places)}] = {{{loads}}};"] if count else []


def _line(plan: Plan, side: c_winograd.Side, first: int, step: int) -> str:
    """Transform a line of a tile in its place."""
    core, results = plan.core, plan.layer.results
    kind: c_winograd.Kind = "lanes" if core.by_lane else "fused" if core.fused else "separate"
    if kind == "lanes" and not c_winograd.factors(side, results):
        kind = "fused"
    more = ", k" if kind == "lanes" else ""
    return f"{c_winograd.name(side, results, core.width, kind)}({offset('d', first)}, {step}u{more});"


def _products(plan: Plan, band: _Band) -> list[str]:
    """Multiply the tiles of a band with the weights, point by point."""
    layer, core, tile = plan.layer, plan.core, plan.tile
    before = sum(len(c_winograd.factors(side, layer.results)) for side in ("input", "output")) if core.by_lane else 0
    whole, left = divmod(band.rows * layer.columns, tile.pixels)
    blocks, narrow = divmod(plan.vectors, tile.vectors)
    groups = [(whole, tile.pixels, 0), (1, left, whole * tile.pixels)]
    widths = [(blocks, tile.vectors, 0), (1, narrow, blocks * tile.vectors)]
    point_weights = plan.vectors * core.width * plan.channels

    def products(group: tuple[int, int, int], width: tuple[int, int, int]) -> list[str]:
        counts = {"point": layer.points, "group": group[0], "block": width[0]}
        channels, first = width[1] * core.width, width[2] * core.width
        tile_step = layer.points * plan.input_step
        sums_step = layer.points * plan.output_step
        steps = {"point": plan.input_step, "group": group[1] * tile_step}
        weights = {"point": point_weights, "block": channels * plan.channels}
        place = {"point": plan.output_step, "group": group[1] * sums_step, "block": channels}
        return [
            f"const float *const from = {_at('tiles', group[2] * tile_step, counts, **steps)};",
            f"const float *const weights = {_at('w', before + first * plan.channels, counts, **weights)};",
            f"float *const to = {_at('sums', group[2] * sums_step + first, counts, **place)};",
            *tile_text(
                core,
                Tile(pixels=group[1], vectors=width[1]),
                plan.depth,
                Steps(pixel=tile_step, weights=channels, result=sums_step),
                PLAIN,
                last=0,
                has_bias=False,
            ),
        ]

    groups = [group for group in groups if group[0] and group[1]]
    widths = [width for width in widths if width[0] and width[1]]
    body: list[str] = []
    if point_weights * 4 <= core.l1_bytes // 2:
        for group in groups:
            inner = [line for width in widths for line in loop("block", width[0], products(group, width))]
            body += loop("group", group[0], inner)
    else:
        for width in widths:
            inner = [line for group in groups for line in loop("group", group[0], products(group, width))]
            body += loop("block", width[0], inner)
    return loop("point", layer.points, body)


def _outputs(plan: Plan, band: _Band) -> list[str]:
    """Bring the sums of a band back to pixels and finish them."""
    layer = plan.layer
    m = layer.results
    last_columns = layer.product.window.output_width % m
    whole_rows = band.rows - (band.last != m)
    columns = [(layer.columns - (last_columns != 0), m, 0), (1, last_columns, layer.columns - 1)]
    rows = [(whole_rows, m, 0), (1, band.last if whole_rows < band.rows else 0, whole_rows)]
    lines = []
    for row in rows:
        tiles = [
            line
            for column in columns
            if column[0] and column[1] and row[1]
            for line in loop("tile", column[0], _output_tile(plan, band, row, column))
        ]
        lines += loop("row", row[0], tiles) if tiles else []
    return lines


def _output_tile(plan: Plan, band: _Band, row: tuple[int, int, int], column: tuple[int, int, int]) -> list[str]:
    """Bring one tile's sums back to pixels: `row` and `column` are (loop count, results that are there, first tile)."""
    layer, core, product = plan.layer, plan.core, plan.layer.product
    size, m, outputs = layer.filter.size, layer.results, plan.outputs
    image_row = product.window.output_width * outputs
    tile_step = layer.points * plan.output_step
    counts = {"band": band.count, "row": row[0], "tile": column[0], "part": outputs // core.width}
    first_sum = (row[2] * layer.columns + column[2]) * tile_step
    first_result = m * ((band.first + row[2]) * image_row + column[2] * outputs)

    def transform(some: int) -> list[str]:
        last = outputs - some if some else 0
        part = {} if some else {"part": core.width}
        source = {"row": layer.columns * tile_step, "tile": tile_step, **part}
        place = {"band": band.rows * m * image_row, "row": m * image_row, "tile": m * outputs, **part}
        lines = [
            f"const float *const from = {_at('sums', first_sum + last, counts, **source)};",
            f"float *const to = {_at('y', first_result + last, counts, **place)};",
        ]
        if product.finish.adds:
            lines += [f"const float *const other = {_at('z', first_result + last, counts, **place)};"]
        if product.has_bias:
            lines += [f"const {core.vec} bias = {core.call('load', _at('c', last, counts, **part))};"]
        lines += [f"{core.vec} d[{layer.points}];"]
        for x in range(size):
            for y in range(size):
                place_of = offset("from", (y * size + x) * plan.output_step)
                lines.append(f"d[{y * size + x}] = {core.call('load', place_of)};")
            lines.append(_line(plan, "output", x, size))
        for y in range(row[1]):
            lines.append(_line(plan, "output", y * size, 1))
            for x in range(column[1]):
                lines += _finish(plan, f"d[{y * size + x}]", y * image_row + x * outputs, some)
        return lines

    rest = outputs % core.width
    body = _each_vector(outputs, core.width, {some: transform(some) for some in {0, rest}})
    return [*_factors(plan, "output"), *body]


def _finish(plan: Plan, value: str, place: int, some: int) -> list[str]:
    """Finish one vector of results and store it."""
    core, product = plan.core, plan.layer.product
    lines = [f"{value} = {core.call('add', value, 'bias')};"] if product.has_bias else []
    other = offset("other", place)
    added = core.call("load_some", other, f"{some}u") if some else core.call("load", other)
    lines += product.finish.statements(core, value, added)
    target = offset("to", place)
    stored = core.call("store_some", target, value, f"{some}u") if some else core.call("store", target, value)
    return [*lines, f"{stored};"]
