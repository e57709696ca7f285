"""How int8 layers are cut for x86-64: tiles of registers, tiles of AMX, and the order of channels in a register."""

from __future__ import annotations

import pytest

from edgecompress.compile.kernels.window import Window
from edgecompress.compile.kernels.x86_core import AVX2, VNNI, Core, channel_order
from edgecompress.compile.kernels.x86_ending import Ending
from edgecompress.compile.kernels.x86_tile import Depth, choose_tile, cut_evenly
from edgecompress.compile.kernels.x86_tiles_convolution import Convolution

ENDING = Ending(rounding="floor", limits=False)


@pytest.mark.parametrize(("lanes", "vectors"), [(16, 1), (16, 4), (16, 7), (8, 3), (4, 6)])
def test_every_channel_has_one_place_in_the_registers(lanes: int, vectors: int) -> None:
    assert sorted(channel_order(lanes, vectors)) == list(range(lanes * vectors))


def test_parts_of_a_cut_follow_each_other_and_differ_by_one_at_most() -> None:
    cuts = cut_evenly(56, 6)

    assert [(cut.count, cut.size, cut.first) for cut in cuts] == [(6, 6, 0), (4, 5, 36)]


@pytest.mark.parametrize("core", [VNNI, AVX2])
def test_a_tile_and_what_it_reads_fit_the_registers(core: Core) -> None:
    tile = choose_tile(core, 56, 64, Depth(taps=((3, 58 * 64),), words=48))

    assert tile.pixels * tile.vectors + tile.vectors < core.registers


def test_tiles_of_amx_go_on_in_the_next_row_where_that_takes_fewer() -> None:
    narrow = Window(height=7, width=7, channels=64, kernel=(3, 3), padding=(1, 1, 1, 1))
    strided = Window(height=14, width=14, channels=64, kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1))

    over, within = (Convolution(window=window, outputs=64, ending=ENDING).places for window in (narrow, strided))

    assert (over.rows, over.count, over.reach, over.spare) == (1, 4, 61, 2)
    assert (within.rows, within.count, within.pixels, within.spare) == (4, 2, 7, 0)


def test_two_rows_of_one_tile_each_are_taken_together_where_one_thread_has_both() -> None:
    even = Window(height=14, width=14, channels=256, kernel=(3, 3), padding=(1, 1, 1, 1))
    odd = Window(height=13, width=14, channels=256, kernel=(3, 3), padding=(1, 1, 1, 1))
    high = Window(height=16, width=14, channels=256, kernel=(3, 3), padding=(1, 1, 1, 1))
    cases = [(even, 256), (odd, 256), (even, 64), (odd, 64), (high, 64)]

    shapes = [Convolution(window=window, outputs=outputs, ending=ENDING) for window, outputs in cases]

    assert [shape.spread for shape in shapes] == ["channels", "channels", "parts", "parts", "parts"]
    assert [shape.places.rows for shape in shapes] == [7, 7, 14, 13, 8]
    assert [shape.places.last_alone for shape in shapes] == [False, True, False, False, False]


def test_threads_take_parts_of_an_image_when_the_weights_are_not_much_larger() -> None:
    window = Window(height=28, width=28, channels=128, kernel=(1, 1), stride=(2, 2))
    wide, small = (Convolution(window=window, outputs=outputs, ending=ENDING) for outputs in (256, 128))
    larger = Convolution(window=window, outputs=4096, ending=ENDING)

    assert [shape.spread for shape in (small, wide, larger)] == ["rows", "parts", "channels"]


def test_an_image_is_read_where_it_lies_when_tiles_of_amx_end_with_it() -> None:
    exact = Window(height=1, width=196, channels=64, kernel=(1, 1))
    beyond = Window(height=1, width=49, channels=64, kernel=(1, 1))

    copies = [Convolution(window=window, outputs=64, ending=ENDING).copies for window in (exact, beyond)]

    assert copies == [False, True]
