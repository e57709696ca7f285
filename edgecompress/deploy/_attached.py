"""What is attached to this machine that a firmware could be flashed onto or spoken to, and saying hello to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from edgecompress.core.answers import Hello
from edgecompress.core.errors import UsageError
from edgecompress.core.target import Target
from edgecompress.deploy import _serial_greeting, _uf2_drives, _usb_devices, _usb_ports
from edgecompress.deploy._flash_link import ANY_TOOL
from edgecompress.deploy._serial_line import SerialLine
from edgecompress.deploy._usb_devices import Kind, UsbDevice
from edgecompress.deploy._usb_ports import Port
from edgecompress.deploy.flashers.uf2 import FAMILIES

DEFAULT_BAUD = 115_200

BOOTLOADERS = {_usb_devices.RP_BOOTSEL: "picotool", _usb_devices.STM32_DFU: "dfu_util"}


@dataclass(frozen=True, kw_only=True)
class Attached:
    """One thing, with the address that names it in `--device`, and which targets it could be by VID:PID."""

    kind: Literal["serial port", "debug probe", "bootloader", "UF2 drive"]
    address: str
    usb_id: str | None
    serial_number: str | None
    product: str | None
    targets: tuple[str, ...]
    path: str | None = None


@dataclass(frozen=True, kw_only=True)
class Greeting:
    """What a board answered to hello, over which port and at which rate."""

    port: Port
    baud: int
    hello: Hello


def look(known: Iterable[Target]) -> tuple[Attached, ...]:
    """List serial ports, debug probes, boards in a bootloader, and mounted UF2 drives."""
    targets = tuple(known)
    there = _usb_ports.ports()
    found = [_port(port, there, targets) for port in there]
    for device in _usb_devices.devices():
        kind = _usb_devices.kind_of(device)
        if kind is not None:
            found.append(_probe(device, kind, targets))
    return (*found, *(_drive(drive, targets) for drive in _uf2_drives.drives()))


def say_hello(address: str | None, target: Target | None, known: Iterable[Target]) -> Greeting:
    """Ask the board at a serial port for hello, at the rate of its target: the given one, or what VID:PID tells.

    Raises UnreachableError when nothing answers, WrongDeviceError for another version of the protocol, UsageError when
    the address is no serial port's, or targets of that VID:PID have different rates.
    """
    port = _meant(address, target)
    baud = target.baud if target is not None else _baud_of(port, known)
    line = SerialLine(port, baud)
    try:
        return Greeting(port=port, baud=baud, hello=_serial_greeting.greet(line, baud, f"the board at {port.name}"))
    finally:
        line.close()


def _meant(address: str | None, target: Target | None) -> Port:
    scheme, separator, rest = (address or "serial://").partition("://")
    if scheme != "serial" or not separator:
        raise UsageError(
            f"{address!r} is no serial port",
            hint="serial://usb:SERIALNUMBER or serial:///dev/ttyACM0; a board behind SSH: edgecompress devices probe",
        )
    if rest:
        return _usb_ports.at(rest)
    if target is None:
        raise UsageError(
            "which board?", hint="give its address, or its --target; `edgecompress devices list` shows all"
        )
    return _usb_ports.choose(target, None)


def _baud_of(port: Port, known: Iterable[Target]) -> int:
    alike = [target for target in known if port.usb_id in target.usb.ids]
    rates = {target.baud for target in alike}
    if len(rates) > 1:
        names = ", ".join(f"{target.name} ({target.baud})" for target in alike)
        raise UsageError(f"{port.name} could be one of {names}, at different rates", hint="say which: --target NAME")
    return rates.pop() if rates else DEFAULT_BAUD


def _port(port: Port, there: tuple[Port, ...], targets: tuple[Target, ...]) -> Attached:
    return Attached(
        kind="serial port",
        address=_usb_ports.address_of(port, there),
        usb_id=port.usb_id,
        serial_number=port.serial_number,
        product=port.product,
        targets=_like(port.usb_id, targets),
        path=port.path,
    )


def _probe(device: UsbDevice, kind: Kind, targets: tuple[Target, ...]) -> Attached:
    bootloader = BOOTLOADERS.get(kind)
    return Attached(
        kind="bootloader" if bootloader is not None else "debug probe",
        address=f"{bootloader or ANY_TOOL}://{device.serial_number or ''}",
        usb_id=device.usb_id,
        serial_number=device.serial_number,
        product=device.product or kind.name,
        targets=_like(device.usb_id, targets),
    )


def _drive(drive: _uf2_drives.Drive, targets: tuple[Target, ...]) -> Attached:
    fitting = [
        target.name
        for target in targets
        for family in [FAMILIES.get(str(target.probe.get("uf2", {}).get("family")))]
        if family is not None and drive.board_id.lower().startswith(family.board_id.lower())
    ]
    return Attached(
        kind="UF2 drive",
        address=f"uf2://{drive.folder}",
        usb_id=None,
        serial_number=drive.serial_number,
        product=f"{drive.model or 'UF2 bootloader'} ({drive.board_id})",
        targets=tuple(fitting),
        path=str(drive.folder),
    )


def _like(usb_id: str | None, targets: tuple[Target, ...]) -> tuple[str, ...]:
    return tuple(target.name for target in targets if usb_id in target.usb.ids)
