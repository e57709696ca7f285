from __future__ import annotations

import errno
import os
from pathlib import Path

import linking
import pytest

from edgecompress.compile import link
from edgecompress.core import compilers, tools
from edgecompress.core import target as targets
from edgecompress.core.errors import ConfigError, ToolFailedError
from edgecompress.core.target import Memory, Region


def test_memory_regions_become_the_linker_s_memory_command() -> None:
    memory = Memory(flash=Region(origin=0x800_0000, length=1_048_576), ram=Region(origin=0x2000_0000, length=65_536))

    assert link.memory_script(memory) == (
        "MEMORY\n"
        "{\n"
        "  FLASH (rx) : ORIGIN = 0x08000000, LENGTH = 1048576\n"
        "  RAM (rwx)  : ORIGIN = 0x20000000, LENGTH = 65536\n"
        "}\n"
    )


@pytest.mark.parametrize("name", targets.names())
def test_every_target_is_built_so_that_floats_are_reproducible(name: str) -> None:
    target = targets.load(name)
    flags = link.device_flags(target, compilers.gnu(target.toolchain))

    assert "-ffp-contract=off" in flags
    assert not any(flag in ("-ffast-math", "-Ofast") for flag in flags)


def test_mode_size_unrolls_less() -> None:
    target = targets.load("mps2-an386")
    compiler = compilers.gnu(target.toolchain)

    assert "-O3" in link.device_flags(target, compiler)
    small = link.device_flags(target, compiler, small=True)
    assert "-O2" in small
    assert "-O3" not in small


def test_a_bare_port_has_a_linker_script_and_a_hosted_one_has_none() -> None:
    board, hosted = link.find_runtime("mps2_an386"), link.find_runtime("linux")

    assert board.linker_script == "ports/cortex_m/link.ld"
    assert hosted.linker_script is None
    assert "src/serve.c" in board.sources
    assert "src/serve.c" in hosted.sources


def test_the_reference_is_built_from_its_main_and_one_thread() -> None:
    assert link.find_runtime(link.REFERENCE_PORT).sources == (
        "ports/reference/main.c",
        "ports/reference/read_weights.c",
        "ports/serial/split.c",
    )


def test_an_unknown_port_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"^device_runtime has no port 'toaster'$") as caught:
        link.find_runtime("toaster")

    assert caught.value.hint is not None
    assert caught.value.hint.startswith("known ports: ")
    assert "mps2_an386, mps2_an500" in caught.value.hint


def test_a_disk_that_the_compiler_filled_is_a_disk_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*words: object, **options: object) -> bytes:
        raise ToolFailedError(f"gcc failed with exit code 1:\nfatal error: model.o: {os.strerror(errno.ENOSPC)}")

    monkeypatch.setattr(tools, "run", fail)

    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as caught:
        linking.reference(tmp_path, link.Network(sources=("src/model.c",)), Path("reference"))

    assert caught.value.errno == errno.ENOSPC
