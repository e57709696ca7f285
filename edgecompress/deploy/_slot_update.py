"""Bring a network into a slot of a running firmware, and go back to the one before (docs/slots.md).

Every step can be cut off, on either side: the same call again looks at what the device says and goes on from there.
"""

from __future__ import annotations

import hashlib
import logging
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from edgecompress.core import slot_image, slot_info
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.errors import (
    ConfigError,
    EdgecompressError,
    TransferError,
    UnreachableError,
    UsageError,
    WrongDeviceError,
)
from edgecompress.core.session import RefusedError
from edgecompress.core.slot_image import SlotImage, SlotName
from edgecompress.core.slot_info import Slot, SlotInfo
from edgecompress.core.slot_key import PublicKey
from edgecompress.core.values import Progress, no_progress
from edgecompress.core.wire import LEAST_PAYLOAD, Command, SlotState, Status

logger = logging.getLogger(__name__)

FLASH_TIMEOUT_S = 120.0
"""For what erases or hashes a slot, and for a start: signatures and hashes are checked before hello is answered."""

_OFFSET = struct.Struct("<I")
_BEGUN = struct.Struct("<BI")

HINTS = {
    Status.SLOT_BAD_SIGNATURE: "sign with the key whose public half the firmware was built with",
    Status.SLOT_WRONG_VERSION: "the firmware is of another version of edgecompress: flash one of this version",
    Status.SLOT_WRONG_TARGET: "compile for the target that the firmware was built for",
    Status.SLOT_WRONG_ADDRESS: "the firmware's slots lie elsewhere: compile with the profile that it was built with",
    Status.SLOT_WRONG_RAM: "the firmware leaves other RAM to slots: compile with the profile that it was built with",
    Status.SLOT_BAD_HASH: "the line or the flash changed bytes: run this again; when it stays so, the flash is worn",
    Status.SLOT_FLASH_FAILED: "run this again; when it stays so, the flash is worn. The model before still serves",
}

Sign = Callable[[bytes], bytes]


@dataclass(frozen=True, kw_only=True)
class Signer:
    """A key to sign with: its public half, and what signs."""

    public: PublicKey
    sign: Sign


@dataclass(frozen=True, kw_only=True)
class Installed:
    """Where the network runs now. `slot` is None when it is the one that the firmware was built with."""

    slot: SlotName | None
    sequence: int


def install(device: Device, bundle: Bundle, signer: Signer, progress: Progress = no_progress) -> Installed:
    """Install the bundle's network into the slot that does not run, start it, prove it right and confirm it.

    `device` was joined. Raises WrongDeviceError before anything is written when firmware, key or image do not belong
    together; TransferError when the network does not start or computes other bytes: the one before serves again.
    """
    hello = device.greet(FLASH_TIMEOUT_S)
    manifest = bundle.manifest
    if hello.target != manifest.target:
        raise WrongDeviceError(f"{device.description} says it is {hello.target}; the bundle is for {manifest.target}")
    info = read_info(device)
    _refuse_another_key(device, info, signer.public)
    if hello.build_id != manifest.build_id:
        info = _end_foreign_trial(device, info)
        _write(device, bundle, _image_for(device, bundle, info), signer.sign, progress)
        hello = device.reset(FLASH_TIMEOUT_S)
        if hello.build_id != manifest.build_id:
            raise TransferError(
                f"{device.description} did not keep running build {manifest.build_id}; build {hello.build_id} serves",
                hint="the new model stopped the firmware when it started: its fault record may say where",
            )
    return _prove(device, bundle, progress)


def revert(device: Device) -> tuple[str, Slot | None]:
    """Go back to the network before the one that runs.

    Returns the name of the slot that ran, and the slot that runs now; None for the firmware's own network. Raises
    UsageError when there is nothing to go back to.
    """
    device.greet(FLASH_TIMEOUT_S)
    before = read_info(device)
    if before.running is None:
        raise UsageError(
            f"{device.description} has no model before the one that runs",
            hint="it runs the network that its firmware was built with",
        )
    try:
        device.ask(Command.SLOT_REVERT, timeout_s=FLASH_TIMEOUT_S)
    except RefusedError as error:
        if error.status != Status.SLOT_NOTHING:
            raise
        raise UsageError(
            f"{device.description} has no model before the one in slot {before.running.name}",
            hint="the other slot holds none that may start; deploy one with --slot",
        ) from error
    device.reset(FLASH_TIMEOUT_S)
    return before.running.name, read_info(device).running


def read_info(device: Device) -> SlotInfo:
    """Ask for the slots. Raises WrongDeviceError when the firmware has none, or speaks of other ones."""
    try:
        info = slot_info.read(device.ask(Command.SLOT_INFO, timeout_s=FLASH_TIMEOUT_S))
    except RefusedError as error:
        if error.status not in (Status.UNKNOWN_COMMAND, Status.UNSUPPORTED):
            raise
        raise WrongDeviceError(
            f"the firmware of {device.description} has no slots",
            hint="compile with --slot-key KEY.pub and flash that firmware once",
        ) from error
    if info.interface != slot_image.INTERFACE:
        raise WrongDeviceError(
            f"{device.description} takes images of version {info.interface}; these are of {slot_image.INTERFACE}",
            hint=HINTS[Status.SLOT_WRONG_VERSION],
        )
    return info


def _refuse_another_key(device: Device, info: SlotInfo, public: PublicKey) -> None:
    if info.key != public:
        raise WrongDeviceError(
            f"{device.description} takes models that {info.key.fingerprint} signed; --key is {public.fingerprint}",
            hint="give the key whose .pub the firmware was compiled with (--slot-key); nothing was written",
        )


def _end_foreign_trial(device: Device, info: SlotInfo) -> SlotInfo:
    """Take back a model that was left on trial by a deployment which never came back to confirm it."""
    if not info.on_trial:
        return info
    logger.warning("%s: another model was left on trial, and is taken back", device.description)
    device.ask(Command.SLOT_REVERT, timeout_s=FLASH_TIMEOUT_S)
    device.reset(FLASH_TIMEOUT_S)
    return read_info(device)


def _image_for(device: Device, bundle: Bundle, info: SlotInfo) -> SlotImage:
    if bundle.manifest.slots is None:
        raise ConfigError(
            "the bundle holds no images for slots", hint="compile with --slot-key KEY.pub; see docs/slots.md"
        )
    if info.next is None:
        raise TransferError(f"{device.description} has no slot that may be written", hint="reset it and try again")
    image = bundle.manifest.slots.at(info.next.address)
    if image is None:
        raise WrongDeviceError(
            f"slot {info.next.name} of {device.description} lies at {info.next.address:#010x}; "
            f"the bundle's images are for {bundle.manifest.slots.a.address:#010x} "
            f"and {bundle.manifest.slots.b.address:#010x}",
            hint=HINTS[Status.SLOT_WRONG_ADDRESS],
        )
    return image


def _write(device: Device, bundle: Bundle, image: SlotImage, sign: Sign, progress: Progress) -> None:
    """Write the image; what an interrupted write left is kept, and written anew when its hash does not hold."""
    manifest = bundle.manifest
    payload = (bundle.folder / image.file).read_bytes()
    unsigned = slot_image.unsigned_header(image, manifest.build_id, manifest.target)
    header = unsigned + sign(unsigned)
    try:
        _write_once(device, image, header, payload, progress)
    except RefusedError as error:
        if error.status != Status.SLOT_BAD_HASH:
            raise
        logger.warning("%s; the slot is written anew", error.message)
        _write_once(device, image, header, payload, progress)


def _write_once(device: Device, image: SlotImage, header: bytes, payload: bytes, progress: Progress) -> None:
    write_bytes = read_info(device).write_bytes
    progress(f"slot {image.slot}", 0, len(payload))
    state, held = _BEGUN.unpack(_ask(device, Command.SLOT_BEGIN, header))
    if state == SlotState.INSTALLED:
        return
    room = (LEAST_PAYLOAD - _OFFSET.size) // write_bytes * write_bytes
    for start in range(held, len(payload), room):
        progress(f"slot {image.slot}", start, len(payload))
        _ask(device, Command.SLOT_WRITE, _OFFSET.pack(start) + payload[start : start + room])
    progress(f"slot {image.slot}", len(payload), len(payload))
    digest = _ask(device, Command.SLOT_FINISH)
    if digest != hashlib.sha256(payload).digest():
        raise TransferError(
            f"slot {image.slot} of {device.description} holds {digest.hex()}, not {image.sha256}",
            hint=HINTS[Status.SLOT_BAD_HASH],
        )


def _ask(device: Device, command: Command, payload: bytes = b"") -> bytes:
    try:
        return device.ask(command, payload, timeout_s=FLASH_TIMEOUT_S)
    except RefusedError as error:
        error.hint = HINTS.get(Status(error.status)) if error.status in set(Status) else None
        raise


def _prove(device: Device, bundle: Bundle, progress: Progress) -> Installed:
    """Run the test vectors; confirm the slot that runs, or take it back."""
    try:
        device.adopt(bundle, progress)
    except (TransferError, UnreachableError) as error:
        _take_back(device, bundle, error)
        raise
    info = read_info(device)
    if info.running is None:
        return Installed(slot=None, sequence=0)
    _ask(device, Command.SLOT_CONFIRM)
    return Installed(slot=info.running.name, sequence=info.running.sequence)


def _take_back(device: Device, bundle: Bundle, error: EdgecompressError) -> None:
    """Leave a model that failed its trial, where the device still answers; where it does not, its reset does it."""
    with suppress(EdgecompressError):
        if device.greet(FLASH_TIMEOUT_S).build_id == bundle.manifest.build_id and read_info(device).on_trial:
            device.ask(Command.SLOT_REVERT, timeout_s=FLASH_TIMEOUT_S)
            now = device.reset(FLASH_TIMEOUT_S).build_id
            error.hint = f"{error.hint or 'the new model failed its test vectors'}; build {now} serves again"
