"""This machine's USB as a test wants it: devices in a sysfs of the test's own, and the serial ports of pyserial."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from edgecompress.deploy import _usb_devices


@dataclass(frozen=True, kw_only=True)
class Plugged:
    """One device: the paths of its serial ports, and the interface that each is."""

    usb_id: str
    serial_number: str | None
    product: str = "a board"
    ports: tuple[str, ...] = ()


def plug_in(monkeypatch: pytest.MonkeyPatch, folder: Path, *devices: Plugged) -> None:
    """Make these the only devices."""
    found = []
    for count, device in enumerate(devices):
        place = folder / f"1-{count}"
        place.mkdir(parents=True)
        vendor, product = device.usb_id.split(":")
        files = {"idVendor": vendor, "idProduct": product, "serial": device.serial_number, "product": device.product}
        for name, text in files.items():
            if text is not None:
                (place / name).write_text(text + "\n")
        for interface, path in enumerate(device.ports):
            port = ListPortInfo(path)
            port.vid, port.pid, port.serial_number = int(vendor, 16), int(product, 16), device.serial_number
            port.product, port.hwid, port.location = device.product, "USB", f"1-{count}:1.{2 * interface}"
            found.append(port)
    monkeypatch.setattr(_usb_devices, "SYSFS", folder)
    monkeypatch.setattr(list_ports, "comports", lambda: found)
