"""The Raspberry Pi Pico's firmware, as a UF2 file, in the emulator rp2040js up to its test vectors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgecompress.core import target as targets
from edgecompress.core import tools
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
REQUESTS_S = 30
CONFIGURATION, ENDPOINT = 2, 5
POLYNOMIAL = 0x04C1_1DB7


def write_firmware(bundle: Bundle, file: Path) -> None:
    image = _firmware_image.read(bundle.program, targets.load(NAME))
    file.write_bytes(uf2.encode(image.flat(), uf2.FAMILIES["rp2040"].number))


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
        write_firmware(bundle, self._file)
        command: list[str | Path] = [NODE, EMULATOR, PACKAGE, self._file, self._line]
        self._child = Child(command, name="rp2040js", stdout_is_stream=True)
        return self._child

    def accept(self) -> None:
        pass

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


# deaf: somebody on USB asked and never fetched the answer, and the UART is used.
@pytest.fixture(params=["uart", "usb", "deaf"])
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


def test_a_firmware_file_reproduces_its_vectors_on_an_emulated_pico_over_each_line(
    pico: Device, toy_bundle: Callable[..., Bundle]
) -> None:
    pico.install(toy_bundle(NAME))
    assert pico.describe().target == NAME
    assert pico.describe().ticks_per_second == 1_000_000
    assert pico.read_stats().stack_bytes is not None


@pytest.fixture
def requests(toy_bundle: Callable[..., Bundle], tmp_path: Path) -> dict[str, list[str]]:
    """What the device answers to each control request: bytes, toggles of the packets, address."""
    file = tmp_path / "firmware.uf2"
    write_firmware(toy_bundle(NAME), file)
    told = tools.run([NODE, EMULATOR, PACKAGE, file, "requests"], timeout_s=REQUESTS_S).decode()
    lines = [[part.strip() for part in line.split(" : ")] for line in told.splitlines()]
    return {request: rest for request, *rest in lines}


def descriptors(data: bytes) -> list[bytes]:
    found = []
    while data:
        found.append(data[: data[0]])
        data = data[data[0] :]
    return found


def test_the_descriptors_add_up_and_show_the_ids_of_the_profile(requests: dict[str, list[str]]) -> None:
    device = bytes.fromhex(requests["80 06 00 01 00 00 12 00"][0])
    vendor, product = (int.from_bytes(device[at : at + 2], "little") for at in (8, 10))
    assert device[0] == len(device) == 18
    assert f"{vendor:04x}:{product:04x}" in targets.load(NAME).usb.ids
    whole = bytes.fromhex(requests["80 06 00 02 00 00 ff 00"][0])
    parts = descriptors(whole)
    assert parts[0][1] == CONFIGURATION
    assert int.from_bytes(parts[0][2:4], "little") == len(whole) == sum(part[0] for part in parts)
    assert {part[2] for part in parts if part[1] == ENDPOINT} == {0x81, 0x02, 0x82}


def test_strings_are_utf_16(requests: dict[str, list[str]]) -> None:
    strings = [bytes.fromhex(requests[f"80 06 0{number} 03 09 04 ff 00"][0]) for number in (1, 2, 3)]
    assert all(string[0] == len(string) for string in strings)
    names = [string[2:].decode("utf-16-le") for string in strings]
    assert names == ["edgecompress", "Raspberry Pi Pico", "edgecompress serial line"]


def test_packets_of_a_control_request_alternate_from_data_1(requests: dict[str, list[str]]) -> None:
    assert requests["80 06 00 02 00 00 ff 00"][1] == "101"
    assert requests["00 09 01 00 00 00 00 00"][1] == "1"
    assert requests["21 20 00 00 00 00 07 00"][1] == "11"


def test_an_address_holds_from_the_request_after_the_one_that_sets_it(requests: dict[str, list[str]]) -> None:
    assert requests["80 06 00 01 00 00 40 00"][2] == "0"
    assert requests["80 06 00 01 00 00 12 00"][2] == "7"


def test_a_line_coding_is_told_back_as_it_was_set(requests: dict[str, list[str]]) -> None:
    assert requests["a1 21 00 00 00 00 07 00"][0] == "00 10 0e 00 00 00 08"


def test_requests_that_the_device_does_not_know_are_refused(requests: dict[str, list[str]]) -> None:
    refused = {request for request, (_, toggles, _) in requests.items() if toggles == "refused"}
    high_speed, string_4 = "80 06 00 06 00 00 0a 00", "80 06 04 03 09 04 ff 00"
    configuration_2, line_break = "00 09 02 00 00 00 00 00", "21 23 ff ff 00 00 00 00"
    assert refused == {high_speed, string_4, configuration_2, line_break}
