"""Random int8 layers as kernels for x86-64: a plain reference, and the same bytes by instructions and without them."""

from __future__ import annotations

from pathlib import Path

import kernel_layers
import linking
import pytest
from kernel_layers import Drawn

from edgecompress.compile import link

LAYERS = {"x86-64-v3": 18, "x86-64-vnni": 18, "x86-64-amx": 24}
"""Profiles, and how many layers are drawn for each."""
NEEDS = {
    "x86-64-v3": {"avx2"},
    "x86-64-vnni": {"avx512bw", "avx512vl", "avx512_vnni"},
    "x86-64-amx": {"avx512bw", "avx512vl", "avx512_vnni", "amx_int8"},
}
"""What /proc/cpuinfo must list."""


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
    missing = sorted(NEEDS[drawn.target.name] - _features())
    if missing:
        pytest.skip(f"this machine has no {', '.join(missing)}")
    flags = (*drawn.target.toolchain.cpu_flags, "-fsanitize=address")

    linking.reference(drawn.folder, link.NETWORK, Path("native"), flags=flags)

    drawn.agrees(drawn.folder / "native")


def _features() -> set[str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())
