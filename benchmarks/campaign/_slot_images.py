"""Signed slot images of random bytes, for the campaigns of the flash: laid out as `edgecompress deploy --slot` does."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgecompress.core.slot_image import HEADER_BYTES, SlotImage, unsigned_header

TARGET = "simulated"
ORIGIN = 0x10000
RAM_ORIGIN = 0x2000_1000
RAM_BYTES = 0x1000
SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
"""RFC 8032, 7.1, TEST 1: tests/runtime/slot_host.c has the public key."""


def image(seed: int, address: int, payload_bytes: int) -> bytes:
    """Header and payload of one image."""
    source = random.Random(seed)
    payload = source.randbytes(payload_bytes)
    facts = SlotImage(
        slot="a",
        file="none",
        elf="none",
        payload_bytes=payload_bytes,
        address=address,
        entry=(address + HEADER_BYTES) | 1,
        ram_origin=RAM_ORIGIN,
        ram_bytes=RAM_BYTES,
        sha256=hashlib.sha256(payload).hexdigest(),
    )
    signed = unsigned_header(facts, source.randbytes(16).hex(), TARGET)
    return signed + Ed25519PrivateKey.from_private_bytes(SECRET).sign(signed) + payload


def write(path: Path, slot_bytes: int, payload_bytes: int) -> None:
    """Write the four images that tests/runtime/slot_host.h names, of three networks of about this length."""
    a, b = ORIGIN, ORIGIN + slot_bytes
    images = ((1, a, payload_bytes - 16), (2, b, payload_bytes), (3, b, payload_bytes - 24), (4, a, payload_bytes))
    path.write_bytes(b"".join(image(*one) for one in images))
