"""Every int8 kernel as C, with address and undefined sanitizers, against plain numpy on random small shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import int8_reference
import numpy as np
import pytest
from int8_reference import grouped_sums, half_away, patches, requantised
from kernel_cases import Case, check, int8, outputs
from tvm import tirx

from edgecompress.compile import lower, quantized
from edgecompress.compile.kernels import addition, convolution, depthwise, elementwise, epilogue, pool, softmax
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.quantized import Multiplier

Array = np.ndarray[Any, Any]

WINDOWS = (
    Window(height=5, width=4, channels=3, kernel=(3, 3), padding=(1, 1, 1, 1)),
    Window(height=6, width=7, channels=5, kernel=(3, 3), stride=(2, 2), padding=(0, 0, 1, 1)),
    Window(height=7, width=5, channels=2, kernel=(2, 3), padding=(2, 0, 0, 1)),
    Window(height=5, width=6, channels=9, kernel=(1, 1)),
    Window(height=5, width=6, channels=4, kernel=(1, 1), stride=(2, 3)),
    Window(height=9, width=1, channels=6, kernel=(4, 1)),
    Window(height=9, width=1, channels=6, kernel=(4, 1), stride=(2, 1), padding=(1, 0, 2, 0)),
    Window(height=1, width=17, channels=3, kernel=(1, 5), padding=(0, 2, 0, 2)),
    Window(height=8, width=9, channels=3, kernel=(3, 2), dilation=(2, 3), padding=(1, 2, 0, 1)),
    Window(height=1, width=1, channels=13, kernel=(1, 1)),
    Window(height=3, width=3, channels=2, kernel=(3, 3)),
    Window(height=12, width=3, channels=1, kernel=(10, 3), stride=(2, 1), padding=(4, 1, 5, 1)),
)


def factors(random: np.random.Generator, channels: int, taps: int, *, largest: float) -> list[Multiplier]:
    return [quantized.multiplier(factor) for factor in random.uniform(0.1, 1, channels) * largest / np.sqrt(taps)]


def image_of(random: np.random.Generator, window: Window) -> Array:
    return int8(random, window.height, window.width, window.channels)


@pytest.mark.parametrize(("largest", "low", "high"), [(0.01, -128, 127), (0.01, -20, 90), (60.0, -128, 127)])
def test_convolutions_equal_the_definition(largest: float, low: int, high: int, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    cases = []
    for window, count in zip(WINDOWS, (4, 5, 1, 7, 3, 6, 9, 11, 2, 10, 4, 8), strict=True):
        groups = 2 if window.channels % 2 == 0 and count % 2 == 0 else 1
        weights = int8(random, count, *window.kernel, window.channels // groups)
        cases.append(convolution_case(random, window, groups, weights, largest, (low, high)))
    check(cases, tmp_path)


def convolution_case(
    random: np.random.Generator, window: Window, groups: int, weights: Array, largest: float, bounds: tuple[int, int]
) -> Case:
    image, input_zero, output_zero = image_of(random, window), 11, -7
    multipliers = factors(random, len(weights), weights[0].size, largest=largest)
    bias = random.integers(-900, 900, len(weights))
    folded, magnitudes = quantized.folded_bias(bias, weights, input_zero)
    end = epilogue.choose(multipliers, magnitudes, *bounds)
    shape = convolution.Convolution(window=window, outputs=len(weights), groups=groups, epilogue=end)
    sums = grouped_sums(patches(window, image, input_zero) - input_zero, weights, groups)
    return Case(
        function=convolution.build(shape),
        arguments=(image, convolution.pack(weights, shape), end.table(folded, multipliers)),
        scalars=[*([input_zero] if window.is_padded else []), *end.scalar_values(output_zero, *bounds)],
        wanted=requantised(sums, bias, multipliers, output_zero, *bounds),
    )


@pytest.mark.parametrize(("largest", "low", "high"), [(0.02, -128, 127), (0.02, -5, 127), (60.0, -128, 127)])
def test_depthwise_convolutions_equal_the_definition(largest: float, low: int, high: int, tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    cases = []
    for window in WINDOWS:
        image, input_zero, output_zero = image_of(random, window), -128, 3
        weights = int8(random, window.channels, *window.kernel, 1)
        multipliers = factors(random, window.channels, weights[0].size, largest=largest)
        bias = random.integers(-900, 900, window.channels)
        folded, magnitudes = quantized.folded_bias(bias, weights, input_zero)
        end = epilogue.choose(multipliers, magnitudes, low, high)
        sums = np.einsum("yxklc,cklo->yxc", patches(window, image, input_zero) - input_zero, weights.astype(np.int64))
        cases.append(
            Case(
                function=depthwise.build(depthwise.Depthwise(window=window, epilogue=end)),
                arguments=(image, depthwise.pack(weights), end.table(folded, multipliers)),
                scalars=[*([input_zero] if window.is_padded else []), *end.scalar_values(output_zero, low, high)],
                wanted=requantised(sums, bias, multipliers, output_zero, low, high),
            )
        )
    check(cases, tmp_path)


def test_accumulators_at_the_limit_of_the_short_scaling_are_right(tmp_path: Path) -> None:
    window = Window(height=1, width=2, channels=4096, kernel=(1, 1))
    image = np.stack([np.full(4096, 127, np.int8), np.full(4096, -128, np.int8)])
    weights = np.stack([np.full(4096, sign * 127, np.int8) for sign in (1, -1)]).reshape(2, 1, 1, 4096)
    bias = np.array([2**30 - 128 * 127 * 4096 - 1, -(2**30) + 128 * 127 * 4096 + 1])
    multipliers = [quantized.multiplier(2.0**-24 * 1.01)] * 2
    folded, magnitudes = quantized.folded_bias(bias, weights, 0)
    end = epilogue.choose(multipliers, magnitudes, -128, 127)
    shape = convolution.Convolution(window=window, outputs=2, epilogue=end)
    sums = image.astype(np.int64) @ weights.reshape(2, -1).T.astype(np.int64)
    case = Case(
        function=convolution.build(shape),
        arguments=(image, convolution.pack(weights, shape), end.table(folded, multipliers)),
        scalars=end.scalar_values(0, -128, 127),
        wanted=requantised(sums, bias, multipliers, 0),
    )

    assert not end.scales_up
    assert (magnitudes == 2**30 - 1).all()
    check([case], tmp_path)


@pytest.mark.parametrize("scales", [(0.1, 0.1, 0.15), (0.3, 0.02, 0.2), (0.02, 0.019, 0.5), (1.0, 1e-6, 0.01)])
def test_addition_equals_tflites(scales: tuple[float, float, float], tmp_path: Path) -> None:
    every = np.arange(-128, 128, dtype=np.int8)
    first, second = (grid.reshape(-1) for grid in np.meshgrid(every, every))
    larger, smaller, output = scales
    part, total = addition.multipliers(larger, smaller, output)
    shape = addition.Addition(elements=first.size, one_scale=larger == smaller)
    half = Multiplier(value=2**30, shift=0)
    operands = ((first, 5, half), (second, -9, half if larger == smaller else part))
    sums = sum(quantized.scale((q.astype(np.int64) - zero) << 20, by) for q, zero, by in operands)
    case = Case(
        function=addition.build(shape),
        arguments=(first, second),
        scalars=shape.scalar_values((5, -9, 13), part, total, -100, 120),
        wanted=np.clip(quantized.scale(sums, total) + 13, -100, 120).astype(np.int8),
    )

    check([case], tmp_path)


def test_an_addition_to_a_far_smaller_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="an output scale of 1e-07 is too small for operands at 1"):
        addition.multipliers(1.0, 0.5, 1e-7)


def test_pools_equal_the_definition(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    cases = []
    for window in WINDOWS:
        image = image_of(random, window)
        inside = patches(window, np.ones_like(image), 0).sum(axis=(2, 3))
        if inside.min() == 0:
            continue
        mean = half_away(patches(window, image, 0).sum(axis=(2, 3)), inside)
        largest = patches(window, image, -128).max(axis=(2, 3))
        for build, kind, wanted in (
            (pool.build_average, pool.AveragePool, mean),
            (pool.build_max, pool.MaxPool, largest),
        ):
            bounded = np.clip(wanted, -90, 100).astype(np.int8)
            cases.append(
                Case(function=build(kind(window=window)), arguments=(image,), scalars=(-90, 100), wanted=bounded)
            )
    assert len(cases) > 10
    check(cases, tmp_path)


@pytest.mark.parametrize(("pixels", "channels", "factor"), [(64, 5, 0.7), (49, 4, 1.6), (1, 3, 0.01), (15, 9, 1.0)])
def test_the_mean_of_an_image_equals_its_definition(pixels: int, channels: int, factor: float, tmp_path: Path) -> None:
    image = int8(np.random.default_rng(5), pixels, channels)
    by = quantized.mean_multiplier(factor, 1.0, pixels)
    means = quantized.scale((image.astype(np.int64) - 9).sum(axis=0), by)
    case = Case(
        function=pool.build_mean(pool.Mean(pixels=pixels, channels=channels)),
        arguments=(image,),
        scalars=(9, by.value, by.shift, -4, -128, 127),
        wanted=np.clip(means - 4, -128, 127).astype(np.int8),
    )

    check([case], tmp_path)


@pytest.mark.parametrize("scale", [0.004, 0.16, 0.5, 12.0])
def test_softmax_equals_tflites(scale: float, tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    table = quantized.softmax_exponentials(scale)
    cases = []
    for rows, classes in ((3, 2), (2, 10), (1, 257), (4, 1)):
        logits = int8(random, rows, classes)
        wanted = np.stack([int8_reference.softmax_row(row, table) for row in logits])
        shape = softmax.Softmax(rows=rows, classes=classes, table=len(table), rescales=False)
        bounded = np.clip(wanted, -128, 127).astype(np.int8)
        cases.append(Case(function=softmax.build(shape), arguments=(logits, table), wanted=bounded))

    check(cases, tmp_path)


@pytest.mark.parametrize(("scale", "zero"), [(1 / 255, -128), (1 / 127, 0), (0.002, -60)])
def test_softmax_at_another_output_scale_is_at_most_one_off(scale: float, zero: int, tmp_path: Path) -> None:
    logits = int8(np.random.default_rng(7), 20, 10)
    table = quantized.softmax_exponentials(0.11)
    by = quantized.multiplier(1 / (2.0**softmax.FINE_BITS * scale))
    shape = softmax.Softmax(rows=20, classes=10, table=len(table), rescales=True)
    exact = np.exp(logits * 0.11)
    exact = np.clip(exact / exact.sum(axis=1, keepdims=True) / scale + zero, -128, 127)
    case = Case(
        function=softmax.build(shape),
        arguments=(logits, table),
        scalars=(by.value, -by.shift - 1, zero),
        wanted=np.zeros(logits.shape, np.int8),
    )

    (found,) = outputs([case], tmp_path)

    assert np.abs(found.reshape(20, 10) - exact).max() <= 0.51


def test_quantizing_rounds_ties_to_even_and_saturates(tmp_path: Path) -> None:
    scale = np.float32(0.25)
    x = np.array([0.125, 0.375, 0.625, -0.125, -0.375, 31.6, 31.7, -32.1, -33.0, 1e30, -1e30, 0.0], np.float32)
    x = np.concatenate([x, np.random.default_rng(8).normal(0, 12, 500).astype(np.float32)])
    for zero in (-128, 0, 17):
        wanted = np.clip(np.rint(x / scale) + np.float32(zero), -128, 127).astype(np.int8)
        shape = elementwise.Quantize(shape=(x.size,), axes=(0,))
        bits = int(scale.view(np.int32))
        check(
            [Case(function=elementwise.build_quantize(shape), arguments=(x,), scalars=(bits, zero), wanted=wanted)],
            tmp_path,
        )


def test_dequantizing_is_one_single_precision_product(tmp_path: Path) -> None:
    q, scale = np.arange(-128, 128, dtype=np.int8), np.float32(0.0123)
    case = Case(
        function=elementwise.build_dequantize(elementwise.Dequantize(elements=256)),
        arguments=(q,),
        scalars=(int(scale.view(np.int32)), -5),
        wanted=(q.astype(np.int32) + 5).astype(np.float32) * scale,
    )

    check([case], tmp_path)


REORDERINGS = (
    ((1, 3, 4, 5), (0, 2, 3, 1)),
    ((1, 1, 6, 7), (0, 2, 3, 1)),
    ((2, 3, 4), (2, 1, 0)),
    ((1, 5, 1, 4), (0, 3, 2, 1)),
    ((6,), (0,)),
    ((1, 1), (1, 0)),
)


def test_transposes_equal_numpys(tmp_path: Path) -> None:
    random = np.random.default_rng(9)
    cases = []
    for shape, axes in REORDERINGS:
        x = int8(random, *shape)
        function = elementwise.build_transpose(elementwise.Transpose(shape=shape, axes=axes))
        cases.append(Case(function=function, arguments=(x,), wanted=x.transpose(axes)))
    check(cases, tmp_path)


def test_quantizing_transposes_at_once(tmp_path: Path) -> None:
    random = np.random.default_rng(10)
    cases = []
    for shape, axes in REORDERINGS:
        x = random.normal(0, 40, shape).astype(np.float32)
        wanted = np.clip(np.rint(x), -128, 127).astype(np.int8).transpose(axes)
        function = elementwise.build_quantize(elementwise.Quantize(shape=shape, axes=axes))
        cases.append(Case(function=function, arguments=(x,), scalars=(0x3F800000, 0), wanted=wanted))
    check(cases, tmp_path)


def test_lookups_concatenation_and_signs(tmp_path: Path) -> None:
    random = np.random.default_rng(11)
    x, table = int8(random, 77), int8(random, 256)
    parts = [int8(random, 5, run) for run in (3, 1, 8)]
    unsigned = random.integers(0, 256, 33).astype(np.uint8)
    signed = (unsigned.astype(np.int16) - 128).astype(np.int8)

    def flip(*, to_int8: bool) -> tirx.PrimFunc:
        return elementwise.build_flip_sign(elementwise.FlipSign(elements=33, to_int8=to_int8))

    joined = elementwise.build_concatenate(elementwise.Concatenate(rows=5, runs=(3, 1, 8)))
    lookup = elementwise.build_lookup(elementwise.Lookup(elements=77))
    cases = [
        Case(function=lookup, arguments=(x, table), wanted=table[x.astype(np.int16) + 128]),
        Case(function=joined, arguments=parts, wanted=np.concatenate(parts, axis=1)),
        Case(function=flip(to_int8=True), arguments=(unsigned,), wanted=signed),
        Case(function=flip(to_int8=False), arguments=(signed,), wanted=unsigned),
    ]

    check(cases, tmp_path)


def test_a_padded_input_is_never_copied_whole() -> None:
    window = Window(height=24, width=8, channels=4, kernel=(3, 3), padding=(1, 1, 1, 1))
    functions = (
        convolution.build(convolution.Convolution(window=window, outputs=3)),
        depthwise.build(depthwise.Depthwise(window=window)),
    )

    workspaces = [lower.lower_kernel("kernel", function).workspaces for function in functions]

    assert workspaces == [(3 * (8 + 2) * 4,)] * 2
