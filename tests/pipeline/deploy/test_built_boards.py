"""Boards that QEMU does not know: their ports are built and linked, and what the chip reads first is looked at."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from elftools.elf.elffile import ELFFile

from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle

CACHED = ("nucleo-f746zg", "nucleo-h7a3zi")
BUILT = tuple(name for name in targets.names() if targets.load(name).link == "serial")
VECTORS = struct.Struct("<II")
CRYSTAL_PATIENCE = 200_000
"""Of device_runtime/ports/nrf/crystal.h."""


def test_there_are_boards_of_three_makers() -> None:
    assert {"nucleo-l4r5zi", "nucleo-h7a3zi", "nucleo-f746zg", "nucleo-u575zi"} < set(BUILT)
    assert {"nrf52840dk", "nrf5340dk", "arduino-nano33ble"} < set(BUILT)


def test_a_board_that_no_emulator_runs_says_so() -> None:
    assert targets.load("nucleo-l4r5zi").tried == "built, not run"
    assert targets.load("raspberry-pi-pico").tried == "emulated"
    assert targets.load("mps2-an386").tried == "emulated"


@pytest.mark.parametrize("name", BUILT)
def test_the_vector_table_lies_first_in_flash_and_its_stack_in_ram(
    name: str, toy_bundle: Callable[..., Bundle]
) -> None:
    memory = targets.load(name).memory
    assert memory is not None
    with toy_bundle(name).program.open("rb") as file:
        elf = ELFFile(file)
        text = elf.get_section_by_name(".text")
        stack_top, start = VECTORS.unpack_from(text.data(), targets.load(name).boot_bytes)
        entry = elf["e_entry"]
    assert text["sh_addr"] == memory.flash.origin
    assert stack_top == memory.ram.end
    assert start == entry | 1
    assert memory.flash.origin < entry < memory.flash.end


@pytest.mark.parametrize("name", CACHED)
def test_a_board_with_a_data_cache_writes_it_back_before_it_resets(
    name: str, toy_bundle: Callable[..., Bundle]
) -> None:
    with toy_bundle(name).program.open("rb") as file:
        (clean,) = ELFFile(file).get_section_by_name(".symtab").get_symbol_by_name("edgert_caches_clean")
    assert clean["st_info"]["bind"] == "STB_GLOBAL"  # that of caches.c: the one that does nothing is weak


@pytest.mark.parametrize("name", [name for name in BUILT if targets.load(name).port.startswith("nrf5")])
def test_an_nrf_waits_for_its_crystal(name: str, toy_bundle: Callable[..., Bundle]) -> None:
    with toy_bundle(name).program.open("rb") as file:
        elf = ELFFile(file)
        (start,) = elf.get_section_by_name(".symtab").get_symbol_by_name("nrf_clock_start")
        text = elf.get_section_by_name(".text")
        at = (start["st_value"] & ~1) - text["sh_addr"]
        code = text.data()[at : at + start["st_size"]]
    assert struct.pack("<I", CRYSTAL_PATIENCE) in code


@pytest.mark.parametrize("name", BUILT)
def test_a_board_says_how_it_is_reached_and_by_what_its_chip_is_told(name: str) -> None:
    target = targets.load(name)
    assert (target.link, target.baud) == ("serial", 115_200)
    assert target.usb.ids
    assert target.chip is not None
    assert target.chip.id_address is not None
    assert target.chip.id_values
