"""What the DSP kernels compute before the network runs: packed weights, tables, tiles, and the C that they need."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompress.compile import c_dsp, c_dsp_depthwise, c_dsp_multiply, quantized
from edgecompress.compile.c_dsp import Ending
from edgecompress.compile.c_dsp_depthwise import Tile
from edgecompress.compile.kernels import dsp_convolution, dsp_depthwise, dsp_epilogue, epilogue, families
from edgecompress.compile.kernels.product import Product
from edgecompress.compile.kernels.window import Window
from edgecompress.core.values import Array

POINTWISE = Window(height=1, width=2, channels=6, kernel=(1, 1))


def product(
    weights: Array, *, window: Window = POINTWISE, factor: float | list[float] = 0.01, bias: int = 0, groups: int = 1
) -> Product:
    """A layer whose channels have one bias, and a factor each or one."""
    channels = len(weights)
    folded, magnitudes = quantized.folded_bias(np.full(channels, bias), weights, 0)
    multipliers = tuple(quantized.multiplier(factor) for factor in np.broadcast_to(factor, channels))
    return Product(
        window=window,
        groups=groups,
        weights=weights.astype(np.int8),
        bias=folded,
        magnitudes=magnitudes,
        multipliers=multipliers,
        epilogue=epilogue.choose(multipliers, magnitudes, -128, 127),
        input_zero=0,
        output_zero=0,
        low=-128,
        high=127,
    )


def test_a_halfword_holds_two_channels_and_a_group_its_steps_0_2_1_3() -> None:
    weights = np.array([[1, 2, 3, 4, 5, 6], [10, -20, 30, -40, 50, -60], [7, 7, 7, 7, 7, 7]])
    shape = dsp_convolution.Convolution(window=POINTWISE, outputs=3, ending=Ending())

    packed = dsp_convolution.pack(weights.reshape(3, 1, 1, 6).astype(np.int8), shape).view("<i2")

    first_tile = [1 + 2560, 3 + 7680, 2 - 5120, 4 - 10240, 5 + 12800, 0, 6 - 15360, 0]
    assert packed.tolist() == [*first_tile, 7, 7, 7, 7, 7, 0, 7, 0]


def test_a_single_column_interleaves_the_halfwords_of_four_channels() -> None:
    window = Window(height=1, width=1, channels=4, kernel=(1, 1))
    weights = np.arange(16).reshape(4, 1, 1, 4).astype(np.int8)
    shape = dsp_convolution.Convolution(window=window, outputs=4, ending=Ending())

    packed = dsp_convolution.pack(weights, shape).view("<i2").reshape(4, 2)

    both = weights.reshape(4, 4).astype(int)
    pairs = [both[0] + 256 * both[1], both[2] + 256 * both[3]]
    wanted = [pairs[0][[0, 2]], pairs[1][[0, 2]], pairs[0][[1, 3]], pairs[1][[1, 3]]]
    assert np.array_equal(packed, wanted)


def test_the_generic_kernel_takes_what_packed_sums_cannot_hold() -> None:
    window = Window(height=1, width=2, channels=520, kernel=(1, 1))
    weights = np.full((2, 1, 1, 520), 127)

    assert dsp_convolution.choose(product(weights, window=window, factor=1e-4)) is None
    assert families.choose(product(weights, window=window, factor=1e-4), ["dsp"]).name.startswith("convolution_")
    assert dsp_convolution.choose(product(np.full((2, 1, 1, 6), -128))) is None


def test_the_features_choose_the_family() -> None:
    layer = product(np.ones((2, 1, 1, 6)))

    names = [families.choose(layer, features).name for features in ((), ("fpu",), ("dsp", "fpu"))]

    assert names == ["convolution_1x2x6_k1x1_o2", "convolution_1x2x6_k1x1_o2", "dsp_convolution_1x2x6_k1x1_o2_shared"]


def test_a_table_row_holds_the_doubled_bias_the_multiplier_and_the_shift_less_1() -> None:
    layer = product(np.zeros((2, 1, 1, 6)), factor=[0.75 / 8, 0.5 / 2], bias=21)

    assert dsp_epilogue.table(layer).tolist() == [[42, 3 << 29, 2], [42, 1 << 30, 0]]
    assert dsp_epilogue.ending(layer) == Ending()


def test_a_factor_that_all_channels_have_is_a_parameter_and_the_table_holds_biases() -> None:
    layer = product(np.zeros((2, 1, 1, 6)), factor=0.75 / 8, bias=21)

    assert dsp_epilogue.table(layer).tolist() == [[42], [42]]
    assert dsp_epilogue.scalars(layer) == [1, 3 << 29, 2]
    assert dsp_epilogue.ending(layer) == Ending(shared=True)


def test_a_factor_of_1_and_more_is_shifted_left_before_and_after_the_product() -> None:
    layer = product(np.zeros((2, 1, 1, 6)), factor=[3.0, 0.25], bias=21)

    assert dsp_epilogue.table(layer).tolist() == [[42, 3 << 29, 2 << 8 | 1 << 16], [42, 1 << 30, 0]]
    assert dsp_epilogue.ending(layer) == Ending(scales_up=True)


def test_a_huge_bias_whose_channel_comes_to_one_number_is_replaced_by_a_small_one() -> None:
    layer = product(np.ones((2, 1, 1, 6)), factor=5 / 2**30, bias=2**30)

    settled = dsp_epilogue.settled(layer)

    assert settled is not None
    assert settled.bias.tolist() == [20, 20]  # 5 is the result: a quarter of it
    assert not settled.weights.any()


def test_a_huge_bias_that_an_input_can_tip_over_is_left_to_the_generic_kernel() -> None:
    assert dsp_epilogue.settled(product(np.ones((2, 1, 1, 6)), factor=4.5 / 2**30, bias=2**30)) is None


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("columns", range(5, 40))
def test_tiles_cover_a_row_and_begin_at_even_columns_of_the_image(stride: int, columns: int) -> None:
    window = Window(height=1, width=(columns - 1) * stride + 3, channels=4, kernel=(1, 3), stride=(1, stride))
    shape = dsp_depthwise.Depthwise(window=window, ending=Ending())

    starts = [(first + i * tile.pixels, tile.pixels) for first, count, tile in shape.tiles() for i in range(count)]

    assert [x for start, pixels in starts for x in range(start, start + pixels)] == [*range(columns)]
    assert all(start * stride % 2 == 0 for start, _ in starts)
    assert all(tile.pixels + tile.words + tile.phases <= 11 for *_, tile in shape.tiles())


def test_only_what_is_called_is_defined_and_callees_come_first() -> None:
    tile = Tile(rows=3, columns=3, stride=1, pixels=6, phases=2, ending=Ending(clamps=True))
    text = f"{tile.name}(rows, 0);"

    thin = c_dsp_depthwise.definitions(text)
    definitions = c_dsp.definitions(thin + text)

    assert thin.count("static void dsp_depthwise_3x3_s1_p6_f2_clamped(") == 1
    assert "dsp_requantise(int32_t" in definitions
    assert "dsp_multiply" not in definitions
    assert not any(module.definitions("y[0] = x[0];") for module in (c_dsp, c_dsp_depthwise, c_dsp_multiply))


def test_the_inner_loop_of_two_pixels_takes_12_instructions_for_16_products() -> None:
    text = c_dsp_multiply.definitions("dsp_multiply_two(column);")

    loop = text.split('"4:\\n"')[1].split('"subs r2')[0]

    assert loop.count("smlad") == 4 * 8
    assert loop.count("\\n") == 4 * 12
