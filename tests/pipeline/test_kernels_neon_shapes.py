"""int8 kernels of Cortex-A that a layer's shape class chooses: the bytes of the generic kernels, here and emulated."""

from __future__ import annotations

from pathlib import Path

import linking
import pytest
import shape_cases
from shape_cases import Drawn

from edgecompress.compile import link
from edgecompress.compile.kernels.elementwise import Lookup
from edgecompress.core import tools

EMULATORS = {
    "rpi4": "qemu-aarch64-static -cpu cortex-a72",
    "rpi5": "qemu-aarch64-static -cpu cortex-a76",
    "rpi2": "qemu-arm-static -cpu cortex-a7",
}
ADDRESS_SANITIZER = ("-fsanitize=address",)


@pytest.fixture(scope="module", params=EMULATORS)
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return shape_cases.drawn_for(request.param, tmp_path_factory.mktemp(request.param))


def test_the_targets_own_kernels_are_chosen(drawn: Drawn) -> None:
    own = {call.kernel for call in drawn.program.calls if call.kernel.startswith("neon")}

    is_64_bit = drawn.target.machine == "aarch64"
    assert len(own) == len([case for case in drawn.cases if is_64_bit or not isinstance(case.shape, Lookup)])


def test_they_give_the_bytes_of_the_generic_kernels(drawn: Drawn) -> None:
    linking.reference(drawn.folder, link.NETWORK, Path("sanitized"), flags=ADDRESS_SANITIZER)

    drawn.agrees(drawn.folder / "sanitized")


def test_they_give_them_on_an_emulated_core_too(drawn: Drawn) -> None:
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
