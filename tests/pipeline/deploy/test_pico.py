"""The Raspberry Pi Pico's firmware, as a UF2 file, in the emulator rp2040js up to its test vectors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgecompress.core import target as targets
from edgecompress.core.board import Board
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.values import Progress
from edgecompress.deploy import _firmware_image
from edgecompress.deploy._child import Child
from edgecompress.deploy.flashers import uf2

NAME = "raspberry-pi-pico"
EMULATOR = Path(__file__).parents[2] / "support" / "rp2040.mjs"
PACKAGE = Path(sys.prefix) / "rp2040" / "node_modules" / "rp2040js"
NODE = Path(sys.prefix) / "bin" / "node"
BOOT_BYTES = 256
POLYNOMIAL = 0x04C1_1DB7


class EmulatedPico:
    """rp2040js as the link to a Pico whose drive has got the bundle's UF2 file."""

    description = "a Raspberry Pi Pico (emulated by rp2040js)"
    emulated = True
    instructions_per_tick: float | None = None
    board: Board | None = None

    def __init__(self, folder: Path, line: str) -> None:
        self._file = folder / "firmware.uf2"
        self._line = line
        self._child: Child | None = None

    def start(self, bundle: Bundle, progress: Progress) -> Child:
        image = _firmware_image.read(bundle.program, targets.load(NAME))
        self._file.write_bytes(uf2.encode(image.flat(), uf2.FAMILIES["rp2040"].number))
        command = [NODE, EMULATOR, PACKAGE, self._file, self._line]
        self._child = Child(command, name="rp2040js", stdout_is_stream=True)
        return self._child

    def accept(self) -> None:
        pass

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


@pytest.fixture(params=["uart", "usb"])
def pico(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Device]:
    assert PACKAGE.is_dir(), "rp2040js is not installed: tools/install.sh test does it"
    with Device(EmulatedPico(tmp_path, request.param), targets.load(NAME)) as device:
        yield device


def crc_32_mpeg_2(data: bytes) -> int:
    """The checksum of the RP2040's boot ROM (Datasheet, 2.8.1.3.1): not reflected, not inverted at the end."""
    check = 0xFFFF_FFFF
    for byte in data:
        check ^= byte << 24
        for _ in range(8):
            check = (check << 1 ^ (POLYNOMIAL if check & 1 << 31 else 0)) & 0xFFFF_FFFF
    return check


def test_the_second_boot_stage_ends_in_its_checksum(toy_bundle: Callable[..., Bundle]) -> None:
    image = _firmware_image.read(toy_bundle(NAME).program, targets.load(NAME))
    stage = image.segments[0].data[:BOOT_BYTES]
    assert int.from_bytes(stage[-4:], "little") == crc_32_mpeg_2(stage[:-4])


def test_a_firmware_file_reproduces_its_vectors_on_an_emulated_pico_over_either_line(
    pico: Device, toy_bundle: Callable[..., Bundle]
) -> None:
    pico.install(toy_bundle(NAME))
    assert pico.describe().target == NAME
    assert pico.describe().ticks_per_second == 1_000_000
    assert pico.read_stats().stack_bytes is not None
