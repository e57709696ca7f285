"""int8 convolutions and matrix products in the tiles of AMX: up to 32 pixels x 32 output channels at a time.

The image stays int8. Pixels of a tile lie equally far apart in it, so where the stride is 1 a tile goes on in the next
row: what it computes between two rows of results is not stored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile import c_text
from edgecompress.compile.kernels import x86_ending, x86_image, x86_tiles_places
from edgecompress.compile.kernels.product import NO_BORDERS, Borders, Kernel, Product
from edgecompress.compile.kernels.vector_core import DEFAULT_L1_BYTES, indented, loop, terms
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.kernels.x86_core import TILES, channel_order
from edgecompress.compile.kernels.x86_ending import Ending
from edgecompress.compile.kernels.x86_tile import Cut
from edgecompress.compile.kernels.x86_tiles_places import PIXELS, Places
from edgecompress.compile.program import CKernel
from edgecompress.compile.threads import FEW_TURNS, over_range

CHANNELS, BYTES = 16, 64
"""What a tile holds at most: sums of a row, numbers of the depth."""
LEAST_PIXELS = 8
"""With fewer results a channel, reading the weights takes the time."""
LEAST_DEPTH = 33
"""Weights of a channel. With fewer most of a tile is empty."""

WRITTEN_ELSEWHERE = 4
"""So many times longer it takes to read what is in another core's cache than what is in none."""

ALONE = Cut(count=1, size=1, first=0)
"""One tile of pixels."""

Spread = Literal["rows", "parts", "channels"]


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """The shape class of a convolution without groups. `window` is flattened."""

    window: Window
    outputs: int
    ending: Ending
    borders: Borders = NO_BORDERS

    @property
    def name(self) -> str:
        """The kernel's name."""
        padding = self.borders.writes.padding if self.borders.writes else ()
        borders = ["_bordered"] * self.borders.reads + ["_to" + "_".join(map(str, padding))] * bool(padding)
        return f"x86_tiles_convolution_{self.window.name()}_o{self.outputs}{self.ending.suffix}{''.join(borders)}"

    @property
    def scalars(self) -> tuple[str, ...]:
        """The int32 parameters behind the buffers."""
        fills = self.window.is_padded and not self.borders.reads
        zeros = (*(("input_zero",) if fills else ()), *(("output_zero",) if self.borders.writes else ()))
        return (*zeros, *self.ending.scalars)

    def scalar_values(self, product: Product) -> list[int]:
        """The parameters for a layer."""
        zeros = {"input_zero": product.input_zero, "output_zero": product.output_zero}
        return [*(zeros[name] for name in self.scalars if name in zeros), *self.ending.scalar_values(product)]

    @property
    def run(self) -> int:
        """Numbers that lie side by side in the image."""
        window = self.window
        return window.channels * (window.kernel[1] if window.dilation[1] == 1 else 1)

    @property
    def taps(self) -> tuple[int, int]:
        """Runs that a result sees: rows, and in a row."""
        return self.window.kernel[0], 1 if self.window.dilation[1] == 1 else self.window.kernel[1]

    @property
    def blocks(self) -> int:
        """Tiles that a run takes."""
        return -(-self.run // BYTES)

    @property
    def block_bytes(self) -> int:
        """Numbers of the depth in a tile."""
        return -(-self.run // (4 * self.blocks)) * 4

    @property
    def depth_bytes(self) -> int:
        """Weights of a channel, the zeros behind each run among them."""
        return self.taps[0] * self.taps[1] * self.blocks * self.block_bytes

    @property
    def weight_bytes(self) -> int:
        """All packed weights."""
        return self.outputs * self.depth_bytes

    @property
    def spread(self) -> Spread:
        """What the outermost loop goes over, which threads take the turns of.

        Weights that fit half of the level 1 cache are read anew for each tile of pixels. Others are read once, by tiles
        of channels and all steps over the pixels for each; or once for a part of the image where there are fewer tiles
        of channels than threads would like: two that write channels of the same pixels wait for each other's cache
        lines. So too where the weights are not much more than the image, for what another core has written costs more
        than what none has.
        """
        window = self.window
        if self.weight_bytes <= DEFAULT_L1_BYTES // 2:
            return "rows"
        tiles = sum(channels.count for channels in self.channel_tiles)
        image = window.height * window.width * window.channels
        few = tiles < FEW_TURNS or self.weight_bytes <= WRITTEN_ELSEWHERE * image
        return "parts" if few and x86_tiles_places.choose(window).steps >= FEW_TURNS else "channels"

    @property
    def places(self) -> Places:
        """Where the tiles of pixels lie."""
        places = x86_tiles_places.choose(self.window)
        is_worth_it = {
            "rows": places.rows % 2 == 0,
            "parts": places.rows >= 2 * FEW_TURNS,
            "channels": True,
        }[self.spread]
        return places.by_two_rows() if is_worth_it else places

    @property
    def copies(self) -> bool:
        """True when the kernel reads a copy of the image: it has a border, or tiles reach beyond its end."""
        sees_more = self.window.is_padded or not self.places.is_exact or self.block_bytes * self.blocks != self.run
        return sees_more and not self.borders.reads

    @property
    def channel_tiles(self) -> list[Cut]:
        """The pairs of tiles of channels; what is not full stands alone."""
        full, rest = divmod(self.outputs, 2 * CHANNELS)
        cuts = [Cut(count=full, size=2, first=0), Cut(count=1, size=-(-rest // CHANNELS), first=2 * full)]
        return [cut for cut in cuts if cut.count and cut.size]

    @property
    def order(self) -> list[int]:
        """The output channel of each word of the tiles' rows."""
        order: list[int] = []
        for cut in self.channel_tiles:
            for number in range(cut.count):
                first = (cut.first + number * cut.size) * CHANNELS
                order += [first + channel for channel in channel_order(CHANNELS, cut.size)]
        return order


def fits(window: Window, weights: NDArray[np.int8], groups: int) -> bool:
    """True for products without groups of some pixels and some depth."""
    results = window.output_height * window.output_width
    return groups == 1 and results >= LEAST_PIXELS and weights[0].size >= LEAST_DEPTH


def choose(product: Product) -> Kernel | None:
    """Take the products that fit."""
    if not fits(product.window, product.weights, product.groups):
        return None
    window = product.window.flattened()
    ending = x86_ending.choose(product)
    shape = Convolution(window=window, outputs=product.outputs, ending=ending, borders=product.borders)
    return Kernel(
        name=shape.name,
        build=lambda: build(shape),
        constants={
            "weights": pack(product.weights, shape),
            "table": x86_ending.table(ending, product, CHANNELS, shape.order),
        },
        scalars=shape.scalar_values(product),
    )


def pack(weights: NDArray[np.int8], shape: Convolution) -> NDArray[np.int8]:
    """Pack weights [output, row, column, input] as (pair of tiles, block of the depth, tile, four, channel, number)."""
    runs = weights.reshape(len(weights), -1, shape.run)
    spare = shape.blocks * shape.block_bytes - shape.run
    runs = np.pad(runs, ((0, max(shape.order) + 1 - len(runs)), (0, 0), (0, spare)))
    fours = runs.reshape(len(runs), -1, shape.block_bytes // 4, 4)[shape.order]
    packed, first = [], 0
    for cut in shape.channel_tiles:
        for _ in range(cut.count):
            pair = fours[first : first + cut.size * CHANNELS]
            tiles = pair.reshape(cut.size, CHANNELS, *pair.shape[1:])
            packed.append(tiles.transpose(2, 0, 3, 1, 4).reshape(-1))
            first += cut.size * CHANNELS
    return np.concatenate(packed)


def image_bytes(window: Window) -> int:
    """Bytes of an image inside its border, and of what tiles reach beyond its end."""
    return x86_image.size(TILES, window, (PIXELS + 1) * window.stride[1] * window.channels + BYTES)


def build(shape: Convolution) -> CKernel:
    """Write the kernel: (x, weights, table, y, scalars, [image])."""
    window = shape.window
    parameters = ["const int8_t *restrict x", "const int8_t *restrict w", "const int32_t *restrict c"]
    parameters += ["int8_t *restrict y", *(f"int32_t {scalar}" for scalar in shape.scalars)]
    body: list[str] = []
    workspaces: tuple[int, ...] = ()
    if shape.copies:
        parameters.append("int8_t *restrict image")
        body += x86_image.text(TILES, window)
        workspaces = (image_bytes(window),)
    if shape.borders.writes:
        body += x86_image.border(TILES, shape.borders.writes, "y", "output_zero")
    body += [f"const int8_t *const in = {'image' if shape.copies else 'x'};"]
    body += _loops(shape)
    text = "\n".join([f"{c_text.wrapped(f'KERNEL void {shape.name}(', parameters)}) {{", *indented(body), "}", ""])
    return CKernel(name=shape.name, source=text, workspaces=workspaces, spreads=True)


def _loops(shape: Convolution) -> list[str]:
    """The loops over rows, tiles of pixels and tiles of channels; each turn, or each range of turns, has its tiles."""
    if shape.spread == "parts":
        return over_range(shape.places.steps, _with_tiles(shape, _parts(shape)))
    body: list[str] = []
    if shape.spread == "channels":
        for channels in shape.channel_tiles:
            body += _turns_of_channels(shape, channels)
        return body
    for cut in shape.places.cuts:
        blocks = [loop("block", channels.count, _tiles(shape, cut, channels)) for channels in shape.channel_tiles]
        inside = list(chain.from_iterable(blocks))
        if shape.places.rows == 1:
            body += loop("tile", cut.count, _with_tiles(shape, inside))
        elif cut.count:
            body += loop("row", shape.places.rows, _with_tiles(shape, loop("tile", cut.count, inside)))
    return body


def _with_tiles(shape: Convolution, body: Sequence[str]) -> list[str]:
    return [*_shape_of_tiles(shape), "tiles_begin(tiles);", *body, "tiles_end();"]


def _parts(shape: Convolution) -> list[str]:
    """Some of the steps, anew for each tile of channels."""
    name = shape.places.step
    head = f"for (uint32_t {name} = first; {name} < last; ++{name}) {{"
    body: list[str] = []
    for channels in shape.channel_tiles:
        body += loop("block", channels.count, [head, *indented(_step(shape, channels)), "}"])
    return body


def _turns_of_channels(shape: Convolution, channels: Cut) -> list[str]:
    """Tiles of channels, and all steps for each: both together are the turns."""
    steps, name, step = shape.places.steps, shape.places.step, _step(shape, channels)
    text = "\n".join(step)
    numbers = {"block": f"turn / {steps}u", name: f"turn % {steps}u"}
    read = [f"const uint32_t {each} = {value};" for each, value in numbers.items() if re.search(rf"\b{each}\b", text)]
    head = "for (uint32_t turn = first; turn < last; ++turn) {"
    return over_range(channels.count * steps, _with_tiles(shape, [head, *indented([*read, *step]), "}"]))


def _step(shape: Convolution, channels: Cut) -> list[str]:
    """The tiles of a row, or of two; or where there is one row, a pair of tiles. The last row or tile may be alone."""
    places, (pairs, single) = shape.places, shape.places.cuts
    if places.last_alone:
        return _last_alone("row", places.rows - 1, *(_tiles(shape, cut, channels) for cut in (pairs, ALONE)))
    if places.rows > 1:
        return list(
            chain.from_iterable(loop("tile", cut.count, _tiles(shape, cut, channels)) for cut in (pairs, single))
        )
    if not pairs.count or not single.count:
        return _tiles(shape, pairs if pairs.count else single, channels)
    return _last_alone("tile", pairs.count, *(_tiles(shape, cut, channels) for cut in (pairs, single)))


def _last_alone(name: str, last: int, others: list[str], alone: list[str]) -> list[str]:
    return [f"if ({name} < {last}u) {{", *indented(others), "} else {", *indented(alone), "}"]


def _shape_of_tiles(shape: Convolution) -> list[str]:
    """What LDTILECFG reads: palette 1, bytes of a row of each tile, rows of each tile."""
    window, (rows, columns) = shape.window, shape.taps
    pixels, depth = shape.places.pixels, shape.block_bytes
    widths = [64] * 4 + [depth] * 2 + [64] * 2
    heights = [pixels] * 6 + [depth // 4] * 2
    numbers = [1, *[0] * 15]
    numbers += [number for width in widths for number in (width, 0)] + [0] * 16 + heights + [0] * 8
    steps = (window.dilation[0] * window.row_elements, window.dilation[1] * window.channels)
    members = (rows, steps[0], columns, steps[1], shape.blocks, depth, window.stride[1] * window.channels, pixels)
    return [
        f"static const uint8_t tiles[64] = {{{', '.join(map(str, numbers))}}};",
        f"const tile_depth depth = {{{', '.join(f'{member}u' for member in members)}}};",
    ]


def _tiles(shape: Convolution, cut: Cut, channels: Cut) -> list[str]:
    """The sums of one or two tiles of pixels and of channels, and their ending, pixel by pixel."""
    window, places, ending = shape.window, shape.places, shape.ending
    size, first = channels.size * CHANNELS, channels.first * CHANNELS
    step = window.stride[1] * window.channels
    columns = ending.columns

    def block(base: str, distance: int) -> str:
        used = [("block", size * distance)] if channels.count > 1 else []
        constant = f" + {first * distance}u" if first else ""
        return terms(base, *used) + constant

    lines = [f"const uint32_t start = {places.start(cut)};"]
    if places.rows_a_step > 1:
        lines.append("const uint32_t two_rows = row * 2u;")
    row_step = window.stride[0] * window.row_elements
    row = f"in + {places.row} * {row_step}u" if places.rows > 1 else "in"
    width = channels.size * CHANNELS
    last = places.second_start if places.overlaps and cut.size > 1 else ""
    distance = f"{places.pixels * step}u" if not last else f"({last} - start) * {step}u"
    if places.rows_a_step > 1:
        distance = f"{row_step}u"
    arguments = ["sums", f"{row} + start * {step}u", distance, "weights", "table", f"{columns * CHANNELS}u", "depth"]
    lines += [
        f"const int8_t *const weights = {block('w', shape.depth_bytes)};",
        f"const int32_t *const table = {block('c', columns)};",
        f"int32_t sums[{cut.size * places.pixels * width}] __attribute__((aligned(64)));",
        f"tile_sums_{cut.size}_{channels.size}({', '.join(arguments)});",
    ]
    for v in range(channels.size):
        lines += x86_ending.constants(ending, CHANNELS, f"table + {v * columns * CHANNELS}", str(v))
    lines += loop("pixel", cut.size * places.pixels, _pixel(shape, channels, block("", 1), last))
    return lines


def _result(shape: Convolution) -> str:
    """The number of the pixel of results that stands at `place`, those of a border counted."""
    places, width, writes = shape.places, shape.window.output_width, shape.borders.writes
    beside = writes.padding[1] + writes.padding[3] if writes else 0
    first = f"{x86_image.first(writes) // shape.outputs}u + " if writes else ""
    if places.rows == 1:
        fewer = places.spare - beside
        skipped = f" {'-' if fewer > 0 else '+'} place / {width + places.spare}u * {abs(fewer)}u" if fewer else ""
        return f"({first}place{skipped})"
    if places.rows_a_step > 1 and beside:
        first = f"{first}(place < {width}u ? 0u : {beside}u) + "
    return f"({first}{places.row} * {width + beside}u + place)"


def _pixel(shape: Convolution, channels: Cut, channel: str, last: str) -> list[str]:
    places, outputs, window = shape.places, shape.outputs, shape.window
    width, ending = channels.size * CHANNELS, shape.ending
    place = "start + pixel"
    if last:
        place = f"(pixel < {places.pixels}u ? start + pixel : {last} + pixel - {places.pixels}u)"
    lines = [f"const uint32_t place = {place};"]
    if places.spare:
        beyond = f"place % {window.output_width + places.spare}u >= {window.output_width}u || place >= {places.reach}u"
        lines += [f"if ({beyond}) {{", "  continue;", "}"]
    elif places.rows == 1 and not places.is_exact:
        lines += [f"if (place >= {places.reach}u) {{", "  continue;", "}"]
    lines.append(f"int8_t *const to = y + {_result(shape)} * {outputs}u{channel};")
    sums = [f"sum{v}" for v in range(channels.size)]
    for v, name in enumerate(sums):
        lines.append(f"words16 {name} = read_words16(sums + pixel * {width}u + {16 * v});")
        lines.append(x86_ending.scaling(ending, CHANNELS, name, str(v)))
    return lines + x86_ending.stored(ending, CHANNELS, sums, "to", last=outputs - channels.first * CHANNELS)
