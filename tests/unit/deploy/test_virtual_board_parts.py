"""The parts of virtual boards that are pure Python: the archive, what a board says of itself, addresses."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgecompress.core import target as targets
from edgecompress.core.board import Answer
from edgecompress.core.device import Device
from edgecompress.core.errors import (
    ConfigError,
    MissingToolError,
    StorageError,
    UnreachableError,
    UsageError,
    WrongDeviceError,
)
from edgecompress.core.values import no_progress
from edgecompress.deploy import _board_cpio, _board_image, _board_keys, _board_namespace, loop, vm
from edgecompress.deploy._board_server import Server
from edgecompress.deploy._board_view import LoopBoard
from edgecompress.deploy._probe import fitting_targets, probe, refuse_wrong_board

NOT_IMITATED = ("x86-64-v4", "x86-64-vnni", "x86-64-amx")  # QEMU emulates no AVX-512
LINUX_BOARDS = tuple(n for n in targets.names() if targets.load(n).link == "ssh" and n not in NOT_IMITATED)


class ThisMachine:
    """What the host would say: nothing of it may come through as the board's."""

    def read(self, path: str) -> bytes | None:
        return f"the host's {path}".encode()

    def names(self, folder: str) -> tuple[str, ...]:
        return ("the-hosts",)

    def run(self, words: Sequence[str], *, timeout_s: float) -> Answer | None:
        return Answer(exit_code=0, stdout=f"the host's {words[0]}".encode())


def loop_board(name: str) -> LoopBoard:
    return LoopBoard(targets.load(name), ThisMachine())


def test_an_archive_holds_the_folders_above_its_files_and_is_padded() -> None:
    packed = _board_cpio.archive({"etc/key": (0o600, b"abcde")})
    entries = [packed[at : at + 110] for at in range(len(packed)) if packed.startswith(b"070701", at)]
    modes = [int(entry[14:22], 16) for entry in entries]
    sizes = [int(entry[54:62], 16) for entry in entries]
    assert modes == [0o040755, 0o040755, 0o100600, 0]
    assert sizes == [0, 0, 5, 0]
    assert [packed.count(name) for name in (b".\0", b"etc\0", b"etc/key\0", b"abcde\0\0\0", b"TRAILER!!!\0")] == [1] * 5
    assert len(packed) % 4 == 0
    assert packed == _board_cpio.archive({"etc/key": (0o600, b"abcde")})


@pytest.mark.parametrize("name", LINUX_BOARDS)
def test_a_loop_board_is_taken_for_the_profile_that_it_imitates(name: str) -> None:
    facts = probe(loop_board(name), "/srv")
    refuse_wrong_board(facts, targets.load(name), 1000)
    assert facts.name == f"loop://{name} ({targets.load(name).machine}, {facts.user_bits}-bit programs)"
    assert targets.load(fitting_targets(facts)[0]).machine == targets.load(name).machine


def test_a_loop_board_tells_nothing_of_the_machine_below_it() -> None:
    facts = probe(loop_board("rpi4"), "/srv")
    assert (facts.kernel, facts.libc, facts.governors, facts.ram_bytes, facts.highest_khz) == (
        None,
        None,
        (),
        None,
        None,
    )
    board = loop_board("rpi4")
    assert board.run(["vcgencmd", "get_throttled"], timeout_s=1) is None
    assert board.names("/sys/class/hwmon") == ()
    assert board.read("/srv/model") == b"the host's /srv/model"


@pytest.mark.parametrize(
    ("board", "wanted", "says"),
    [
        ("rpi4", "rpi5", "loop://rpi4 (aarch64, 64-bit programs) lacks dotprod, fp16, which rpi5 is compiled for"),
        ("rpi-zero", "rpi2", "loop://rpi-zero (armv6l, 32-bit programs) does not run programs for armv7l"),
        ("armv7", "rpi2", "loop://armv7 (armv7l, 32-bit programs) lacks fma, which rpi2 is compiled for"),
        ("x86-64", "x86-64-v3", "loop://x86-64 (x86_64, 64-bit programs) lacks avx2, fma, which x86-64-v3 is"),
    ],
)
def test_another_boards_program_is_refused(board: str, wanted: str, says: str) -> None:
    with pytest.raises(WrongDeviceError) as caught:
        refuse_wrong_board(probe(loop_board(board), "/srv"), targets.load(wanted), 1000)
    assert caught.value.message.startswith(says)


@pytest.mark.parametrize("name", LINUX_BOARDS)
def test_connecting_a_virtual_board_starts_nothing(name: str) -> None:
    device = loop.connect(targets.load(name), name)
    assert isinstance(device, Device)
    assert (device.emulated, device.instructions_per_tick, device.board) == (True, None, None)
    assert device.description.startswith(f"loop://{name} (")
    assert device.description.endswith(", emulated by qemu-user on this machine's kernel)")
    device.close()


def test_a_whole_virtual_board_counts_instructions() -> None:
    device = vm.connect(targets.load("rpi4"), "rpi4")
    assert device.description == "vm://rpi4 (cortex-a72, emulated by qemu-system-aarch64 with Debian's kernel)"
    assert (device.emulated, device.instructions_per_tick) == (True, 1.0)
    device.close()


def test_addresses_that_name_no_virtual_board_say_what_would() -> None:
    rpi4 = targets.load("rpi4")
    refused = []
    for module, address in ((loop, None), (vm, None), (loop, "mps2-an386"), (vm, "rpi2"), (vm, "mps2-an386")):
        with pytest.raises(UsageError) as caught:
            module.connect(rpi4, address)
        refused.append((caught.value.message, caught.value.hint))
    arm = "armv8.6-a, cortex-a76, cortex-a72, cortex-a53, armv8-a, cortex-a7, armv7-a, arm1176jzf-s"
    cores = f"{arm}, x86-64-v2, x86-64-v3"
    assert refused == [
        ("loop:// names no board", "give a profile: --device loop://rpi4"),
        ("vm:// names no board", "give a profile: --device vm://rpi4"),
        ("there is no virtual board for mps2-an386, whose core is cortex-m4", f"virtual boards have one of {cores}"),
        ("vm:// boots a 64-bit Arm system, and rpi2 is armv7l", "--device loop://rpi2 runs its programs by qemu-user"),
        ("vm:// boots a 64-bit Arm system, and mps2-an386 is a board without Linux", None),
    ]
    with pytest.raises(ConfigError, match="no target is called 'rpi9'"):
        vm.connect(rpi4, "rpi9")


def test_the_mirror_is_the_environments_before_apts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECOMPRESS_DEBIAN_MIRROR", "http://mirror.example/debian")
    assert _board_image.mirror() == "http://mirror.example/debian"


def test_without_mmdebstrap_nothing_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGECOMPRESS_DEBIAN_MIRROR", "http://mirror.example/debian")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError) as caught:
        _board_image.find_or_build(no_progress)
    assert caught.value.message == "mmdebstrap is not installed or not on PATH"
    assert caught.value.hint == "on Debian or Ubuntu: sudo apt-get install mmdebstrap"
    assert [path.name for path in (tmp_path / "edgecompress" / "virtual-board").iterdir()] == ["lock"]


def test_a_folder_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError) as caught:
        Server(["qemu"], "aarch64", tmp_path / "file" / "board")
    assert caught.value.message == f"cannot write {tmp_path}/file/board: Not a directory"
    assert caught.value.hint == "free some space there, or name other folders: TMPDIR and XDG_CACHE_HOME"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_board_that_never_answers_is_given_up() -> None:
    asked = []
    with pytest.raises(UnreachableError) as caught:
        _board_keys.wait_until_it_answers(
            _board_keys.free_port(), timeout_s=0.0, still_runs=lambda: asked.append(1), name="the virtual board"
        )
    assert caught.value.message == "the virtual board did not answer within 0 s"
    assert asked == [1]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="this Python is of another machine")
def test_the_magic_number_is_that_of_a_real_program() -> None:
    with Path(sys.executable).open("rb") as file:
        header = file.read(20)
    masked = bytes(byte & mask for byte, mask in zip(header, _board_namespace.MASK, strict=True))
    assert masked == bytes(
        byte & mask for byte, mask in zip(_board_namespace.magic("x86_64"), _board_namespace.MASK, strict=True)
    )
