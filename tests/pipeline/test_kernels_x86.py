"""int8 kernels for x86-64 beside a plain reference or the generic kernels: the same bytes, by instructions or not."""

from __future__ import annotations

from pathlib import Path

import kernel_layers
import linking
import pytest
import shape_cases
from kernel_layers import Drawn

from edgecompress.compile import link, threads
from edgecompress.compile.kernels import families, x86_family
from edgecompress.compile.kernels.pool import AveragePool, MaxPool, Mean
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.kernels.x86_core import AVX2
from edgecompress.compile.program import Call
from edgecompress.core import target as targets

LAYERS = {"x86-64-v3": 18, "x86-64-vnni": 18, "x86-64-amx": 24}
"""Profiles, and how many layers are drawn for each."""
NEEDS = {
    "x86-64-v3": {"avx2"},
    "x86-64-vnni": {"avx512bw", "avx512vl", "avx512_vnni"},
    "x86-64-amx": {"avx512bw", "avx512vl", "avx512_vnni", "amx_int8"},
}
"""What /proc/cpuinfo must list."""
SHAPES = ("x86-64-v3", "x86-64-vnni")
"""Profiles whose kernels by shape class are tried; x86-64-amx has those of x86-64-vnni."""


@pytest.fixture(scope="module", params=LAYERS)
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return kernel_layers.drawn_for(request.param, LAYERS[request.param], tmp_path_factory.mktemp(request.param))


def test_most_layers_have_x86_kernels(drawn: Drawn) -> None:
    fast = [call.kernel for call in drawn.program.calls if call.kernel.startswith("x86")]

    assert len(fast) > 0.7 * len(drawn.program.calls)


def test_random_layers_agree_with_a_plain_reference_without_the_instructions(drawn: Drawn) -> None:
    linking.reference(drawn.folder, link.NETWORK, Path("plain"))

    drawn.agrees(drawn.folder / "plain")


def test_random_layers_agree_with_a_plain_reference_by_the_instructions(drawn: Drawn) -> None:
    drawn.agrees(_by_instructions(drawn))


@pytest.fixture(scope="module", params=SHAPES)
def shapes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> shape_cases.Drawn:
    return shape_cases.drawn_for(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("shapes", ["x86-64-vnni"], indirect=True)
def test_kernels_chosen_by_shape_give_the_bytes_of_the_generic_ones_without_the_instructions(
    shapes: shape_cases.Drawn,
) -> None:
    linking.reference(shapes.folder, link.NETWORK, Path("plain"))

    shapes.agrees(shapes.folder / "plain")


def test_kernels_chosen_by_shape_give_the_bytes_of_the_generic_ones_by_the_instructions(
    shapes: shape_cases.Drawn,
) -> None:
    shapes.agrees(_by_instructions(shapes))


@pytest.mark.parametrize(
    ("profile", "channels", "lanes"),
    [("x86-64-v3", 64, 8), ("x86-64-v3", 31, 4), ("x86-64-amx", 64, 16), ("x86-64-amx", 63, 8), ("x86-64-vnni", 16, 4)],
)
def test_pools_take_the_longest_registers_that_their_channels_fill(profile: str, channels: int, lanes: int) -> None:
    chosen = [families.choose_own(shape, targets.load(profile).features) for shape in _pools(channels)]

    assert [each and each[0] for each in chosen] == [f"x86_{lanes}_{shape.name}" for shape in _pools(channels)]


@pytest.mark.parametrize("profile", LAYERS)
def test_pools_of_fewer_than_sixteen_channels_keep_the_generic_kernels(profile: str) -> None:
    features = targets.load(profile).features

    assert [families.choose_own(shape, features) for shape in _pools(15)] == [None] * 3


def test_averages_of_more_pixels_than_their_division_is_right_for_keep_the_generic_kernel() -> None:
    shape = AveragePool(window=Window(height=16, width=16, channels=64, kernel=(16, 16)))

    assert families.choose_own(shape, ("avx2",)) is None


def test_threads_share_the_rows_of_a_large_max_pool_and_leave_a_small_mean_alone() -> None:
    largest, _, mean = (x86_family.own(AVX2)[type(shape)].build(shape) for shape in _pools(64))
    call = Call(name="pool", op="max_pool", kernel=largest.name, arguments=("x",), output="y")

    assert threads.is_long(call, largest)
    assert not threads.is_long(call, mean)
    assert f"edgert_split({largest.name}__part0, &known, 56u);" in threads.spread(largest).source


def _pools(channels: int) -> tuple[MaxPool, AveragePool, Mean]:
    window = Window(height=112, width=112, channels=channels, kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1))
    return MaxPool(window=window), AveragePool(window=window), Mean(pixels=49, channels=channels)


def _by_instructions(drawn: Drawn | shape_cases.Drawn) -> Path:
    """Compile for a profile, if this machine has its instructions."""
    missing = sorted(NEEDS[drawn.target.name] - _features())
    if missing:
        pytest.skip(f"this machine has no {', '.join(missing)}")
    flags = (*drawn.target.toolchain.cpu_flags, "-fsanitize=address")
    linking.reference(drawn.folder, link.NETWORK, Path("native"), flags=flags)
    return drawn.folder / "native"


def _features() -> set[str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())
