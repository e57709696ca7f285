"""Random layers as vector kernels: a plain reference in float64, and the same bytes on emulated cores as here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import vector_layers
from vector_layers import Case

from edgecompress.compile import link
from edgecompress.compile.kernels import vector_core
from edgecompress.core import target as targets
from edgecompress.core.values import Array

TOLERANCE = 1e-5
"""Largest difference from the reference, as a part of the layer's largest number."""

LAYERS = {"rpi4": 110, "rpi2": 25, "armv7": 25, "x86-64-v3": 25, "x86-64": 25}
"""Linux profiles with vectors of floats, and how many layers are drawn for each."""

EMULATORS = {
    "rpi4": ("qemu-aarch64-static", "-cpu", "cortex-a72"),
    "rpi2": ("qemu-arm-static", "-cpu", "cortex-a7"),
    "armv7": ("qemu-arm-static", "-cpu", "cortex-a9"),
    "x86-64-v3": ("qemu-x86_64-static", "-cpu", "Haswell"),
    "x86-64": ("qemu-x86_64-static", "-cpu", "Nehalem"),
}


def draw(profile: str) -> list[Case]:
    generator = np.random.default_rng(sum(map(ord, profile)))
    return [vector_layers.draw(generator) for _ in range(LAYERS[profile])]


def core_of(profile: str) -> vector_core.VectorCore:
    core = vector_core.of(targets.load(profile))
    assert core is not None
    return core


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Array]]:
    """What this machine computes, by profile."""
    folder = tmp_path_factory.mktemp("vectors")
    found = {}
    for profile in LAYERS:
        cases, core = draw(profile), core_of(profile)
        source = vector_layers.write_program(cases, core)
        flags = link.reference_flags(targets.load(profile))
        program = vector_layers.build(source, ("gcc", *flags), folder / profile)
        found[profile] = vector_layers.run([str(program)], cases, core)
    return found


@pytest.mark.parametrize("profile", LAYERS)
def test_random_layers_agree_with_a_plain_reference(profile: str, results: dict[str, list[Array]]) -> None:
    for case, result in zip(draw(profile), results[profile], strict=True):
        exact = vector_layers.reference(case)
        scale = max(float(np.abs(exact).max()), 1e-9)
        np.testing.assert_allclose(result / scale, exact / scale, rtol=0, atol=TOLERANCE, err_msg=str(case.layer))


@pytest.mark.parametrize("profile", LAYERS)
def test_random_layers_give_the_same_bytes_on_an_emulated_core(
    profile: str, results: dict[str, list[Array]], tmp_path: Path
) -> None:
    target, cases, core = targets.load(profile), draw(profile), core_of(profile)
    compiler = (f"{target.toolchain.prefix}gcc", *target.toolchain.cpu_flags)
    program = vector_layers.build(vector_layers.write_program(cases, core), compiler, tmp_path / "program")
    emulated = vector_layers.run([*EMULATORS[profile], str(program)], cases, core)

    for case, here, there in zip(cases, results[profile], emulated, strict=True):
        assert here.tobytes() == there.tobytes(), case.layer
