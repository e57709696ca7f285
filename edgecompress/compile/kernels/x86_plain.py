"""Tiles of VNNI, and the plain loops that stand for them on a machine without it (c_x86_plain)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgecompress.compile.c_x86_plain import GUARD
from edgecompress.compile.kernels.vector_core import indented
from edgecompress.compile.kernels.x86_core import Core
from edgecompress.compile.kernels.x86_ending import Ending


@dataclass(frozen=True, kw_only=True)
class Plain:
    """What plain loops need to know of a tile: the members of `plain_tile` that the core and the ending do not say."""

    kind: Literal["convolution", "depthwise"]
    pixels: int
    vectors: int
    last: int
    outputs: int
    taps: tuple[int, int]
    more_taps: tuple[int, int]
    words: int
    pixel_step: int
    image: str = "from"


def either(core: Core, ending: Ending, tile: list[str], plain: Plain) -> list[str]:
    """Write a tile that reads an image, `weights` and `table` and stores to `to`, with plain loops beside it."""
    if core.method != "fours":
        return tile
    members = [plain.pixels, plain.vectors, core.lanes, plain.last, plain.outputs, ending.columns]
    members += [*plain.taps, *plain.more_taps, plain.words, plain.pixel_step]
    low, high = ("low", "high") if ending.limits else ("-128", "127")
    zero = "zero" if ending.rounding == "any" else "0"
    called = f"plain_{plain.kind}(to, {plain.image}, weights, table, tile_shape, {zero}, {low}, {high});"
    shape = f"const plain_tile tile_shape = {{{', '.join(f'{member}u' for member in members)}}};"
    return [f"#if {GUARD}", *tile, "#else", "{", *indented([shape, called]), "}", "#endif"]
