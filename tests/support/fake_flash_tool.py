"""A program that stands in for a flashing tool: it takes that tool's command line, and its memory is a file.

Run under the name of the tool it is to be. It refuses every option and command that the tool's documentation (named
beside each) does not list. `state.json` in the folder that $FAKE_FLASH_TOOL names says how it behaves:

    honest      as the tool should
    silent      says that it wrote, and writes nothing
    half        writes the first half
    remembering says that it wrote, and reads what it was told to write instead of the flash
    flipped     reads one wrong bit in what it was told to read
    short       reads half of what it was told to
    no file     says that it read, and makes no file
    failing     prints two lines and exits with 1
    hanging     never ends
"""

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path

HOME = Path(os.environ["FAKE_FLASH_TOOL"])
STATE = json.loads((HOME / "state.json").read_text())
FLASH = HOME / "flash.bin"
MODE = STATE["mode"]


def write(file, address):
    data = Path(file).read_bytes()
    if MODE == "silent":
        return
    if MODE == "remembering":
        (HOME / "remembered").write_bytes(data)
        return
    if MODE == "half":
        data = data[: len(data) // 2]
    with FLASH.open("r+b") as flash:
        flash.seek(address - STATE["origin"])
        flash.write(data)


def read(file, address, length):
    if str(address) in STATE["words"]:
        data = STATE["words"][str(address)].to_bytes(4, "little")[:length]
    else:
        size = FLASH.stat().st_size
        if not STATE["origin"] <= address <= address + length <= STATE["origin"] + size:
            fail(f"cannot read {length} bytes at {address:#x}")
        with FLASH.open("rb") as flash:
            flash.seek(address - STATE["origin"])
            data = flash.read(length)
        if MODE == "remembering" and (HOME / "remembered").exists():
            data = (HOME / "remembered").read_bytes()[:length].ljust(length, b"\xff")
        if MODE == "flipped" and length > 4:
            data = bytes([data[0] ^ 1]) + data[1:]
    if MODE == "short" and length > 4:
        data = data[: length // 2]
    if MODE != "no file" or length == 4:
        Path(file).write_bytes(data)


def erase():
    FLASH.write_bytes(b"\xff" * FLASH.stat().st_size)


def fail(text):
    sys.exit(f"probing\nerror: {text}")


def tell(text):
    sys.stdout.write(f"{text}\n")


def number(text):
    return int(text, 0)


def parser_of(name, *options):
    parser = argparse.ArgumentParser(prog=name, allow_abbrev=False)
    for option in options:
        takes_value = {} if option.endswith("=") else {"action": "store_true"}
        parser.add_argument(option.removesuffix("="), **takes_value)
    return parser


def openocd(words):
    """Its manual: "General Commands", "Flash Commands", "Memory access"."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("-f", action="append")
    parser.add_argument("-c", action="append")
    given = parser.parse_args(words)
    for command in given.c[-1].split("; "):
        if found := re.fullmatch(r"flash write_image erase \{(.+)\} (0x\w+) bin", command):
            write(found[1], number(found[2]))
        elif found := re.fullmatch(r"dump_image \{(.+)\} (0x\w+) (0x\w+)", command):
            read(found[1], number(found[2]), number(found[3]))
        elif command == "flash erase_sector 0 0 last":
            erase()
        elif command not in ("init", "reset init", "reset run", "shutdown"):
            fail(f'invalid command name "{command}"')


def probe_rs(words):
    """Its `--help`, and `probe-rs download|read|reset --help`."""
    command, *rest = words
    probe = ("--non-interactive", "--chip=", "--probe=")
    if command == "download":
        options = ("--disable-progressbars", "--binary-format=", "--base-address=", "--chip-erase", "--allow-erase-all")
        parser = parser_of(command, *probe, *options, "path=")
        given = parser.parse_args(rest)
        if given.chip_erase:
            erase()
        write(given.path, number(given.base_address))
    elif command == "read":
        parser = parser_of(command, *probe, "--output=", "--format=", "width=", "address=", "words=")
        given = parser.parse_args(rest)
        read(given.output, number(given.address), {"b8": 1, "b32": 4}[given.width] * int(given.words))
    else:
        parser_of("reset", *probe).parse_args(rest)


def st_flash(words):
    """Its `--help`, version 1.7."""
    given = parser_of("st-flash", "--serial=", "command=").parse_known_args(words)
    (chosen, rest) = given
    if chosen.command == "write":
        write(rest[0], int(rest[1], 16))
    elif chosen.command == "read":
        read(rest[0], int(rest[1], 16), int(rest[2], 16))
    elif chosen.command == "erase":
        erase()
    elif chosen.command != "reset":
        fail("invalid command line")


def jlink(words):
    """SEGGER's knowledge base: "J-Link Commander", command line options and commands."""
    parser = argparse.ArgumentParser(allow_abbrev=False, prefix_chars="-")
    for option in ("NoGui", "ExitOnError", "AutoConnect", "USB", "Device", "If", "Speed", "CommandFile"):
        parser.add_argument(f"-{option}")
    for line in Path(parser.parse_args(words).CommandFile).read_text().splitlines():
        if found := re.fullmatch(r'loadbin "(.+)", (0x\w+)', line):
            write(found[1], number(found[2]))
        elif found := re.fullmatch(r'savebin "(.+)", (0x\w+), (0x\w+)', line):
            read(found[1], number(found[2]), number(found[3]))
        elif line == "erase":
            erase()
        elif line not in ("r", "h", "g", "q"):
            fail("Unknown command")


def esptool(words):
    """Its `--help`, version 5."""
    parser = parser_of("esptool", "--chip=", "--port=", "--baud=", "--after=", "command=")
    given, rest = parser.parse_known_args(words)
    if given.command == "write-flash":
        given = parser_of("write-flash", "--no-progress", "--erase-all", "address=", "file=").parse_args(rest)
        if given.erase_all:
            erase()
        write(given.file, number(given.address))
    elif given.command == "read-flash":
        given = parser_of("read-flash", "--no-progress", "address=", "size=", "file=").parse_args(rest)
        read(given.file, number(given.address), number(given.size))
    elif given.command == "chip-id":
        tell(f"esptool v5.6.0\nConnected to ESP32-S3 on {given.port}:\nChip type:          {STATE['chip']}")
    elif given.command != "run":
        fail("No such command")


def picotool(words):
    """Its `picotool help load|save|info|erase|reboot`, version 2."""
    command, *rest = words
    if command == "load":
        given = parser_of(command, "file=", "-t=", "-o=", "--ser=").parse_args(rest)
        write(given.file, number(given.o))
    elif command == "save":
        parser = parser_of(command, "file=", "-t=", "--ser=")
        parser.add_argument("-r", nargs=2)
        given = parser.parse_args(rest)
        first, last = map(number, given.r)
        read(given.file, first, last - first)
    elif command == "info":
        parser_of(command, "-d", "--ser=").parse_args(rest)
        tell(f"Device Information\n type:         {STATE['chip']}\n flash size:   2048K\n ROM version:  3")
    elif command == "erase":
        parser_of(command, "-a", "--ser=").parse_args(rest)
        erase()
    else:
        parser_of("reboot", "--ser=").parse_args(rest)


def dfu_util(words):
    """Its manual page, version 0.11."""
    given = parser_of("dfu-util", "-d=", "-a=", "-S=", "-s=", "-D=", "-U=", "-l").parse_args(words)
    if given.l:
        name = STATE["chip"]
        tell(f'Found DFU: [0483:df11] ver=2200, devnum=4, cfg=1, intf=0, path="1-1", alt=0, name="{name}"')
        return
    place, *options = given.s.split(":")
    if given.D:
        write(given.D, number(place))
    elif given.U:
        if Path(given.U).exists():
            fail("Cannot open file for writing: File exists")
        read(given.U, number(place), int(options[0]))
    elif options == ["mass-erase", "force"]:
        erase()
    elif options != ["leave"]:
        fail("You need to specify one of -D or -U")


def stm32flash(words):
    """Its manual page, version 0.7."""
    given = parser_of("stm32flash", "-b=", "-w=", "-r=", "-S=", "-g=", "-o", "port=").parse_args(words)
    tell(f"stm32flash 0.7\n\nVersion      : 0x31\nDevice ID    : {STATE['chip']}")
    place, _, length = (given.S or "").partition(":")
    if given.w:
        write(given.w, number(place))
    elif given.r:
        read(given.r, number(place), number(length))
    elif given.o:
        erase()


def as_told(word):
    """A word, or the lines of the command file that it names."""
    return "; ".join(Path(word).read_text().split("\n")[:-1]) if word.endswith(".jlink") else word


name = Path(sys.argv[0]).name
with (HOME / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps([name, *map(as_told, sys.argv[1:])]) + "\n")
if MODE == "failing":
    fail("no board answers")
if MODE == "hanging":
    time.sleep(60)
tool = {"JLinkExe": "jlink"}.get(name, name.replace("-", "_"))
globals()[tool](sys.argv[1:])
