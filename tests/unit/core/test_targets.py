"""The shipped target profiles, and what a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecompress.core import plugins
from edgecompress.core import target as targets
from edgecompress.core.errors import ConfigError

ROOT = Path(__file__).parents[3]
RUNTIME = ROOT / "device_runtime"
BARE = tuple(name for name in targets.names() if targets.load(name).system == "bare")
PROFILE = """
description = "a board"
system = "bare"
cpu = "cortex-m4"
port = "mps2_an386"
link = "qemu"
[toolchain]
"""


def test_all_targets_are_there() -> None:
    emulated = {"microbit", "mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547"}
    nordic = {"arduino-nano33ble", "nrf52840dk", "nrf5340dk"}
    nucleo = {"nucleo-f746zg", "nucleo-h7a3zi", "nucleo-l4r5zi", "nucleo-u575zi"}
    boards = {
        *emulated,
        *nordic,
        *nucleo,
        "netduinoplus2",
        "raspberry-pi-pico",
        "raspberry-pi-pico2",
        "stm32vldiscovery",
    }
    raspberries = {"rpi-zero", "rpi-zero2", "rpi2", "rpi3", "rpi4", "rpi5"}
    generic = {
        "host",
        "aarch64",
        "aarch64-i8mm",
        "armv7",
        "x86-64",
        "x86-64-v3",
        "x86-64-v4",
        "x86-64-vnni",
        "x86-64-amx",
    }
    assert {*generic, *boards, *raspberries} <= set(targets.names())


@pytest.mark.parametrize("name", [n for n in targets.names() if n not in ("host", *BARE)])
def test_a_linux_target_says_what_uname_prints_and_how_both_compilers_build_for_it(name: str) -> None:
    target = targets.load(name)
    architecture = (target.machine or "").replace("armv6l", "arm").replace("armv7l", "arm")
    assert target.toolchain.prefix.startswith(f"{architecture}-linux-gnu")
    assert (target.toolchain.zig_target or "").startswith(f"{architecture}-linux-musl")
    assert any(target.cpu in flag for flag in target.toolchain.cpu_flags)
    assert (target.system, target.port, target.link) == ("linux", "linux", "ssh")


@pytest.mark.parametrize("name", [n for n in targets.names() if n.startswith("rpi")])
def test_a_raspberry_pi_has_clock_cores_caches_and_memory(name: str) -> None:
    target = targets.load(name)
    assert target.clock_hz
    assert target.cores
    assert target.caches
    assert target.ram_limit_bytes == target.ram_bytes is not None


@pytest.mark.parametrize("name", targets.names())
def test_a_target_names_a_port_and_a_link_that_exist(name: str) -> None:
    target = targets.load(name)
    assert target.name == name
    files = (RUNTIME / "ports" / target.port / "files.txt").read_text().split()
    assert [path for path in files if not (RUNTIME / path).is_file()] == []
    assert target.link in plugins.names("deploy")


@pytest.mark.parametrize("name", targets.names())
def test_a_bare_target_has_memory_a_linker_script_and_its_cpu_in_the_flags(name: str) -> None:
    target = targets.load(name)
    files = (RUNTIME / "ports" / target.port / "files.txt").read_text().split()
    scripts = [path for path in files if path.endswith(".ld")]
    assert len(scripts) == (1 if target.system == "bare" else 0)
    assert (target.memory is not None) == (target.system == "bare")
    if target.system == "bare":
        assert f"-mcpu={target.cpu}" in target.toolchain.cpu_flags


@pytest.mark.parametrize("name", [n for n in targets.names() if targets.load(n).emulator])
def test_a_tick_of_an_emulated_board_is_one_clock_of_its_timer(name: str) -> None:
    """With -icount shift=0 an instruction is a nanosecond; measured with a counted loop in tests/pipeline/deploy."""
    target = targets.load(name)
    assert target.emulator is not None
    assert target.clock_hz is not None
    nanoseconds = name == "netduinoplus2"  # QEMU's STM32 timers count them
    assert target.emulator.instructions_per_tick == (1 if nanoseconds else 1e9 / target.clock_hz)
    board = (RUNTIME / "ports" / target.port / "board.h").read_text()
    assert f"#define BOARD_CLOCK_HZ {target.clock_hz}u\n" in board


def test_a_budget_takes_the_place_of_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(PROFILE + "[memory]\nflash = {origin = 0, length = 1000}\nram = {origin = 0, length = 2000}\n")
    roomy = targets.load(str(path))
    assert (roomy.name, roomy.flash_limit_bytes, roomy.ram_limit_bytes) == ("small", 1000, 2000)
    path.write_text(path.read_text() + "[budget]\nram_bytes = 500\n")
    assert (targets.load(str(path)).flash_limit_bytes, targets.load(str(path)).ram_limit_bytes) == (1000, 500)


def test_this_machine_has_no_memory_limit() -> None:
    host = targets.load("host")
    assert (host.flash_limit_bytes, host.ram_limit_bytes) == (None, None)


def test_an_unknown_target_is_told_the_nearest_name() -> None:
    with pytest.raises(ConfigError) as caught:
        targets.load("mps2-an368")
    assert caught.value.message == "no target is called 'mps2-an368'"
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(
        "did you mean 'mps2-an386'? known: aarch64, aarch64-i8mm, arduino-nano33ble, armv7, host, "
    )


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("clockhz = 5", "unknown key 'clockhz'", "did you mean 'clock_hz'?"),
        (
            "clock_hz = 'fast'",
            "'clock_hz': Input should be a valid integer",
            None,
        ),
        ("clock_hz = 0", "'clock_hz': Input should be greater than 0 (got 0)", None),
        ("memory.flash = {origin = -1, length = 5}", "'memory.flash.origin': Input should be greater than", None),
    ],
)
def test_a_wrong_profile_names_file_and_key(line: str, message: str, hint: str | None, tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text(line + "\n" + PROFILE)
    with pytest.raises(ConfigError) as caught:
        targets.load(str(path))
    assert caught.value.message.startswith(f"{path}: {message}")
    assert caught.value.hint == hint


def test_a_profile_without_a_port_says_so(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text(PROFILE.replace('port = "mps2_an386"\n', ""))
    with pytest.raises(ConfigError) as caught:
        targets.load(str(path))
    assert caught.value.message == f"{path}: the key 'port' is missing"
