"""What `edgecompress doctor` finds, on machines that have nothing, or a little."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecompress.core import compilers, flash_tools, installed, plugins
from edgecompress.core import target as targets
from edgecompress.core.errors import MissingToolError
from edgecompress.core.installed import Prospect

OR_ZIG = "or anywhere: pip install 'edgecompress[zig]'"
CROSS = "aarch64-linux-gnu-gcc"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing in it, on a machine without zig and without sshd."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(installed, "SSHD_FOLDERS", ())
    monkeypatch.setattr(compilers, "has_zig", lambda: False)
    monkeypatch.setattr(flash_tools.importlib.util, "find_spec", lambda _: None)
    return tmp_path


def install(path: Path, name: str) -> None:
    program = path / name
    program.write_text(f"#!/bin/sh\necho {name} 9.9\n")
    program.chmod(0o755)


def test_nothing_is_there_and_everything_that_helps_is_named(path: Path) -> None:
    survey = installed.survey([targets.load("rpi4"), targets.load("mps2-an386")])

    named = [tool for tool in survey.tools if tool.kind != installed.PACKAGE]
    assert [tool.name for tool in named if tool.version is not None] == []
    assert survey.targets == (
        Prospect(
            target="rpi4",
            compiler=None,
            runs_on=("ssh://",),
            install=(
                f"on Debian or Ubuntu: sudo apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross; {OR_ZIG}",
                "on Debian or Ubuntu: sudo apt-get install qemu-user openssh-server qemu-system-arm mmdebstrap",
            ),
        ),
        Prospect(
            target="mps2-an386",
            compiler=None,
            runs_on=(),
            install=(
                "on Debian or Ubuntu: sudo apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi",
                "on Debian or Ubuntu: sudo apt-get install qemu-system-arm",
            ),
            flashed_by=("gdb",),
        ),
    )


def test_a_gnu_compiler_comes_before_zig(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = targets.load("rpi4")
    monkeypatch.setattr(compilers, "has_zig", lambda: True)
    assert compilers.choose(target).name == "zig"
    assert compilers.choose(target).cpu_flags == ("-target", "aarch64-linux-musl", "-mcpu=cortex_a72")
    install(path, CROSS)
    assert compilers.choose(target).name == CROSS
    assert compilers.choose(target).command == (CROSS, "-mcpu=cortex-a72")


def test_without_any_compiler_both_are_named(path: Path) -> None:
    with pytest.raises(MissingToolError) as caught:
        compilers.choose(targets.load("rpi-zero"))
    assert caught.value.message == "arm-linux-gnueabihf-gcc is not installed or not on PATH, and neither is zig"
    assert caught.value.hint == (
        f"on Debian or Ubuntu: sudo apt-get install gcc-arm-linux-gnueabihf libc6-dev-armhf-cross; {OR_ZIG}"
    )


def test_a_board_without_a_zig_target_is_built_by_its_gnu_compiler_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilers, "has_zig", lambda: True)
    with pytest.raises(MissingToolError) as caught:
        compilers.choose(targets.load("mps2-an386"))
    assert caught.value.message == "arm-none-eabi-gcc is not installed or not on PATH"


def test_what_is_there_tells_its_version_and_opens_a_way(path: Path) -> None:
    for name in (CROSS, "qemu-aarch64-static", "sshd"):
        install(path, name)

    survey = installed.survey([targets.load("rpi4")])

    versions = {tool.name: tool.version for tool in survey.tools if tool.version and tool.kind != installed.PACKAGE}
    assert versions == {CROSS: f"{CROSS} 9.9", "qemu-aarch64": "qemu-aarch64-static 9.9", "sshd": "there"}
    (prospect,) = survey.targets
    assert (prospect.compiler, prospect.runs_on) == (CROSS, ("ssh://", "loop://rpi4"))
    assert survey.to_install["on Debian or Ubuntu: sudo apt-get install qemu-system-arm mmdebstrap"] == ["rpi4"]


def test_every_flasher_has_its_tool_and_every_tool_its_flasher() -> None:
    listed = tuple(sorted(tool.flasher for tool in flash_tools.TOOLS))
    assert listed == plugins.names("deploy.flashers")


def test_a_board_tells_by_what_it_can_be_flashed_and_what_is_missing(path: Path) -> None:
    board = targets.load("mps2-an386").model_copy(
        update={"flasher": "openocd", "probe": {"openocd": {"config": "x.cfg"}, "jlink": {"device": "x"}}}
    )
    (prospect,) = installed.survey([board]).targets
    assert prospect.flashed_by == ("gdb",)
    assert prospect.install[-1] == "on Debian or Ubuntu: sudo apt-get install openocd"
    install(path, "openocd")
    install(path, "JLinkExe")
    survey = installed.survey([board])
    assert survey.targets[0].flashed_by == ("openocd", "gdb", "jlink")
    (tool,) = [tool for tool in survey.tools if tool.name == "JLinkExe"]
    assert (tool.kind, tool.version, tool.purpose) == ("flasher", "there", "mps2-an386")
