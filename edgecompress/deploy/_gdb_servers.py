"""What differs between debug servers: how each resets the core, and what each lets be asked.

Sources: QEMU's gdbstub (qqemu.*, `system_reset`, `info`); OpenOCD User's Guide, "General Commands" and "GDB and
OpenOCD"; pyOCD's command reference; J-Link User Guide UM08001, "Supported remote (monitor) commands"; Black Magic
Probe, "GDB commands".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgecompress.core.errors import EdgecompressError, TransferError, UnreachableError
from edgecompress.deploy._gdb_remote import GdbRemote

RESET_S = 10.0
MASS_ERASE_S = 180.0

SERIAL_LINE = re.compile(r"^(?P<label>\S+): filename=(?:disconnected:)?(?P<kind>pty|tcp):(?P<place>[^,\s]+)", re.M)


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """A debug server: how it is known by what it says of itself, and its own words.

    `reset` halts the core at its first instruction; None: by the packet `vRun`. `mass_erase` is None where there is no
    such command for every chip.
    """

    name: str
    known_by: str
    reset: str | None
    mass_erase: str | None = None
    attach: tuple[str, ...] = ()


OPENOCD = Dialect(name="OpenOCD", known_by="Open On-Chip Debugger", reset="reset halt")
PYOCD = Dialect(name="pyOCD", known_by="pyocd", reset="reset halt", mass_erase="erase --chip")
JLINK = Dialect(name="J-Link", known_by="j-link|segger", reset="reset", mass_erase="flash erase")
BLACK_MAGIC = Dialect(
    name="Black Magic Probe",
    known_by="black magic",
    reset=None,
    mass_erase="erase_mass",
    attach=("swdp_scan", "auto_scan"),
)
QEMU = Dialect(name="QEMU", known_by="", reset="system_reset")
UNKNOWN = Dialect(name="an unknown server", known_by="", reset="reset halt")
DIALECTS = (OPENOCD, PYOCD, JLINK, BLACK_MAGIC)


def recognise(remote: GdbRemote) -> Dialect:
    """Find out which server this is: QEMU by a packet of its own, the others by what they say of themselves."""
    if remote.ask(b"qqemu.sstepbits").startswith(b"ENABLE"):
        return QEMU
    said = " ".join(_say(remote, command) for command in ("version", "help"))
    return next((each for each in DIALECTS if re.search(each.known_by, said, re.IGNORECASE)), UNKNOWN)


def version(remote: GdbRemote, dialect: Dialect) -> str:
    """Name the server and its version, as far as it tells."""
    said = _say(remote, "info version" if dialect is QEMU else "version")
    number = re.search(r"\d+(\.\d+)+", said)
    return f"{dialect.name} {number[0]}" if number else dialect.name


def reset_and_halt(remote: GdbRemote, dialect: Dialect) -> None:
    """Reset the chip and leave its core at the first instruction. Raises TransferError when the server refuses."""
    if dialect.reset is not None:
        remote.monitor(dialect.reset, timeout_s=RESET_S)
        return
    answer = remote.ask(b"vRun;", timeout_s=RESET_S)
    if answer[:1] not in (b"T", b"S"):
        raise TransferError(f"{remote.description} did not reset the chip", hint="reset the board by hand")


def attach(remote: GdbRemote, dialect: Dialect) -> None:
    """Select the first core behind a probe that waits to be told. Raises UnreachableError when there is none."""
    if not dialect.attach:
        return
    found = [command for command in dialect.attach if _say(remote, command)]
    if not found or remote.ask(b"vAttach;1", timeout_s=RESET_S)[:1] not in (b"T", b"S"):
        raise UnreachableError(f"{remote.description} found no chip", hint="is the board connected and powered?")


def serial_line(remote: GdbRemote, dialect: Dialect) -> str | None:
    """Ask an emulator where the board's first serial line goes; None for every other server."""
    if dialect is not QEMU:
        return None
    lines = [match for match in SERIAL_LINE.finditer(_say(remote, "info chardev")) if match["label"] != "gdb"]
    first = [match for match in lines if match["label"] == "serial0"] or lines
    if len(first) != 1:
        return None
    return ("serial://" if first[0]["kind"] == "pty" else "tcp://") + first[0]["place"]


def machine(remote: GdbRemote, dialect: Dialect) -> str | None:
    """Ask an emulator which machine it is; None for every other server."""
    if dialect is not QEMU:
        return None
    told = re.search(r"([\w.-]+)-machine\b", _say(remote, "qom-get /machine type"))
    return told[1] if told else None


def never_ran(remote: GdbRemote, dialect: Dialect) -> bool:
    """True when an emulated core waits for its first start (`-S`): it holds no program that could run on."""
    return dialect is QEMU and "prelaunch" in _say(remote, "info status")


def _say(remote: GdbRemote, command: str) -> str:
    """Return what a command prints; nothing when the server refuses it."""
    try:
        return remote.monitor(command)
    except UnreachableError:
        raise
    except EdgecompressError:
        return ""
