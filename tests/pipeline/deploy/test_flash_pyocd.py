"""The pyOCD flasher: what it asks of pyOCD's own classes, and that what these say is not believed.

Sessions and probes are fakes that hold a memory; FlashLoader is replaced by one that writes into it. That the real
classes take these calls is asked of their signatures.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import usb_bench
from pyocd.core import helpers
from pyocd.core import session as pyocd_session
from pyocd.core.options import BUILTIN_OPTIONS
from pyocd.core.soc_target import SoCTarget
from pyocd.flash import loader as pyocd_loader
from usb_bench import Plugged

from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.errors import MissingToolError, TransferError, UnreachableError, UsageError, WrongDeviceError
from edgecompress.core.target import Target
from edgecompress.core.values import no_progress
from edgecompress.deploy import _firmware_image, _flashing
from edgecompress.deploy.flashers import Flasher, FlashOptions, pyocd

ToyBundle = Callable[..., Bundle]
CPUID_M4, CPUID_M0 = 0x410F_C241, 0x410C_C200
ERASED = 0xFF


class FakeProbe:
    def __init__(self, unique_id: str) -> None:
        self.unique_id = unique_id


class FakeBoard:
    """The memory behind every session of a test, and what was asked for."""

    def __init__(self) -> None:
        self.flash = bytearray([ERASED] * 65_536)
        self.words = {0xE000_ED00: CPUID_M4, 0xE000_EF40: 0x1011_0021, 0xE000_EF44: 0x1100_0011}
        self.mode = "honest"
        self.options: dict[str, Any] = {}
        self.loader: dict[str, Any] = {}
        self.done: list[str] = []

    def read32(self, address: int) -> int:
        self._may_hang()
        return self.words[address]

    def read_memory_block8(self, address: int, size: int) -> list[int]:
        self._may_hang()
        found = list(self.flash[address : address + size])
        return found if self.mode != "flipped" else [found[0] ^ 1, *found[1:]]

    def reset(self) -> None:
        self._may_hang()
        self.done.append("reset")

    def _may_hang(self) -> None:
        if self.mode == "failing":
            raise OSError("no ACK received")
        if self.mode == "hanging":
            threading.Event().wait(20)


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> FakeBoard:
    board = FakeBoard()

    class FakeSession:
        def __init__(self, probe: FakeProbe, *, options: dict[str, Any]) -> None:
            self.probe, self.target, board.options = probe, board, options

        def open(self) -> None:
            board.done.append("open")

        def close(self) -> None:
            board.done.append("close")

    class FakeLoader:
        def __init__(self, session: FakeSession, **options: Any) -> None:
            self._progress = options.pop("progress")
            self._data: list[tuple[int, bytes]] = []
            board.loader = options

        def add_data(self, address: int, data: bytes) -> None:
            self._data.append((address, data))

        def commit(self) -> None:
            board._may_hang()
            for address, data in self._data:
                part = {"silent": 0, "half": len(data) // 2}.get(board.mode, len(data))
                board.flash[address : address + part] = data[:part]
            self._progress(1.0)
            board.done.append("write")

    monkeypatch.setattr(pyocd_session, "Session", FakeSession)
    monkeypatch.setattr(pyocd_loader, "FlashLoader", FakeLoader)
    plug_in(monkeypatch, "066DFF")
    return board


def plug_in(monkeypatch: pytest.MonkeyPatch, *serial_numbers: str) -> None:
    probes = [FakeProbe(number) for number in serial_numbers]
    monkeypatch.setattr(helpers.ConnectHelper, "get_all_connected_probes", lambda **_: probes)


def target() -> Target:
    table = {"pyocd": {"target_type": "stm32l4r5zitx"}}
    return targets.load("mps2-an386").model_copy(update={"probe": table, "chip": None, "emulator": None})


def connect(*, mass_erase: bool = False) -> Flasher:
    return pyocd.connect(target(), "066dff", options=FlashOptions(mass_erase=mass_erase))


def flash(bundle: Bundle) -> _flashing.Flashed:
    return _flashing.flash(bundle, target(), connect, "serial:///dev/nowhere", no_progress)


def test_a_flash_writes_reads_back_and_resets(board: FakeBoard, toy_bundle: ToyBundle) -> None:
    bundle = toy_bundle("mps2-an386")
    flash(bundle).stream.close()
    image = _firmware_image.read(bundle.program, target()).flat()
    assert bytes(board.flash[: len(image.data)]) == image.data
    assert board.done == ["open", "write", "reset", "close"]
    assert board.loader == {"chip_erase": "sector", "trust_crc": False}
    assert board.options == {
        "target_override": "stm32l4r5zitx",
        "auto_unlock": False,
        "cache.enable_memory": False,
        "connect_mode": "attach",
        "resume_on_disconnect": True,
        "hide_programming_progress": True,
        "no_config": True,
    }


def test_only_a_mass_erase_erases_and_unlocks_the_chip(board: FakeBoard, toy_bundle: ToyBundle) -> None:
    flasher = connect(mass_erase=True)
    flasher.write(_firmware_image.read(toy_bundle("mps2-an386").program, target()), no_progress)
    assert board.loader["chip_erase"] == "chip"
    assert board.options["auto_unlock"] is True


def test_pyocd_has_what_is_called() -> None:
    known = {option.name for option in BUILTIN_OPTIONS}
    assert known >= {"target_override", "auto_unlock", "cache.enable_memory", "connect_mode", "no_config"}
    assert {"progress", "chip_erase", "trust_crc"} <= set(inspect.signature(pyocd_loader.FlashLoader).parameters)
    assert list(inspect.signature(pyocd_loader.FlashLoader.add_data).parameters) == ["self", "address", "data"]
    assert {"probe", "options"} <= set(inspect.signature(pyocd_session.Session).parameters)
    assert "blocking" in inspect.signature(helpers.ConnectHelper.get_all_connected_probes).parameters
    assert list(inspect.signature(SoCTarget.read_memory_block8).parameters) == ["self", "addr", "size"]


@pytest.mark.parametrize("mode", ["silent", "half", "flipped"])
def test_a_lying_library_is_found_out(mode: str, board: FakeBoard, toy_bundle: ToyBundle) -> None:
    board.mode = mode
    with pytest.raises(TransferError, match="holds something else than was written"):
        flash(toy_bundle("mps2-an386"))
    assert "reset" not in board.done


def test_another_core_is_refused_before_anything_is_written(board: FakeBoard, toy_bundle: ToyBundle) -> None:
    board.words[0xE000_ED00] = CPUID_M0
    with pytest.raises(WrongDeviceError, match="the chip is cortex-m0"):
        flash(toy_bundle("mps2-an386"))
    assert board.done == ["open", "close"]


def test_two_probes_are_not_guessed_between(board: FakeBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, "A1", "B2")
    with pytest.raises(UsageError) as caught:
        pyocd.connect(target(), None, options=FlashOptions())
    assert caught.value.message == "2 debug probes could be meant: which one?"
    assert caught.value.hint == "there are: A1, B2"
    with pytest.raises(UnreachableError) as caught_too:
        pyocd.connect(target(), "C3", options=FlashOptions())
    assert caught_too.value.message == "no debug probe has the USB serial number C3"


def test_a_j_links_own_port_is_the_console_whatever_zeros_stand_before_its_number(
    board: FakeBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in(monkeypatch, "683")
    usb_bench.plug_in(
        monkeypatch, tmp_path, Plugged(usb_id="1366:1015", serial_number="000000683", ports=("/dev/ttyACM0",))
    )
    flasher = pyocd.connect(target(), "000000683", options=FlashOptions())
    assert flasher.console() == "serial://usb:000000683"


def test_a_call_that_fails_is_quoted(board: FakeBoard) -> None:
    flasher = connect()
    board.mode = "failing"
    with pytest.raises(UnreachableError) as caught:
        flasher.identify()
    assert caught.value.message == "mps2-an386 at 066DFF (pyocd): reading 0xe000ed00 failed: no ACK received"


def test_a_call_that_hangs_is_given_up_at_its_deadline(board: FakeBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    flasher = connect()
    board.mode = "hanging"
    monkeypatch.setattr(pyocd, "RESET_S", 0.2)
    with pytest.raises(UnreachableError) as caught:
        flasher.reset()
    assert caught.value.message == "mps2-an386 at 066DFF (pyocd): the reset did not end within 0.2 s"


def test_without_the_package_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyocd.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingToolError) as caught:
        pyocd.connect(target(), None, options=FlashOptions())
    assert caught.value.message == "the Python package pyocd is not installed"
    assert caught.value.hint == "pip install 'edgecompress[pyocd]'"
