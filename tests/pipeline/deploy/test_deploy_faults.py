"""What goes wrong on real parts: processes and emulators that die, lie, crash or are not there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgecompress.core import plugins
from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.errors import (
    ConfigError,
    MissingToolError,
    TransferError,
    UnreachableError,
    UsageError,
    WrongDeviceError,
)

ToyBundle = Callable[..., Bundle]
SAMPLE = {"signal": np.zeros(16, np.int8)}
NULL_CALL, UNDEFINED_INSTRUCTION, READ_NOWHERE, ENDLESS_RECURSION, ENDLESS_LOOP = 1, 2, 3, 4, 5
FOREVER = 0xFFFF_FFFF
"""Turns of a loop that takes QEMU about 20 s."""


def connect(target_name: str, **arguments: object) -> Device:
    target = targets.load(target_name)
    device = plugins.find("deploy", target.link, where=target_name).connect(target, **arguments)
    assert isinstance(device, Device)
    return device


def children() -> set[int]:
    return {int(pid) for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()}


def is_running(pid: int) -> bool:
    """False for a zombie: it has ended, nobody has asked for its exit code yet."""
    try:
        return " (zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("name", ["host", "mps2-an386"])
def test_a_program_that_is_killed_in_the_middle_of_a_run_is_reported(name: str, toy_bundle: ToyBundle) -> None:
    bundle = toy_bundle(name, TOY_SPIN=FOREVER)
    before = children()
    with connect(name) as device:
        killer = threading.Timer(1.0, lambda: [os.kill(pid, signal.SIGKILL) for pid in children() - before])
        killer.start()
        with pytest.raises(UnreachableError) as caught:
            device.install(bundle)
    who = "the program" if name == "host" else "the emulator"
    assert caught.value.message == f"{who} was ended by SIGKILL"
    assert children() == before


@pytest.mark.parametrize("name", ["host", "mps2-an386"])
def test_firmware_of_another_build_is_refused(name: str, toy_bundle: ToyBundle) -> None:
    bundle = toy_bundle(name, TOY_BUILD_BYTE=0x11)
    with connect(name) as device, pytest.raises(WrongDeviceError) as caught:
        device.install(bundle)
    shown = "mps2-an386 (emulated by qemu-system-arm)" if name != "host" else "host (a process on this machine)"
    assert caught.value.message == (
        f"{shown} runs build 110102030405060708090a0b0c0d0e0f; the bundle is build a50102030405060708090a0b0c0d0e0f"
    )
    assert caught.value.exit_code == 8


def test_an_output_that_differs_from_its_vector_is_named(toy_bundle: ToyBundle) -> None:
    bundle = toy_bundle("mps2-an386")
    path = bundle.folder / "vectors" / "outputs_0.npy"
    outputs = np.load(path)
    outputs[5] = [127, 0, 127, 127]
    got = np.load(path)[5].view(np.uint8)
    np.save(path, outputs)
    expected = outputs[5].view(np.uint8)
    wrong = np.flatnonzero(got != expected)
    with connect("mps2-an386") as device, pytest.raises(TransferError) as caught:
        device.install(bundle)
    assert caught.value.message == (
        "mps2-an386 (emulated by qemu-system-arm) computes other bytes than the host program: output 'sums' of vector "
        f"5 differs in {wrong.size} of 4 bytes, first at byte {wrong[0]} ({got[wrong[0]]} instead of "
        f"{expected[wrong[0]]})"
    )


KINDS_ON_BOARDS = {
    NULL_CALL: "usage fault",
    UNDEFINED_INSTRUCTION: "usage fault",
    READ_NOWHERE: "bus fault",
}
KINDS_ON_HOST = {
    NULL_CALL: "bad address fault",
    UNDEFINED_INSTRUCTION: "illegal instruction fault",
    READ_NOWHERE: "bad address fault",
    ENDLESS_RECURSION: "bad address fault",
}
PLANTED = [
    *(("host", fault, kind) for fault, kind in KINDS_ON_HOST.items()),
    *(
        (board, fault, kind)
        for board in ("mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547")
        for fault, kind in KINDS_ON_BOARDS.items()
    ),
    # Armv6-M tells of no fault where it came from, and does not notice a stack that overflows.
    *(("microbit", fault, "hard fault") for fault in KINDS_ON_BOARDS),
    # Armv7-M has a guard below the stack, Armv8-M a limit of the stack pointer.
    *((board, ENDLESS_RECURSION, "memory fault") for board in ("mps2-an385", "mps2-an386", "mps2-an500")),
    *((board, ENDLESS_RECURSION, "usage fault") for board in ("mps2-an505", "mps3-an547")),
]


@pytest.mark.parametrize(("name", "fault", "kind"), PLANTED)
def test_a_fault_in_the_network_is_reported_with_its_layer(
    name: str, fault: int, kind: str, toy_bundle: ToyBundle
) -> None:
    bundle = toy_bundle(name, TOY_FAULT=fault)
    with connect(name) as device, pytest.raises(UnreachableError) as caught:
        device.install(bundle)
    told = re.fullmatch(
        rf"{re.escape(device.description)} stopped with {kind} in layer 1 \(sum_quarters\), "
        r"at pc 0x[0-9a-f]+( \(.+\))?, address 0x[0-9a-f]+, status 0x[0-9a-f]+( \([a-zT ,-]+\))?"
        r"(, [\d,]+ bytes of stack taken)?",
        caught.value.message,
    )
    assert told is not None, caught.value.message
    assert PLACES[name == "host", fault] in str(told[1])
    assert bool(told[2]) == (name not in ("host", "microbit"))
    assert bool(told[3]) == (name != "host")


PLACES = {
    (True, NULL_CALL): "None",
    (True, UNDEFINED_INSTRUCTION): "toy_run_layer",
    (True, READ_NOWHERE): "toy_run_layer",
    (True, ENDLESS_RECURSION): "descend",
    (False, NULL_CALL): "called by toy_run_layer, toy_network.c:",
    (False, UNDEFINED_INSTRUCTION): "toy_run_layer, toy_network.c:",
    (False, READ_NOWHERE): "toy_run_layer, toy_network.c:",
    (False, ENDLESS_RECURSION): "",
}
"""(whether this machine runs it, the fault) -> what the place contains. A guarded stack hides the instruction."""


@pytest.mark.parametrize(
    ("board", "ticks"),
    [
        ("mps2-an385", 2_500_000),
        ("mps2-an386", 2_500_000),
        ("mps2-an500", 2_500_000),
        ("mps2-an505", 3_277),
        ("mps3-an547", 3_277),
    ],
)
def test_a_layer_that_never_ends_is_named_by_the_watchdog(board: str, ticks: int, toy_bundle: ToyBundle) -> None:
    bundle = toy_bundle(board, f"-DEDGERT_WATCH_TICKS={ticks}u", TOY_FAULT=ENDLESS_LOOP)
    with connect(board) as device, pytest.raises(UnreachableError) as caught:
        device.install(bundle)
    assert re.fullmatch(
        rf"{re.escape(device.description)} stopped with watchdog fault in layer 1 \(sum_quarters\), "
        r"at pc 0x[0-9a-f]+ \(toy_run_layer, toy_network\.c:\d+\), address 0x0, status 0x0, \d+ bytes of stack taken",
        caught.value.message,
    )
    registers = caught.value.figures["fault"]["registers"]
    assert len(registers) == 16
    assert registers[13] in range(0x2000_0000, 0x4000_0000)


@pytest.mark.parametrize("name", ["host", "microbit", "mps2-an386", "mps2-an505", "mps3-an547"])
def test_a_reset_leaves_a_working_device(name: str, toy_bundle: ToyBundle) -> None:
    with connect(name) as device:
        device.install(toy_bundle(name))
        device.reset()
        assert device.run(SAMPLE).outputs["sums"].tolist() == [0, 0, 0, 0]


def test_emulator_arguments_that_the_emulator_refuses_are_shown(toy_bundle: ToyBundle) -> None:
    with (
        connect("mps2-an386", emulator_args=("-nonsense",)) as device,
        pytest.raises(UnreachableError) as caught,
    ):
        device.install(toy_bundle("mps2-an386"))
    assert caught.value.message == "the emulator ended with exit code 1"
    assert caught.value.hint is not None
    assert caught.value.hint.endswith("-nonsense: invalid option")


def test_emulator_arguments_reach_the_emulator(toy_bundle: ToyBundle, tmp_path: Path) -> None:
    trace = tmp_path / "trace.txt"
    with connect("mps2-an386", emulator_args=("-d", "int", "-D", str(trace))) as device:
        device.install(toy_bundle("mps2-an386"))
    assert "Loaded reset SP" in trace.read_text()


def test_a_missing_emulator_names_its_package(toy_bundle: ToyBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = toy_bundle("mps2-an386")
    monkeypatch.setenv("PATH", "/nonexistent")
    with connect("mps2-an386") as device, pytest.raises(MissingToolError) as caught:
        device.install(bundle)
    assert caught.value.hint == "on Debian or Ubuntu: sudo apt-get install qemu-system-arm"


@pytest.mark.parametrize("name", ["host", "mps2-an386"])
def test_a_bundle_without_its_program_is_refused(name: str, toy_bundle: ToyBundle) -> None:
    bundle = toy_bundle(name)
    bundle.program.unlink()
    with connect(name) as device, pytest.raises(ConfigError, match="the bundle holds no program"):
        device.install(bundle)


def test_an_address_means_nothing_here() -> None:
    with pytest.raises(UsageError, match=r"it has no address \(got '10\.0\.0\.1'\)"):
        connect("host", address="10.0.0.1")


def test_only_some_emulators_keep_a_board() -> None:
    with pytest.raises(UsageError, match=r"the emulated mps2-an385 cannot be kept in a folder \(got 'board'\)"):
        connect("mps2-an385", address="board")


def test_a_comma_above_the_folder_is_found_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a,b").mkdir()
    monkeypatch.chdir(tmp_path / "a,b")
    with pytest.raises(UsageError, match="the folder 'board' has a comma in its path"):
        connect("mps2-an386", address="board")


def test_emulator_arguments_mean_nothing_for_a_process() -> None:
    with pytest.raises(UsageError, match="host is not emulated: --emulator-args means nothing there"):
        connect("host", emulator_args=("-d", "int"))


def test_a_broken_program_is_reported(toy_bundle: ToyBundle) -> None:
    bundle = toy_bundle("host")
    bundle.program.write_bytes(b"not a program")
    with connect("host") as device, pytest.raises(UnreachableError) as caught:
        device.install(bundle)
    assert caught.value.message == "the program ended with exit code 1"
    assert caught.value.hint is not None
    assert "Exec format error" in caught.value.hint


PARENT = """
import sys, time
import numpy as np
from pathlib import Path
from edgecompress.core import bundle, plugins, target
board = target.load("mps2-an386")
held = bundle.load(Path(sys.argv[1]))
device = plugins.find("deploy", board.link, where="test").connect(board)
device.install(held)
print(Path("/proc/self/task").joinpath(Path("/proc/self").resolve().name, "children").read_text().strip(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_emulator_ends_with_its_parent_whatever_ends_that(end: signal.Signals, toy_bundle: ToyBundle) -> None:
    bundle = toy_bundle("mps2-an386")
    (bundle.folder / "manifest.json").write_text(bundle.manifest.model_dump_json())
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(bundle.folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        emulator = int(parent.stdout.readline())
        assert is_running(emulator)
        parent.send_signal(end)
        parent.wait(10)
    deadline = time.monotonic() + 5
    while is_running(emulator) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(emulator)


def test_an_emulator_that_hangs_is_ended_all_the_same(toy_bundle: ToyBundle) -> None:
    before = children()
    device = connect("mps2-an386")
    device.install(toy_bundle("mps2-an386"))
    (emulator,) = children() - before
    os.kill(emulator, signal.SIGSTOP)
    device.close()
    assert children() == before


@pytest.mark.parametrize("board", ["mps2-an505", "mps3-an547"])
def test_firmware_for_another_board_is_reported_with_the_emulators_reason(board: str, toy_bundle: ToyBundle) -> None:
    bundle = toy_bundle("mps2-an386")
    bundle = Bundle(folder=bundle.folder, manifest=bundle.manifest.model_copy(update={"target": board}))
    with connect(board) as device, pytest.raises(UnreachableError) as caught:
        device.install(bundle)
    assert caught.value.message == "the emulator was ended by SIGABRT"
    assert caught.value.hint is not None
    assert re.fullmatch(r"it said: qemu: fatal: Lockup: .*", caught.value.hint)
