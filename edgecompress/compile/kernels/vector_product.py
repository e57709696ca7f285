"""Convolutions and matrix products over vectors of output channels, from images with channels last.

Weights are packed beforehand: for each block of output channels, in the order in which its sums read them. What lies
around a padded image is written with the image into a workspace first: that is one copy, for no test in the sums.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from edgecompress.compile import c_text
from edgecompress.compile.kernels import half_sums, vector_border
from edgecompress.compile.kernels.vector_core import PLAIN, Finish, Halves, VectorCore, indented, loop, offset, terms
from edgecompress.compile.kernels.vector_sums import Depth, Steps, Tile, choose_tile, tile_text, unrolled
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import CKernel
from edgecompress.core.values import Array

_MOST_AHEAD = 16
"""Floats: the cache line that one prefetch brings."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """A convolution, or a matrix product as one of 1x1 over a row of pixels.

    `outputs` are output channels of all `groups`; `batch` images lie one after the other. `planes`: the image has
    channels first. `computed`: the weights are a matrix (inputs, outputs) for each of the batch that the network
    computes, read where it lies; outputs are whole vectors then. `finish` says what follows a sum. `halves`: products
    are computed in half precision.
    """

    window: Window
    outputs: int
    groups: int = 1
    batch: int = 1
    planes: bool = False
    computed: bool = False
    has_bias: bool = True
    finish: Finish = PLAIN
    halves: Halves | None = None

    @property
    def depth(self) -> Depth:
        """What one result sums up."""
        window = self.window
        rows = (window.kernel[0], window.dilation[0] * window.row_elements)
        inputs = window.channels // self.groups
        if self.groups == 1 and window.dilation[1] == 1:
            return Depth(taps=(rows,), length=window.kernel[1] * inputs)
        return Depth(taps=(rows, (window.kernel[1], window.dilation[1] * window.channels)), length=inputs)

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.batch * self.window.output_height * self.window.output_width * self.outputs * self.depth.products


def plan(product: Product, core: VectorCore) -> tuple[Product, Tile]:
    """Bring a product to its shortest form, and choose its tile."""
    product = _as_long_rows(product)
    group_outputs = product.outputs // product.groups
    window = product.window
    if product.halves:
        return product, half_sums.choose_tile(
            core.of_halves(), window.output_width, group_outputs, product.depth, product.halves.span
        )
    return product, choose_tile(core, window.output_width, group_outputs, product.depth, window.output_height)


def _as_long_rows(product: Product) -> Product:
    """See the pixels of all images as one row where each result sees one pixel."""
    if not product.window.is_pointwise or (product.batch > 1 and (product.planes or product.computed)):
        return product
    flat = replace(product.window.flattened(), width=product.window.height * product.window.width * product.batch)
    return replace(product, window=flat, batch=1)


def pack(weights: Array, product: Product, core: VectorCore) -> Array:
    """Pack weights (outputs, inputs of a group, rows, columns) as the kernel reads them: (blocks, depth, channels).

    The last block of a group is as wide as it has vectors; what is left of its last vector is zeros.
    """
    _, tile = plan(product, core)
    core = core.of_halves() if product.halves else core
    group_outputs = product.outputs // product.groups
    weights = weights.astype(np.float16 if product.halves else np.float32)
    by_depth = np.moveaxis(weights, 1, -1).reshape(product.groups, group_outputs, -1)
    missing = -group_outputs % core.width
    by_depth = np.pad(by_depth, ((0, 0), (0, missing), (0, 0)))
    step = tile.vectors * core.width
    blocks = [
        np.ascontiguousarray(group[start : start + step].T).ravel()
        for group in by_depth
        for start in range(0, group_outputs + missing, step)
    ]
    return np.concatenate(blocks)


def pack_bias(bias: Array, product: Product, core: VectorCore) -> Array:
    """Fill each group's biases up to whole vectors."""
    by_group = bias.reshape(product.groups, -1)
    width = core.of_halves().width if product.halves else core.width
    return np.pad(by_group, ((0, 0), (0, -by_group.shape[1] % width))).ravel().astype(np.float32)


def kernel(name: str, product: Product, core: VectorCore) -> CKernel:
    """Write the kernel: (x, weights, [bias], [other], y, [image with its border])."""
    product, tile = plan(product, core)
    core = core.of_halves() if product.halves else core
    window, halves = product.window, product.halves
    border = vector_border.Border(window=window, planes=product.planes, halves=halves)
    image, result = (c_text.TYPES[each] for each in types(halves))
    parameters = [f"const {image} *restrict x", f"const {core.number} *restrict w"]
    parameters += ["const float *restrict c"] if product.has_bias else []
    parameters += ["const float *restrict z"] if product.finish.adds else []
    parameters += [f"{result} *restrict y", *([f"{core.number} *restrict image"] if border.copies else [])]
    body = [f"const {core.number} *const in = {'image' if border.copies else 'x'};", *_rows(product, tile, core)]
    body = [*border.text(), *body]
    if product.batch > 1:
        body += [f"x += {window.height * window.width * window.channels};"]
        results = window.output_height * window.output_width * product.outputs
        body += [f"y += {results};", *([f"z += {results};"] if product.finish.adds else [])]
        body += [f"w += {product.depth.products * product.outputs};"] if product.computed else []
        body = loop("n", product.batch, body)
    text = "\n".join([f"{c_text.wrapped(f'KERNEL void {name}(', parameters)}) {{", *indented(body), "}", ""])
    return CKernel(name=name, source=text, workspaces=(border.bytes,) if border.copies else (), spreads=True)


def types(halves: Halves | None) -> tuple[str, str]:
    """The types of a layer's image and of its result."""
    if halves is None:
        return "float32", "float32"
    return "float16" if halves.reads else "float32", "float16" if halves.writes else "float32"


def _rows(product: Product, tile: Tile, core: VectorCore) -> list[str]:
    """The loops over groups, blocks of channels, rows and tiles of pixels.

    Weights that fit half of the level 1 cache are read anew for each tile; otherwise each block of them for all tiles.
    """
    group_outputs = product.outputs // product.groups
    columns = _cut(product.window.output_width, tile.pixels)
    widths = _widths(group_outputs, tile, core)
    bands = _cut(product.window.output_height, tile.rows)
    body: list[str] = []

    def tiles(band: _Cut, column: _Cut, width: _Cut) -> list[str]:
        return _tile(product, core, tile, band, column, width)

    if group_outputs * product.depth.products * core.number_bytes <= core.l1_bytes // 2:
        for band in bands:
            row: list[str] = []
            for column in columns:
                blocks = (loop("block", width.count, tiles(band, column, width)) for width in widths)
                row += loop("tile", column.count, [*chain.from_iterable(blocks)])
            body += loop("row", band.count, row)
    else:
        for width in widths:
            block: list[str] = []
            for band in bands:
                row = [*chain.from_iterable(loop("tile", each.count, tiles(band, each, width)) for each in columns)]
                block += loop("row", band.count, row)
            body += loop("block", width.count, block)
    return loop("group", product.groups, body)


@dataclass(frozen=True, kw_only=True)
class _Cut:
    """Neighbouring parts of one size: `count` of `size` from `first`. Of the last one of all only `last` is there."""

    count: int
    size: int
    first: int
    last: int = 0


def _cut(whole: int, size: int) -> list[_Cut]:
    """Cut into parts of one size, and what is left."""
    full, rest = divmod(whole, size)
    cuts = [_Cut(count=full, size=size, first=0), _Cut(count=1, size=rest, first=full * size)]
    return [cut for cut in cuts if cut.count and cut.size]


def _widths(outputs: int, tile: Tile, core: VectorCore) -> list[_Cut]:
    """Cut a group's channels, in vectors; `last` is how many channels the last vector has, or 0 for all."""
    vectors, partial = -(-outputs // core.width), outputs % core.width
    if not partial:
        return _cut(vectors, tile.vectors)
    full = (vectors - 1) // tile.vectors  # the last block stores less than the others
    first = full * tile.vectors
    whole = [_Cut(count=full, size=tile.vectors, first=0)] if full else []
    return [*whole, _Cut(count=1, size=vectors - first, first=first, last=partial)]


def _ahead(product: Product, core: VectorCore, tile: Tile) -> int:
    """How many floats of the next block's weights each turn of a whole tile's innermost loop prefetches.

    All whole tiles of a block together prefetch the next block, so that its first tile need not wait for memory. None
    where weights stay in the level 1 cache, or where a turn would have to bring more than one line.
    """
    window, products = product.window, product.depth.products
    block = tile.vectors * core.width * products
    if not core.is_wide or product.computed or product.outputs * products * 4 <= core.l1_bytes:
        return 0
    tiles = (window.output_height // tile.rows) * (window.output_width // tile.pixels)
    share = -(-block // (tiles * _turns(product, tile)))
    return share if share <= _MOST_AHEAD else 0


def _turns(product: Product, tile: Tile) -> int:
    """Turns of a tile's innermost loop, over all taps."""
    return product.depth.products // unrolled(tile, product.depth.length)


def _tile(product: Product, core: VectorCore, whole: Tile, band: _Cut, column: _Cut, width: _Cut) -> list[str]:
    """Where the operands of a tile, or of what is left of one, lie; and the tile."""
    window, products, outputs = product.window, product.depth.products, product.outputs
    group_outputs = outputs // product.groups
    padded_outputs = -(-group_outputs // core.width) * core.width
    step = window.stride[1] * window.channels
    block_channels = width.size * core.width
    first = width.first * core.width
    counts = {"row": band.count, "tile": column.count, "block": width.count, "group": product.groups}

    def at(base: str, constant: int, **steps: int) -> str:
        used = [(name, distance) for name, distance in steps.items() if counts[name] > 1]
        return offset(terms(base, *used), constant)

    seen_row, result_row = window.stride[0] * window.row_elements, window.output_width * outputs
    inputs = at(
        "in",
        band.first * seen_row + column.first * step,
        row=band.size * seen_row,
        tile=column.size * step,
        group=window.channels // product.groups,
    )
    place = {"row": band.size * result_row, "tile": column.size * outputs}
    place |= {"block": block_channels, "group": group_outputs}
    result = band.first * result_row + column.first * outputs + first
    weights = {"block": block_channels * products, "group": padded_outputs * products}
    first_weights = first * products
    if product.computed:
        weights, first_weights = {"block": block_channels}, first
    lines = [
        f"const {core.number} *const from = {inputs};",
        f"const {core.number} *const weights = {at('w', first_weights, **weights)};",
    ]
    if product.has_bias:
        lines += [f"const float *const bias = {at('c', first, block=block_channels, group=padded_outputs)};"]
    if product.finish.adds:
        lines += [f"const float *const other = {at('z', result, **place)};"]
    lines += [f"{c_text.TYPES[types(product.halves)[1]]} *const to = {at('y', result, **place)};"]
    tile = Tile(rows=band.size, pixels=column.size, vectors=width.size)
    ahead = _ahead(product, core, tile) if tile == whole else 0
    if ahead:
        share = _turns(product, tile) * ahead
        following = at("weights", block_channels * products, row=column.count * share, tile=share)
        lines += [f"const float *ahead = {following};"]
    steps = Steps(
        pixel=step,
        weights=outputs if product.computed else block_channels,
        result=outputs,
        row=seen_row,
        result_row=result_row,
        ahead=ahead,
    )
    if product.halves:
        end = half_sums.End(finish=product.finish, last=width.last, has_bias=product.has_bias, halves=product.halves)
        return lines + half_sums.tile_text(core, tile, product.depth, steps, end)
    return lines + tile_text(
        core, tile, product.depth, steps, product.finish, last=width.last, has_bias=product.has_bias
    )
