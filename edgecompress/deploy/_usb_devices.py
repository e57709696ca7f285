"""What is on this machine's USB besides serial ports: debug probes and boards that wait in their bootloader.

Read from Linux's sysfs (Documentation/ABI/stable/sysfs-bus-usb); elsewhere nothing is found, and every device must be
named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecompress.core.errors import UnreachableError, UsageError
from edgecompress.core.target import Target

SYSFS = Path("/sys/bus/usb/devices")
LIST_HINT = "`edgecompress devices list` shows what there is"


@dataclass(frozen=True, kw_only=True)
class UsbDevice:
    """One device: `usb_id` is `VID:PID` as `lsusb` prints it."""

    usb_id: str
    serial_number: str | None = None
    product: str | None = None

    @property
    def name(self) -> str:
        """The device in words, with what names it."""
        return f"{self.product or self.usb_id} {self.serial_number or 'without a serial number'}"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Devices that a flashing tool can speak to: by VID:PID, by vendor, or by what the product's name holds."""

    name: str
    usb_ids: tuple[str, ...] = ()
    vendor: str | None = None
    product: str | None = None

    def covers(self, device: UsbDevice) -> bool:
        """True for a device of this kind."""
        if device.usb_id in self.usb_ids or device.usb_id.split(":")[0] == self.vendor:
            return True
        return self.product is not None and self.product in (device.product or "")


_ST_LINKS = ("3744", "3748", "374b", "374d", "374e", "374f", "3752", "3753", "3754", "3755", "3757")
ST_LINK = Kind(name="ST-LINK", usb_ids=tuple(f"0483:{product}" for product in _ST_LINKS))
"""OpenOCD's contrib/60-openocd.rules lists these products."""

J_LINK = Kind(name="J-Link", vendor="1366")
CMSIS_DAP = Kind(name="CMSIS-DAP probe", usb_ids=("0d28:0204", "2e8a:000c"), product="CMSIS-DAP")
RP_BOOTSEL = Kind(name="RP2040 or RP2350 in BOOTSEL mode", usb_ids=("2e8a:0003", "2e8a:000f"))
STM32_DFU = Kind(name="STM32 in DFU mode", usb_ids=("0483:df11",))

PROBES = (ST_LINK, J_LINK, CMSIS_DAP)
KINDS = (*PROBES, RP_BOOTSEL, STM32_DFU)


def devices(folder: Path | None = None) -> tuple[UsbDevice, ...]:
    """List all devices, sorted by VID:PID and serial number."""
    found = [_read(each) for each in (folder or SYSFS).glob("*") if (each / "idVendor").is_file()]
    return tuple(sorted(found, key=lambda each: (each.usb_id, each.serial_number or "")))


def behind(folder: Path) -> UsbDevice | None:
    """Return the USB device that a sysfs folder (of a drive) lies under."""
    holder = next((each for each in (folder, *folder.parents) if (each / "idVendor").is_file()), None)
    return _read(holder) if holder is not None else None


def kind_of(device: UsbDevice) -> Kind | None:
    """Say which kind of probe or bootloader a device is."""
    return next((kind for kind in KINDS if kind.covers(device)), None)


def choose(kinds: Sequence[Kind], target: Target, serial_number: str | None) -> UsbDevice:
    """Find the one device of these kinds, by its USB serial number, or the only one there is.

    Several kinds of probe are told apart by the target's `[usb]` table. Raises UnreachableError when there is none,
    UsageError when there are several: equal boards are never guessed between.
    """
    wanted = " or ".join(kind.name for kind in kinds)
    alike = [each for each in devices() if any(kind.covers(each) for kind in kinds)]
    if serial_number is not None:
        chosen = [each for each in alike if same_number(each.serial_number, serial_number)]
    else:
        chosen = [each for each in alike if each.usb_id in target.usb.ids] or alike
    if len(chosen) == 1:
        return chosen[0]
    listed = f"there are: {'; '.join(each.name for each in alike)}" if alike else LIST_HINT
    which = f" has the USB serial number {serial_number}" if serial_number is not None else " is on this machine's USB"
    if not chosen:
        raise UnreachableError(f"no {wanted}{which}", hint=f"{listed}; is it plugged in?")
    raise UsageError(f"{len(chosen)} devices could be meant by {wanted}{which}: which one?", hint=listed)


def same_number(there: str | None, wanted: str) -> bool:
    """Compare serial numbers; J-Links print theirs without the zeros that USB shows before it."""
    return there is not None and there.lower().lstrip("0") == wanted.lower().lstrip("0")


def _read(folder: Path) -> UsbDevice:
    vendor, product = _text(folder / "idVendor"), _text(folder / "idProduct")
    return UsbDevice(
        usb_id=f"{vendor}:{product}", serial_number=_text(folder / "serial"), product=_text(folder / "product")
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip() or None
    except OSError:
        return None
