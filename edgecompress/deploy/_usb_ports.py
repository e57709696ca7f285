"""The serial ports of this machine, by the USB serial number of the device that brings them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgecompress.core.errors import UnreachableError, UsageError
from edgecompress.core.target import Target

BY_USB = "usb:"
HINT = "an address is serial://usb:SERIALNUMBER or serial:///dev/ttyACM0; `edgecompress devices list` shows them"


@dataclass(frozen=True, kw_only=True)
class Port:
    """One serial port. `usb_id` is `VID:PID` as `lsusb` prints it; a port that is not on USB has none.

    `interface` tells the ports of one USB device apart.
    """

    path: str
    usb_id: str | None = None
    serial_number: str | None = None
    interface: int | None = None
    product: str | None = None

    @property
    def name(self) -> str:
        """The port's path, and its USB serial number where it has one: what a record keeps."""
        return f"{self.path} ({BY_USB}{self.serial_number})" if self.serial_number else self.path


def ports() -> tuple[Port, ...]:
    """List the serial ports, sorted by their paths; those that are on no bus (ttyS0 without hardware) are left out."""
    from serial.tools import list_ports

    found = [
        Port(
            path=each.device,
            usb_id=f"{each.vid:04x}:{each.pid:04x}" if each.vid is not None else None,
            serial_number=each.serial_number or None,
            interface=_interface(each.location),
            product=each.product or None,
        )
        for each in list_ports.comports()
        if each.hwid != "n/a"
    ]
    return tuple(sorted(found, key=lambda port: port.path))


def address_of(port: Port, among: Iterable[Port] | None = None) -> str:
    """Return the address that names the port for good: by serial number, else by its path."""
    if port.serial_number is None:
        return f"serial://{port.path}"
    alike = [each for each in (ports() if among is None else among) if each.serial_number == port.serial_number]
    which = f"/{port.interface}" if len(alike) > 1 and port.interface is not None else ""
    return f"serial://{BY_USB}{port.serial_number}{which}"


def choose(target: Target, address: str | None) -> Port:
    """Find the port that an address means or, without one, the only port whose VID:PID the target's profile lists.

    Raises UnreachableError when there is none, UsageError when there are several: equal boards are never guessed
    between.
    """
    return at(address) if address is not None else _only_one_like(target, ports())


def at(address: str) -> Port:
    """Find the port that an address means: `usb:SERIALNUMBER`, `usb:SERIALNUMBER/INTERFACE`, SERIALNUMBER, or a path.

    Raises UnreachableError when no port has that serial number, UsageError when the USB device has several. A path is
    taken as it is; where the port is on USB, its serial number comes with it.
    """
    there = ports()
    if address.startswith(BY_USB) or any(port.serial_number == address for port in there):
        return _by_serial_number(address.removeprefix(BY_USB), there)
    known = {os.path.realpath(port.path): port for port in there}
    return known.get(os.path.realpath(address)) or Port(path=address)


def address_after_reset(target: Target) -> str | None:
    """Return the address of a port that a board in its bootloader will have when its firmware runs.

    It is the only port of the target's VID:PID then: None when there is such a port now, for that is another board's.
    """
    is_free = target.usb.ids and not any(port.usb_id in target.usb.ids for port in ports())
    return "serial://" if is_free else None


def again(port: Port) -> Port | None:
    """Find a port anew, as after a reset: by its serial number wherever it is now, else at its path."""
    if port.serial_number is None:
        return port
    key = (port.serial_number, port.interface)
    return next((each for each in ports() if (each.serial_number, each.interface) == key), None)


def _only_one_like(target: Target, there: Sequence[Port]) -> Port:
    if not target.usb.ids:
        raise UsageError(f"{target.name} is reached over a serial line, at an address", hint=HINT)
    alike = [port for port in there if port.usb_id in target.usb.ids]
    if not alike:
        raise UnreachableError(
            f"no serial port of a {target.name} ({', '.join(target.usb.ids)}) is on this machine's USB", hint=HINT
        )
    return _the_one(alike, there, f"{len(alike)} serial ports could be a {target.name}")


def _by_serial_number(wanted: str, there: Sequence[Port]) -> Port:
    number, slash, interface = wanted.rpartition("/")
    if not slash:
        number = wanted
    alike = [port for port in there if port.serial_number == number and (not slash or str(port.interface) == interface)]
    if not alike:
        seen = ", ".join(address_of(port, there) for port in there) or "none"
        raise UnreachableError(
            f"no serial port has the USB serial number {wanted}", hint=f"there are: {seen}; is the board plugged in?"
        )
    return _the_one(alike, there, f"the USB device {number} has {len(alike)} serial ports")


def _the_one(alike: Sequence[Port], there: Sequence[Port], several: str) -> Port:
    if len(alike) == 1:
        return alike[0]
    shown = ", ".join(
        f"{address_of(port, there)} ({port.path})" if port.serial_number else f"serial://{port.path}" for port in alike
    )
    raise UsageError(f"{several}: which one?", hint=f"--device; there are: {shown}")


def _interface(location: str | None) -> int | None:
    """Read the interface off a location: 1-1.2:1.3 is interface 3 of configuration 1 of the device at 1-1.2."""
    _, colon, rest = (location or "").partition(":")
    number = rest.rpartition(".")[2]
    return int(number) if colon and number.isdigit() else None
