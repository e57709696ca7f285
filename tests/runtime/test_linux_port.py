"""What ports/linux does without a C library, as small programs on every architecture that can be run here."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from edgecompress.core.wire import FaultKind

HERE = Path(__file__).parent
RUNTIME = HERE.parents[1] / "device_runtime"
SOURCES = sorted(
    path for folder in ("src", "ports/linux") for path in (RUNTIME / folder).glob("*.c") if path.name != "main.c"
)
FLAGS = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-fno-stack-protector", "-static", "-nostdlib"]
INCLUDES = [f"-I{RUNTIME / folder}" for folder in ("include", "src", "ports/linux")]
ONLY_ONE_CORE = 77
BUILDS = {
    platform.machine(): (["gcc"], []),
    "aarch64": (["aarch64-linux-gnu-gcc"], ["qemu-aarch64"]),
    "armv7": (
        ["arm-linux-gnueabihf-gcc", "-mcpu=cortex-a7", "-mfpu=neon-vfpv4"],
        ["qemu-arm", "-cpu", "cortex-a7"],
    ),
    "armv6": (
        ["arm-linux-gnueabihf-gcc", "-mcpu=arm1176jzf-s", "-mfpu=vfp", "-marm"],
        ["qemu-arm", "-cpu", "arm1176"],
    ),
}


@pytest.mark.parametrize("architecture", BUILDS)
def test_every_part_is_computed_once_by_any_number_of_threads(architecture: str, tmp_path: Path) -> None:
    assert exit_code_of("split_program.c", architecture, tmp_path) == 0


@pytest.mark.parametrize("architecture", BUILDS)
def test_each_thread_stays_on_a_core_of_its_own_where_the_target_wants_it(architecture: str, tmp_path: Path) -> None:
    code = exit_code_of("pin_program.c", architecture, tmp_path)
    if code == ONLY_ONE_CORE:
        pytest.skip("this process has one core")
    assert code == 0


@pytest.mark.parametrize("architecture", BUILDS)
def test_memory_functions_keep_to_their_bytes(architecture: str, tmp_path: Path) -> None:
    assert exit_code_of("memory_program.c", architecture, tmp_path) == 0


@pytest.mark.parametrize("architecture", BUILDS)
def test_division_is_right_where_the_core_has_none(architecture: str, tmp_path: Path) -> None:
    assert exit_code_of("division_program.c", architecture, tmp_path) == 0


@pytest.mark.parametrize("architecture", BUILDS)
def test_floats_and_large_integers_are_converted_where_the_core_cannot(architecture: str, tmp_path: Path) -> None:
    assert exit_code_of("conversion_program.c", architecture, tmp_path) == 0


def exit_code_of(source: str, architecture: str, folder: Path) -> int:
    compiler, emulator = BUILDS[architecture]
    emulator = [shutil.which(emulator[0]) or f"{emulator[0]}-static", *emulator[1:]] if emulator else []
    missing = [words[0] for words in (compiler, emulator) if words and shutil.which(words[0]) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    program = folder / "program"
    subprocess.run([*compiler, *FLAGS, *INCLUDES, HERE / source, *SOURCES, "-o", program], check=True, timeout=60)
    return subprocess.run([*emulator, program], timeout=60).returncode


def test_a_thread_that_overflows_its_stack_leaves_a_fault_record(tmp_path: Path) -> None:
    compiler, _ = BUILDS[platform.machine()]
    program = tmp_path / "program"
    sources = [HERE / "split_fault_program.c", *SOURCES]
    subprocess.run([*compiler, *FLAGS, "-Wno-infinite-recursion", *INCLUDES, *sources, "-o", program], check=True)
    assert subprocess.run([program], timeout=60).returncode == FaultKind.BAD_ADDRESS
