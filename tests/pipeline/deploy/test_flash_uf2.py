"""The UF2 flasher onto folders that stand in for a bootloader's drive; it cannot read back, so hello decides."""

from __future__ import annotations

import shutil
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serial.tools import list_ports
from serial_ports import QemuBoard

from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.errors import ConfigError, TransferError, UnreachableError, UsageError, WrongDeviceError
from edgecompress.core.target import Chip, Target, Usb
from edgecompress.core.values import no_progress
from edgecompress.deploy import _firmware_image, _flashing, _uf2_drives
from edgecompress.deploy._flash_link import FlashLink, Tool
from edgecompress.deploy.flashers import FlashOptions, Segment, uf2

ToyBundle = Callable[..., Bundle]
INFO = "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: {}\r\n"


class Bootloader:
    """A folder as a drive: when a whole UF2 file lies there, its blocks are kept and the drive goes away."""

    def __init__(self, folder: Path, board_id: str) -> None:
        self.folder = folder
        self.flash: dict[int, bytes] = {}
        folder.mkdir()
        (folder / _uf2_drives.INFO).write_text(INFO.format(board_id))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Bootloader:
        self._thread.start()
        return self

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            data = b"".join(path.read_bytes() for path in self.folder.glob("*.UF2"))
            if data and len(data) == 512 * struct.unpack_from("<I", data, 24)[0]:
                self._take(data)
                shutil.rmtree(self.folder)
                return

    def _take(self, data: bytes) -> None:
        """As the UF2 specification says: blocks with a wrong magic number or another family are left out."""
        for start in range(0, len(data), 512):
            first, second, flags, address, size, *_, family = struct.unpack_from("<8I", data, start)
            (last,) = struct.unpack_from("<I", data, start + 508)
            assert (first, second, flags, last) == (0x0A324655, 0x9E5D5157, 0x2000, 0x0AB16F30)
            assert family == 0xE48BFF56
            self.flash[address] = data[start + 32 :][:size]


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bootloader]]:
    """Mount drives; the mounts' file is in the form of /proc/mounts, a blank in each path."""
    started: list[Bootloader] = []
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/sda1 / ext4 rw 0 0\n")
    monkeypatch.setattr(_uf2_drives, "MOUNTS", mounts)
    monkeypatch.setattr(list_ports, "comports", list)

    def add(name: str = "RPI RP2", board_id: str = "RPI-RP2") -> Bootloader:
        drive = Bootloader(tmp_path / name, board_id)
        with mounts.open("a") as file:
            file.write(f"/dev/sdb1 {str(drive.folder).replace(' ', chr(92) + '040')} vfat rw 0 0\n")
        started.append(drive)
        return drive

    yield add
    for drive in started:
        drive.close()


def target(**changes: Any) -> Target:
    update = {"probe": {"uf2": {"family": "rp2040"}}, "chip": Chip(family="rp2040"), "usb": Usb(ids=("2fe3:0100",))}
    return targets.load("mps2-an386").model_copy(update=update | changes)


def connect(address: str | None = None) -> uf2.Uf2Flasher:
    return uf2.connect(target(), address, options=FlashOptions())


def test_a_flash_copies_every_page_and_waits_until_the_drive_is_gone(
    mount: Callable[..., Bootloader], toy_bundle: ToyBundle
) -> None:
    drive = mount().start()
    bundle = toy_bundle("mps2-an386")
    done = _flashing.flash(bundle, target(), connect, None, no_progress)
    done.stream.close()
    image = _firmware_image.read(bundle.program, target()).flat()
    written = b"".join(drive.flash[address] for address in sorted(drive.flash))
    assert sorted(drive.flash) == list(range(0, len(written), 256))
    assert written.rstrip(b"\xff") == image.data.rstrip(b"\xff")
    assert (done.proof, done.console) == ("build id", "serial://")
    assert not drive.folder.exists()


def test_pages_are_whole_and_filled_as_erased_flash_is() -> None:
    blocks = uf2.encode(Segment(address=0x1000_0110, data=b"\x01" * 0x200), 0xE48BFF56)
    assert len(blocks) == 3 * 512
    heads = [struct.unpack_from("<8I", blocks, start) for start in range(0, len(blocks), 512)]
    assert [head[3:] for head in heads] == [
        (0x1000_0100, 256, 0, 3, 0xE48BFF56),
        (0x1000_0200, 256, 1, 3, 0xE48BFF56),
        (0x1000_0300, 256, 2, 3, 0xE48BFF56),
    ]
    assert blocks[32:50] == b"\xff" * 16 + b"\x01\x01"
    assert blocks[2 * 512 + 32 :][:18] == b"\x01" * 16 + b"\xff\xff"


def test_a_drive_that_stays_did_not_take_the_firmware(
    mount: Callable[..., Bootloader], toy_bundle: ToyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive = mount()
    monkeypatch.setattr(uf2, "VANISH_S", 0.3)
    with pytest.raises(TransferError) as caught:
        _flashing.flash(toy_bundle("mps2-an386"), target(), connect, None, no_progress)
    assert caught.value.message == (
        f"the drive {drive.folder} is still there 0.3 s after the firmware was copied: its bootloader did not take it"
    )


def test_a_bootloader_that_wrote_nothing_is_found_out_by_hello(
    mount: Callable[..., Bootloader], toy_bundle: ToyBundle
) -> None:
    """The drive goes away, and what answers is the firmware that was there before."""
    mount().start()
    old, new = toy_bundle("mps2-an386", TOY_BUILD_BYTE=0x11), toy_bundle("mps2-an386")
    running = QemuBoard("mps2-an386", old.program)
    tool = Tool(flasher="uf2", address=None, options=FlashOptions())
    with Device(FlashLink(target(), tool, f"serial://{running.path}"), target()) as device:
        begin = time.monotonic()
        with pytest.raises(WrongDeviceError) as caught:
            device.install(new)
        assert time.monotonic() - begin < 10
    running.close()
    assert "runs build 11" in caught.value.message
    assert f"the bundle is build {new.manifest.build_id}" in caught.value.message


def test_another_board_is_refused_before_anything_is_copied(
    mount: Callable[..., Bootloader], toy_bundle: ToyBundle
) -> None:
    drive = mount(board_id="RP2350")
    with pytest.raises(WrongDeviceError) as caught:
        _flashing.flash(
            toy_bundle("mps2-an386"), target(), lambda: connect(str(drive.folder)), "serial://", no_progress
        )
    assert caught.value.message == f"the drive {drive.folder} is a RP2350's; mps2-an386 shows RPI-RP2"
    assert not list(drive.folder.glob("*.UF2"))


def test_two_equal_drives_are_not_guessed_between(mount: Callable[..., Bootloader]) -> None:
    first, second = mount("one"), mount("two")
    with pytest.raises(UsageError) as caught:
        connect()
    assert caught.value.message == "2 UF2 drives could be a mps2-an386: which one?"
    assert caught.value.hint == f"there is: uf2://{first.folder} (RPI-RP2), uf2://{second.folder} (RPI-RP2)"
    assert connect(str(second.folder)).description == f"mps2-an386 at {second.folder} (RPI-RP2, UF2)"


def test_a_drive_is_found_by_its_boards_usb_serial_number(
    mount: Callable[..., Bootloader], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sysfs as Linux has it: a block device lies under the USB device that brings it."""
    mount("one")
    second = mount("two")
    lines = _uf2_drives.MOUNTS.read_text().replace(f"/dev/sdb1 {second.folder}", f"/dev/sdc1 {second.folder}")
    _uf2_drives.MOUNTS.write_text(lines)
    blocks = tmp_path / "block"
    blocks.mkdir()
    for name, number in (("sdb1", "E0C1"), ("sdc1", "E0C2")):
        board = tmp_path / "devices" / number
        partition = board / "1-1:1.0" / "host0" / name
        partition.mkdir(parents=True)
        for file, text in {"idVendor": "2e8a", "idProduct": "0003", "serial": number}.items():
            (board / file).write_text(text)
        (blocks / name).symlink_to(partition)
    monkeypatch.setattr(_uf2_drives, "BLOCK_DEVICES", blocks)
    assert connect("E0C2").description == f"mps2-an386 at {second.folder} (RPI-RP2, UF2)"


def test_without_a_drive_it_says_how_to_get_one(mount: Callable[..., Bootloader]) -> None:
    mount("other", board_id="nRF52840-Feather-revD")
    with pytest.raises(UnreachableError) as caught:
        connect()
    assert caught.value.message == "no UF2 drive of a mps2-an386 (RPI-RP2) is mounted"
    with pytest.raises(UnreachableError, match="/nowhere is no UF2 drive"):
        connect("/nowhere")


def test_a_full_drive_is_refused(
    mount: Callable[..., Bootloader], toy_bundle: ToyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive = mount()
    image = _firmware_image.read(toy_bundle("mps2-an386").program, target())
    usage = shutil.disk_usage(drive.folder)._replace(free=4096)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(TransferError, match=r"has 4,096 bytes free; the firmware takes \d"):
        connect().write(image, no_progress)


def test_an_unknown_family_and_a_mass_erase_are_refused() -> None:
    wrong = target(probe={"uf2": {"family": "rp2041"}})
    with pytest.raises(ConfigError) as caught:
        uf2.connect(wrong, None, options=FlashOptions())
    assert caught.value.message == "mps2-an386: probe.uf2: no UF2 family is called 'rp2041'"
    with pytest.raises(UsageError, match="cannot erase the whole flash"):
        uf2.connect(target(), None, options=FlashOptions(mass_erase=True))
