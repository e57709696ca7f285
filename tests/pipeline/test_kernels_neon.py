"""Random int8 layers as NEON kernels: a plain reference, and the same bytes on emulated Cortex-A cores as here."""

from __future__ import annotations

from pathlib import Path

import kernel_layers
import linking
import pytest
from kernel_layers import Drawn

from edgecompress.compile import link
from edgecompress.core import tools

LAYERS = {"rpi4": 26, "rpi5": 18, "rpi2": 16}
"""Profiles with NEON, and how many layers are drawn for each."""

EMULATORS = {
    "rpi4": "qemu-aarch64-static -cpu cortex-a72",
    "rpi5": "qemu-aarch64-static -cpu cortex-a76",
    "rpi2": "qemu-arm-static -cpu cortex-a7",
}
ADDRESS_SANITIZER = ("-fsanitize=address",)
"""That of undefined behaviour takes gcc 12 minutes for vectors."""


@pytest.fixture(scope="module", params=LAYERS)
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return kernel_layers.drawn_for(request.param, LAYERS[request.param], tmp_path_factory.mktemp(request.param))


def test_most_layers_have_neon_kernels(drawn: Drawn) -> None:
    fast = [call.kernel for call in drawn.program.calls if call.kernel.startswith("neon")]

    assert len(fast) > 0.7 * len(drawn.program.calls)


def test_random_layers_agree_with_a_plain_reference(drawn: Drawn) -> None:
    linking.reference(drawn.folder, link.NETWORK, Path("sanitized"), flags=ADDRESS_SANITIZER)

    drawn.agrees(drawn.folder / "sanitized")


def test_random_layers_give_the_same_bytes_on_an_emulated_core(drawn: Drawn) -> None:
    runtime, toolchain = link.find_runtime(link.REFERENCE_PORT), drawn.target.toolchain
    sources = [*link.NETWORK.sources, *(str(link.RUNTIME / name) for name in runtime.sources)]
    folders = ("src", "runtime/include", "runtime/src", f"runtime/ports/{link.REFERENCE_PORT}")
    words = [f"{toolchain.prefix}gcc", *toolchain.cpu_flags, *link.COMMON_FLAGS, *link.LINUX_FLAGS, "-O2", "-static"]
    words += [word for folder in folders for word in ("-I", folder)]
    tools.run([*words, *sources, "-lm", "-o", "emulated"], timeout_s=600, folder=drawn.folder)
    runner = drawn.folder / "run.sh"
    runner.write_text(f'#!/bin/sh\nexec {EMULATORS[drawn.target.name]} "$(dirname "$0")/emulated"\n')
    runner.chmod(0o755)

    drawn.agrees(runner)
