"""Where the tiles of AMX lie in an image: which pixels are the rows of a tile, and in which steps they are taken."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgecompress.compile.kernels.window import Window
from edgecompress.compile.kernels.x86_tile import Cut

PIXELS = 16
"""What a tile holds at most."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Tiles of `pixels` neighbours, `count` of them for each of `rows`. `reach`: neighbours in a row that are wanted.

    With one row, that is the whole image, and `spare` neighbours lie after each row of results. `rows_a_step`: two rows
    of one tile each are taken as one of two tiles; with `last_alone`, the last one stands alone.
    """

    rows: int
    count: int
    pixels: int
    reach: int
    spare: int = 0
    rows_a_step: int = 1
    last_alone: bool = False

    @property
    def is_exact(self) -> bool:
        """True when the tiles have the wanted neighbours and no other."""
        return self.count * self.pixels == self.reach

    @property
    def overlaps(self) -> bool:
        """True when the last tile of a row begins earlier, so that it ends with the row."""
        return self.rows > 1 and not self.is_exact

    @property
    def steps(self) -> int:
        """Steps over the pixels: rows, or where there is one row, pairs of tiles and the tile that is left."""
        return self.rows if self.rows > 1 else -(-self.count // 2)

    @property
    def step(self) -> str:
        """What a kernel calls the number of a step."""
        return "row" if self.rows > 1 else "tile"

    @property
    def row(self) -> str:
        """What a kernel calls the number of the (first) row of a step."""
        return "row" if self.rows_a_step == 1 else "two_rows"

    @property
    def cuts(self) -> tuple[Cut, Cut]:
        """The pairs of tiles of a row, and the tile that is left."""
        pairs, single = divmod(self.count, 2)
        return Cut(count=pairs, size=2, first=0), Cut(count=single, size=1, first=2 * pairs)

    def start(self, cut: Cut) -> str:
        """The first neighbour of a tile, or of a pair; the last of a row begins earlier where it would reach beyond."""
        index = f"tile * {2 * self.pixels}u" if cut.count > 1 else "0u"
        first = f"{index} + {cut.first * self.pixels}u" if cut.first else index
        if cut.size == 1 and self.overlaps:
            return f"{self.reach - self.pixels}u"
        return first

    @property
    def second_start(self) -> str:
        """Where the second tile of a pair begins: at the latest so that it ends with the row."""
        most = self.reach - self.pixels
        return f"(start + {self.pixels}u < {most}u ? start + {self.pixels}u : {most}u)"

    def by_two_rows(self) -> Places:
        """The same tiles, of two rows at a time where a row has only one."""
        if self.rows < 3 or self.count > 1 or not self.is_exact:
            return self
        steps, last_alone = -(-self.rows // 2), self.rows % 2 == 1
        return replace(self, rows=steps, count=2, reach=2 * self.reach, rows_a_step=2, last_alone=last_alone)


def choose(window: Window) -> Places:
    """Choose between tiles within rows and, with a stride of 1, tiles that go on over rows: the fewest."""
    width, height = window.output_width, window.output_height
    count = -(-width // PIXELS)
    within = Places(rows=height, count=count, pixels=-(-width // count), reach=width)
    padded = window.row_elements // window.channels
    if window.stride != (1, 1) or height == 1:
        return _exact(within)
    reach = (height - 1) * padded + width
    over = Places(rows=1, count=-(-reach // PIXELS), pixels=PIXELS, reach=reach, spare=padded - width)
    return over if over.count < height * count else _exact(within)


def _exact(within: Places) -> Places:
    """Prefer tiles that divide a row evenly, when they are not many more."""
    for pixels in range(PIXELS, PIXELS // 2, -1):
        if within.reach % pixels == 0 and within.reach // pixels * 8 <= within.count * 9:
            return Places(rows=within.rows, count=within.reach // pixels, pixels=pixels, reach=within.reach)
    return within
