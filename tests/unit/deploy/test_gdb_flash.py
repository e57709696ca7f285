"""Flash behind a debug server: what is erased and written, how each server resets, and what is found out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flash_gdb_server import FlashGdbServer

from edgecompress.core import target as targets
from edgecompress.core.errors import ConfigError, TransferError, UnreachableError, UsageError
from edgecompress.core.target import Region
from edgecompress.core.values import no_progress
from edgecompress.deploy import _flash_link, _flashing, _gdb_memory_map
from edgecompress.deploy._gdb_memory_map import FlashRegion
from edgecompress.deploy.flashers import FlashOptions, Image, Segment, gdb

FLASH = Region(origin=0x0800_0000, length=0x8000)
BLOCK = 0x800
OPENOCD = {"version": "Open On-Chip Debugger 0.12.0\n", "reset halt": ""}
PYOCD = {"help": "pyOCD commands\n", "reset halt": "", "erase --chip": ""}
JLINK = {"version": "SEGGER J-Link GDB Server V7.96\n", "reset": "", "flash erase": ""}
BLACK_MAGIC = {"version": "Black Magic Probe v1.10.2\n", "swdp_scan": "1 STM32F4\n", "erase_mass": ""}
WORDS = {0xE000_ED00: 0x410F_C241, 0xE000_EF40: 0x1011_0021, 0xE000_EF44: 0x1100_0011}
TARGET = targets.load("mps2-an386").model_copy(update={"name": "board", "emulator": None, "chip": None})
SPECIAL = bytes(range(256)) * 10
"""Every byte, those that mean something in a packet among them."""

Serve = Callable[..., FlashGdbServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[FlashGdbServer] = []

    def begin(said: dict[str, str]) -> FlashGdbServer:
        servers.append(FlashGdbServer(FLASH, BLOCK, said, WORDS))
        return servers[-1]

    yield begin
    for each in servers:
        each.close()


def image_of(*parts: tuple[int, bytes]) -> Image:
    return Image(elf=Path("firmware.elf"), segments=tuple(Segment(address=at, data=data) for at, data in parts))


def connect(server: FlashGdbServer, *, mass_erase: bool = False) -> gdb.GdbFlasher:
    return gdb.connect(TARGET, f"127.0.0.1:{server.port}", options=FlashOptions(mass_erase=mass_erase))


def test_only_the_blocks_that_differ_are_erased_and_written(serve: Serve) -> None:
    server = serve(OPENOCD)
    image = image_of((FLASH.origin, SPECIAL), (FLASH.origin + 0x3000, b"second piece"))
    server.flash[0x1000:0x1004] = b"old!"
    server.flash[0x7000:0x7004] = b"kept"
    flasher = connect(server)
    flasher.write(image, no_progress)
    assert [flasher.read_back(each.region) for each in image.segments] == [each.data for each in image.segments]
    assert bytes(server.flash[0x7000:0x7004]) == b"kept"
    assert [each for each in server.names() if each.startswith("vFlashE")] == [
        "vFlashErase:8000000,1000",
        "vFlashErase:8003000,800",
    ]
    server.asked.clear()
    flasher.write(image, no_progress)
    assert [each for each in server.names() if each.startswith("vFlash")] == []
    flasher.close()


@pytest.mark.parametrize(
    ("said", "name", "reset"),
    [
        (OPENOCD, "OpenOCD 0.12.0", ["qRcmd,reset halt", "c"]),
        (PYOCD, "pyOCD", ["qRcmd,reset halt", "c"]),
        (JLINK, "J-Link 7.96", ["qRcmd,reset", "c"]),
        (BLACK_MAGIC, "Black Magic Probe 1.10.2", ["vRun;", "c"]),
        ({"reset halt": ""}, "an unknown server", ["qRcmd,reset halt", "c"]),
    ],
)
def test_every_server_is_recognised_and_reset_in_its_own_words(
    said: dict[str, str], name: str, reset: list[str], serve: Serve
) -> None:
    server = serve(said)
    flasher = connect(server)
    assert flasher.description == f"gdb://127.0.0.1:{server.port} ({name})"
    assert flasher.identify().cpuid == WORDS[0xE000_ED00]
    assert (flasher.console(), flasher.emulated) == (None, False)
    server.asked.clear()
    flasher.reset()
    flasher.close()
    words = [
        f"qRcmd,{bytes.fromhex(each[6:]).decode()}" if each.startswith("qRcmd") else each for each in server.names()
    ]
    assert words == reset


def test_all_of_the_flash_is_erased_only_on_demand_and_only_by_who_can(serve: Serve) -> None:
    server = serve(JLINK)
    able, unable = connect(server, mass_erase=True), connect(serve(OPENOCD), mass_erase=True)
    able.write(image_of((FLASH.origin, SPECIAL)), no_progress)
    assert f"qRcmd,{b'flash erase'.hex()}" in server.names()
    with pytest.raises(UsageError) as caught:
        unable.write(image_of((FLASH.origin, SPECIAL)), no_progress)
    able.close()
    unable.close()
    assert caught.value.message.endswith("(OpenOCD 0.12.0) has no command that erases the whole chip")


@pytest.mark.parametrize("fault", ["lying", "stuck"])
def test_a_server_that_lies_and_a_bit_that_is_stuck_are_found_out(fault: str, serve: Serve) -> None:
    server = serve(OPENOCD)
    server.ignores_writes = fault == "lying"
    server.stuck_low = {17} if fault == "stuck" else set()
    flasher = connect(server)
    image = image_of((FLASH.origin, SPECIAL))
    flasher.write(image, no_progress)
    with pytest.raises(TransferError) as caught:
        _flashing._prove(image, flasher, no_progress)
    wrong, first, is_there, meant = (1, 0x0800_0011, 0x10, 0x11) if fault == "stuck" else (2550, FLASH.origin, 255, 0)
    assert caught.value.message == (
        f"the flash behind {flasher.description} holds something else than was written: {wrong:,} of 2,560 bytes "
        f"differ, first at {first:#010x} ({is_there:#04x} instead of {meant:#04x})"
    )
    assert caught.value.exit_code == 9
    assert "c" not in server.names()
    flasher.close()


def test_a_chip_that_was_only_looked_at_runs_on(serve: Serve) -> None:
    server = serve(OPENOCD)
    flasher = connect(server)
    flasher.identify()
    flasher.close()
    flasher.close()
    assert server.asked[-1] == b"c"


def test_addresses_that_are_none_and_servers_that_are_none_are_told() -> None:
    with pytest.raises(UsageError) as used:
        gdb.connect(TARGET, None, options=FlashOptions())
    assert used.value.message == "gdb:// names no server"
    with pytest.raises(UsageError) as used:
        gdb.connect(TARGET, "localhost", options=FlashOptions())
    assert used.value.message == "'localhost' is no address of the form host:port"
    with pytest.raises(UnreachableError) as caught:
        gdb.connect(TARGET, "127.0.0.1:1", options=FlashOptions())
    assert caught.value.exit_code == 7


def test_blocks_are_whole_joined_and_end_with_their_region() -> None:
    flash = (
        FlashRegion(region=Region(origin=0, length=0x1000), block_bytes=0x400),
        FlashRegion(region=Region(origin=0x1000, length=0x1800), block_bytes=0x1000),
    )
    parts = [Region(origin=0x3FF, length=2), Region(origin=0xFFF, length=2), Region(origin=0x2400, length=4)]
    found = _gdb_memory_map.blocks_of(flash, parts)
    assert [(each.origin, each.length) for each in found] == [(0, 0x800), (0xC00, 0x1C00)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<memory-map><memory", "the debug server's memory map cannot be read: unclosed token: line 1, column 12"),
        (
            '<m><memory type="flash" start="x" length="1"/></m>',
            "the debug server's memory map cannot be read: 'x' is no number",
        ),
        ('<!DOCTYPE a [<!ENTITY b "c">]><m/>', "the debug server's memory map defines entities: it is not read"),
    ],
)
def test_a_damaged_memory_map_is_told(text: str, message: str) -> None:
    with pytest.raises(TransferError) as caught:
        _gdb_memory_map.parse(text)
    assert caught.value.message == message


def test_the_tool_is_that_of_the_option_the_address_or_the_profile() -> None:
    board = TARGET.model_copy(update={"flasher": "openocd"})
    options = FlashOptions()
    chosen = [
        _flash_link.choose(board, device, flasher, options)
        for device, flasher in (
            (None, None),
            ("usb://066DFF", None),
            ("usb://066DFF", "pyocd"),
            ("gdb://127.0.0.1:3333", None),
            (None, "gdb"),
        )
    ]
    assert [(each.flasher, each.address) for each in chosen] == [
        ("openocd", None),
        ("openocd", "066DFF"),
        ("pyocd", "066DFF"),
        ("gdb", "127.0.0.1:3333"),
        ("gdb", None),
    ]
    with pytest.raises(UsageError) as caught:
        _flash_link.choose(board, "gdb://127.0.0.1:3333", "openocd", options)
    assert caught.value.message == "--device gdb://127.0.0.1:3333 is for the flasher gdb, and --flasher says openocd"
    with pytest.raises(UsageError) as caught:
        _flash_link.choose(TARGET, None, None, options)
    assert caught.value.message == "the profile of board names no flasher"


def test_a_flasher_that_is_none_is_named_with_who_asked_for_it() -> None:
    tool = _flash_link.choose(TARGET, "gbd://127.0.0.1:3333", None, FlashOptions())
    with pytest.raises(ConfigError) as caught:
        tool.connect(TARGET)
    assert caught.value.message == "--device: no deploy.flashers module is called 'gbd'"
    assert str(caught.value.hint).startswith("did you mean 'gdb'?")
