"""Random layers as vector kernels: a plain reference in float64, and the same bytes on other cores as here.

QEMU emulates no AVX-512: those layers run on this machine itself, where it has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import vector_layers
from vector_layers import Case

from edgecompress.compile import link
from edgecompress.compile.kernels import vector_core
from edgecompress.compile.kernels.vector_core import VectorCore
from edgecompress.core import target as targets
from edgecompress.core.target import Target
from edgecompress.core.values import Array

TOLERANCE = 1e-5
"""Largest difference from the reference, as a part of the layer's largest number."""

LAYERS = {"rpi4": 110, "rpi2": 20, "armv7": 20, "x86-64-v4": 10, "x86-64-v3": 20, "x86-64": 20}
"""Linux profiles with vectors of floats, and how many layers are drawn for each."""

EMULATORS = {
    "rpi4": ("qemu-aarch64-static", "-cpu", "cortex-a72"),
    "rpi2": ("qemu-arm-static", "-cpu", "cortex-a7"),
    "armv7": ("qemu-arm-static", "-cpu", "cortex-a9"),
    "x86-64-v4": (),
    "x86-64-v3": ("qemu-x86_64-static", "-cpu", "Haswell"),
    "x86-64": ("qemu-x86_64-static", "-cpu", "Nehalem"),
}
AVX512 = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The layers of a profile, and what this machine computes of them."""

    target: Target
    core: VectorCore
    cases: list[Case]
    results: list[Array]


@pytest.fixture(scope="module", params=LAYERS)
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    generator = np.random.default_rng(sum(map(ord, request.param)))
    cases = [vector_layers.draw(generator) for _ in range(LAYERS[request.param])]
    target = targets.load(request.param)
    core = vector_core.of(target)
    assert core is not None
    source = vector_layers.write_program(cases, core)
    program = vector_layers.build(source, ("gcc", *link.reference_flags(target)), tmp_path_factory.mktemp("host") / "p")
    return Drawn(target=target, core=core, cases=cases, results=vector_layers.run([str(program)], cases, core))


def test_random_layers_agree_with_a_plain_reference(drawn: Drawn) -> None:
    for case, result in zip(drawn.cases, drawn.results, strict=True):
        exact = vector_layers.reference(case)
        scale = max(float(np.abs(exact).max()), 1e-9)
        np.testing.assert_allclose(result / scale, exact / scale, rtol=0, atol=TOLERANCE, err_msg=str(case.layer))


def test_random_layers_give_the_same_bytes_on_another_core(drawn: Drawn, tmp_path: Path) -> None:
    if "avx512" in drawn.target.features and not set(Path("/proc/cpuinfo").read_text().split()) >= AVX512:
        pytest.skip("this machine has no AVX-512, and QEMU emulates none")
    toolchain = drawn.target.toolchain
    compiler = (f"{toolchain.prefix}gcc", *toolchain.cpu_flags)
    source = vector_layers.write_program(drawn.cases, drawn.core)
    program = vector_layers.build(source, compiler, tmp_path / "program")
    emulated = vector_layers.run([*EMULATORS[drawn.target.name], str(program)], drawn.cases, drawn.core)

    for case, here, there in zip(drawn.cases, drawn.results, emulated, strict=True):
        assert here.tobytes() == there.tobytes(), case.layer
