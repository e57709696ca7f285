"""What is installed into a slot (docs/slots.md): a header, and a payload that is linked for the slot's address.

device_runtime/src/slots.h has the same numbers; a test compares them.
"""

from __future__ import annotations

import struct
from typing import Annotated, Literal

from pydantic import Field

from edgecompress.core.errors import ConfigError
from edgecompress.core.target import Region
from edgecompress.core.values import FileValue

MAGIC = 0x3153_4345
INTERFACE = 1
HEADER_BYTES = 256
SIGNED_BYTES = 192
SIGNATURE_BYTES = HEADER_BYTES - SIGNED_BYTES
TARGET_BYTES = 32
MARK_BYTES = 32
MARKS = 7
TRAILER_BYTES = MARKS * MARK_BYTES

_FACTS = struct.Struct("<IHHIIIII16s32s32sI")

SlotName = Literal["a", "b"]

PathInBundle = Annotated[str, Field(pattern=r"^[^/.][^/]*(/[^/.][^/]*)*$")]
"""A relative path none of whose parts begins with a dot: it stays in the bundle."""


class SlotImage(FileValue):
    """The payload for one slot, and what its header says of it.

    `file` and `elf` are paths in the bundle; the ELF file is the payload's, with names and lines. `address` is the
    header's in flash, `entry` the function that gives the network (bit 0 set: Thumb).
    """

    slot: SlotName
    file: PathInBundle
    elf: PathInBundle
    payload_bytes: int
    address: int
    entry: int
    ram_origin: int
    ram_bytes: int
    sha256: str

    def holds(self, address: int) -> bool:
        """True for an address within the payload, as it lies in the slot."""
        start = self.address + HEADER_BYTES
        return start <= address < start + self.payload_bytes


class SlotImages(FileValue):
    """The images of a network for both slots, not signed, and the fingerprint of the key that its firmware takes."""

    key: str
    a: SlotImage
    b: SlotImage

    def at(self, address: int) -> SlotImage | None:
        """The image that is linked for the slot at an address."""
        return next((image for image in (self.a, self.b) if image.address == address), None)


def payload_region(slot: Region) -> Region:
    """Where in a slot the payload may lie: between the header and the marks."""
    return Region(origin=slot.origin + HEADER_BYTES, length=slot.length - HEADER_BYTES - TRAILER_BYTES)


def unsigned_header(image: SlotImage, build_id: str, target: str) -> bytes:
    """Lay out what is signed: the first 192 bytes of the header.

    Raises ConfigError when the target's name is too long for it.
    """
    name = target.encode()
    if len(name) > TARGET_BYTES:
        raise ConfigError(f"the target's name {target!r} has {len(name)} bytes; a slot's header takes {TARGET_BYTES}")
    facts = _FACTS.pack(
        MAGIC,
        INTERFACE,
        HEADER_BYTES,
        image.payload_bytes,
        image.address,
        image.entry,
        image.ram_origin,
        image.ram_bytes,
        bytes.fromhex(build_id),
        bytes.fromhex(image.sha256),
        name,
        0,
    )
    return facts.ljust(SIGNED_BYTES, b"\0")
