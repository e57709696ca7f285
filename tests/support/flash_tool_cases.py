"""The calls that one flash takes with every flasher that starts a program, word by word."""

from __future__ import annotations

import re
from dataclasses import dataclass

PORT = "/dev/null"
OWN_FILE = re.compile(r"/[^ {}\"]*/edgecompress-[^ {}\"]*")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A flasher: its address, the USB device of its probe or board, and the calls that one flash takes.

    PROGRAM stands for the program, FILE for a file of the flasher's own, LENGTH for the image's length in hexadecimal
    (PAGES: in whole pages of 256 bytes; DECIMAL; COUNT: in words).
    """

    address: str
    usb: tuple[str, str, str]
    probe: dict[str, str | int | float | bool]
    chip: str
    calls: str
    program: str
    erase: str


OPENOCD = "PROGRAM -c adapter serial 066DFF -f interface/stlink.cfg -f target/stm32l4x.cfg -c "
PROBE_RS = "--non-interactive --chip STM32L4R5ZITx --probe 0483:374b:066DFF"
JLINK = (
    "PROGRAM -NoGui 1 -ExitOnError 1 -AutoConnect 1 -USB 683 -Device nRF52840_xxAA -If SWD -Speed 4000 -CommandFile "
)
ESPTOOL = f"PROGRAM --chip esp32s3 --port {PORT} --baud 460800 --after "
DFU = "PROGRAM -d 0483:df11 -a 0 -S 3576 "
STM32FLASH = "PROGRAM -b 115200 "

CASES = {
    "openocd": Case(
        address="066DFF",
        usb=("0483:374b", "066DFF", "STM32 STLink"),
        probe={"config": "interface/stlink.cfg target/stm32l4x.cfg"},
        chip="",
        program="openocd",
        calls=f"""
            {OPENOCD}init; dump_image {{FILE}} 0xe000ed00 0x4; shutdown
            {OPENOCD}init; dump_image {{FILE}} 0xe000ef40 0x4; shutdown
            {OPENOCD}init; dump_image {{FILE}} 0xe000ef44 0x4; shutdown
            {OPENOCD}init; dump_image {{FILE}} 0xe0042000 0x4; shutdown
            {OPENOCD}init; dump_image {{FILE}} 0x0 LENGTH; shutdown
            {OPENOCD}init; reset init; flash write_image erase {{FILE}} 0x0 bin; shutdown
            {OPENOCD}init; dump_image {{FILE}} 0x0 LENGTH; shutdown
            {OPENOCD}init; reset run; shutdown""",
        erase=f"{OPENOCD}init; reset init; flash erase_sector 0 0 last; shutdown",
    ),
    "probe_rs": Case(
        address="066DFF",
        usb=("0483:374b", "066DFF", "STM32 STLink"),
        probe={"chip": "STM32L4R5ZITx"},
        chip="",
        program="probe-rs",
        calls=f"""
            PROGRAM read {PROBE_RS} --output FILE --format binary b32 0xe000ed00 1
            PROGRAM read {PROBE_RS} --output FILE --format binary b32 0xe000ef40 1
            PROGRAM read {PROBE_RS} --output FILE --format binary b32 0xe000ef44 1
            PROGRAM read {PROBE_RS} --output FILE --format binary b32 0xe0042000 1
            PROGRAM read {PROBE_RS} --output FILE --format binary b32 0x0 COUNT
            PROGRAM download {PROBE_RS} --disable-progressbars --binary-format bin --base-address 0x0 FILE
            PROGRAM read {PROBE_RS} --output FILE --format binary b32 0x0 COUNT
            PROGRAM reset {PROBE_RS}""",
        erase=f"PROGRAM download {PROBE_RS} --disable-progressbars --chip-erase --allow-erase-all --binary-format bin "
        "--base-address 0x0 FILE",
    ),
    "st_flash": Case(
        address="066DFF",
        usb=("0483:374b", "066DFF", "STM32 STLink"),
        probe={},
        chip="",
        program="st-flash",
        calls="""
            PROGRAM --serial 066DFF read FILE 0xe000ed00 0x4
            PROGRAM --serial 066DFF read FILE 0xe000ef40 0x4
            PROGRAM --serial 066DFF read FILE 0xe000ef44 0x4
            PROGRAM --serial 066DFF read FILE 0xe0042000 0x4
            PROGRAM --serial 066DFF read FILE 0x0 LENGTH
            PROGRAM --serial 066DFF write FILE 0x0
            PROGRAM --serial 066DFF read FILE 0x0 LENGTH
            PROGRAM --serial 066DFF reset""",
        erase="PROGRAM --serial 066DFF erase",
    ),
    "jlink": Case(
        address="683",
        usb=("1366:1051", "000000000683", "J-Link"),
        probe={"device": "nRF52840_xxAA"},
        chip="",
        program="JLinkExe",
        calls=f"""
            {JLINK}savebin "FILE", 0xe000ed00, 0x4; q
            {JLINK}savebin "FILE", 0xe000ef40, 0x4; q
            {JLINK}savebin "FILE", 0xe000ef44, 0x4; q
            {JLINK}savebin "FILE", 0xe0042000, 0x4; q
            {JLINK}savebin "FILE", 0x0, LENGTH; q
            {JLINK}r; h; loadbin "FILE", 0x0; q
            {JLINK}savebin "FILE", 0x0, LENGTH; q
            {JLINK}r; g; q""",
        erase=f"{JLINK}r; h; erase; q",
    ),
    "esptool": Case(
        address="usb:7C:DF",
        usb=("303a:1001", "7C:DF", "USB JTAG/serial debug unit"),
        probe={"chip": "esp32s3"},
        chip="ESP32-S3 (QFN56) (revision v0.2)",
        program="esptool",
        calls=f"""
            {ESPTOOL}no-reset chip-id
            {ESPTOOL}no-reset read-flash --no-progress 0x0 LENGTH FILE
            {ESPTOOL}no-reset write-flash --no-progress 0x0 FILE
            {ESPTOOL}no-reset read-flash --no-progress 0x0 LENGTH FILE
            {ESPTOOL}hard-reset run""",
        erase=f"{ESPTOOL}no-reset write-flash --no-progress --erase-all 0x0 FILE",
    ),
    "picotool": Case(
        address="E0C9",
        usb=("2e8a:0003", "E0C9", "RP2 Boot"),
        probe={},
        chip="RP2040",
        program="picotool",
        calls="""
            PROGRAM info -d --ser E0C9
            PROGRAM save -r 0x0 PAGES FILE -t bin --ser E0C9
            PROGRAM load FILE -t bin -o 0x0 --ser E0C9
            PROGRAM save -r 0x0 PAGES FILE -t bin --ser E0C9
            PROGRAM reboot --ser E0C9""",
        erase="PROGRAM erase -a --ser E0C9",
    ),
    "dfu_util": Case(
        address="3576",
        usb=("0483:df11", "3576", "STM32  BOOTLOADER"),
        probe={},
        chip="@Internal Flash  /0x00000000/04*016Kg,01*064Kg,07*128Kg,03*001Mg",
        program="dfu-util",
        calls=f"""
            {DFU}-l
            {DFU}-s 0x0:DECIMAL -U FILE
            {DFU}-s 0x0 -D FILE
            {DFU}-s 0x0:DECIMAL -U FILE
            {DFU}-s :leave""",
        erase=f"{DFU}-s :mass-erase:force",
    ),
    "stm32flash": Case(
        address="usb:A9E1",
        usb=("0403:6001", "A9E1", "FT232R USB UART"),
        probe={},
        chip="0x0470 (STM32L4Rxx/L4Sxx)",
        program="stm32flash",
        calls=f"""
            {STM32FLASH}{PORT}
            {STM32FLASH}-r FILE -S 0x0:LENGTH {PORT}
            {STM32FLASH}-w FILE -S 0x0 {PORT}
            {STM32FLASH}-r FILE -S 0x0:LENGTH {PORT}
            {STM32FLASH}-g 0x0 {PORT}""",
        erase=f"{STM32FLASH}-o {PORT}",
    ),
}


def in_words(calls: list[list[str]]) -> list[str]:
    """The calls as text, the program's path and those of the flasher's files replaced."""
    return [" ".join(["PROGRAM", *(OWN_FILE.sub("FILE", word) for word in call[1:])]) for call in calls]


def expected(text: str, length: int) -> list[str]:
    aligned = -(-length // 4) * 4
    sizes = {
        "LENGTH": f"{aligned:#x}",
        "COUNT": str(aligned // 4),
        "DECIMAL": str(aligned),
        "PAGES": f"{-(-length // 256) * 256:#x}",
    }
    for name, size in sizes.items():
        text = text.replace(name, size)
    return [line.strip() for line in text.strip().splitlines()]
