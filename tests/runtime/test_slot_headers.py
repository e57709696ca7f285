"""Every header that may not stand in a slot is refused with a status of its own, before the flash is touched."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.campaign._slot_images import ORIGIN, RAM_BYTES, RAM_ORIGIN, SECRET, TARGET
from edgecompress.core import tools
from edgecompress.core.slot_image import HEADER_BYTES, SIGNED_BYTES, TRAILER_BYTES, SlotImage, unsigned_header
from edgecompress.core.wire import Status

HERE = Path(__file__).parent
RUNTIME = HERE.parents[1] / "device_runtime"
SLOT_BYTES = 0x400
LARGEST = SLOT_BYTES - HEADER_BYTES - TRAILER_BYTES
KEY = Ed25519PrivateKey.from_private_bytes(SECRET)
PAYLOAD = ORIGIN + HEADER_BYTES
FACTS = SlotImage(
    slot="a",
    file="none",
    elf="none",
    payload_bytes=100,
    address=ORIGIN,
    entry=PAYLOAD | 1,
    ram_origin=RAM_ORIGIN,
    ram_bytes=RAM_BYTES,
    sha256=hashlib.sha256(bytes(100)).hexdigest(),
)
BUILD_ID = bytes(16).hex()


@pytest.fixture(scope="module")
def begin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("begin") / "program"
    slots = RUNTIME / "src" / "slots"
    includes = [f"-I{path}" for path in (RUNTIME / "include", RUNTIME / "src", slots, HERE)]
    sources = [HERE / f"{name}.c" for name in ("slot_begin_program", "slot_host", "nor")]
    sources += [path for path in slots.glob("*.c") if path.stem not in ("choose", "commands")]
    flags = ("-std=c11", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    tools.run(["gcc", *flags, *includes, *sources, "-o", program], timeout_s=60)
    return program


def status_of(program: Path, header: bytes) -> tuple[Status, int]:
    status, operations = tools.run([program], timeout_s=60, stdin=header).split()
    return Status(int(status)), int(operations)


def signed(facts: bytes) -> bytes:
    return facts + KEY.sign(facts)


def header(target: str = TARGET, **changes: int) -> bytes:
    return signed(unsigned_header(FACTS.model_copy(update=changes), BUILD_ID, target))


def patched(offset: int, form: str, value: int) -> bytes:
    facts = bytearray(header()[:SIGNED_BYTES])
    struct.pack_into(form, facts, offset, value)
    return signed(bytes(facts))


GOOD = {
    "the smallest": header(payload_bytes=1),
    "the largest": header(payload_bytes=LARGEST),
    "for the other slot": header(address=ORIGIN + SLOT_BYTES, entry=(PAYLOAD + SLOT_BYTES) | 1),
    "entered at its end": header(entry=(PAYLOAD + 98) | 1),
    "without RAM": header(ram_origin=RAM_ORIGIN + RAM_BYTES, ram_bytes=0),
}
BAD = {
    "no magic": (patched(0, "<I", 0), Status.SLOT_BAD_HEADER),
    "another length": (patched(6, "<H", 128), Status.SLOT_BAD_HEADER),
    "a flag": (patched(108, "<I", 1), Status.SLOT_BAD_HEADER),
    "no zeros behind": (patched(191, "<B", 1), Status.SLOT_BAD_HEADER),
    "another version": (patched(4, "<H", 2), Status.SLOT_WRONG_VERSION),
    "no payload": (header(payload_bytes=0), Status.SLOT_BAD_SIZE),
    "too long": (header(payload_bytes=LARGEST + 1), Status.SLOT_BAD_SIZE),
    "much too long": (header(payload_bytes=0xFFFF_FFFF), Status.SLOT_BAD_SIZE),
    "no slot's address": (header(address=ORIGIN + 8), Status.SLOT_WRONG_ADDRESS),
    "entered before the payload": (header(entry=ORIGIN | 1), Status.SLOT_BAD_ENTRY),
    "entered behind the payload": (header(entry=(PAYLOAD + 100) | 1), Status.SLOT_BAD_ENTRY),
    "no Thumb function": (header(entry=PAYLOAD), Status.SLOT_BAD_ENTRY),
    "RAM below": (header(ram_origin=RAM_ORIGIN - 4), Status.SLOT_WRONG_RAM),
    "RAM above": (header(ram_origin=RAM_ORIGIN + RAM_BYTES + 1, ram_bytes=0), Status.SLOT_WRONG_RAM),
    "too much RAM": (header(ram_bytes=RAM_BYTES + 1), Status.SLOT_WRONG_RAM),
    "RAM that wraps": (header(ram_origin=RAM_ORIGIN + 4, ram_bytes=0xFFFF_FFFC), Status.SLOT_WRONG_RAM),
    "another target": (header(target="simulation"), Status.SLOT_WRONG_TARGET),
    "a target that begins alike": (header(target=TARGET + "2"), Status.SLOT_WRONG_TARGET),
    "another build id behind the signature": (
        header()[:28] + b"\1" + header()[29:],
        Status.SLOT_BAD_SIGNATURE,
    ),
    "no signature": (header()[:SIGNED_BYTES] + bytes(64), Status.SLOT_BAD_SIGNATURE),
    "another key": (
        header()[:SIGNED_BYTES] + Ed25519PrivateKey.from_private_bytes(bytes(32)).sign(header()[:SIGNED_BYTES]),
        Status.SLOT_BAD_SIGNATURE,
    ),
}


@pytest.mark.parametrize("image", GOOD.values(), ids=GOOD)
def test_what_fits_is_begun(begin: Path, image: bytes) -> None:
    status, operations = status_of(begin, image)
    assert status is Status.OK
    assert operations > 0


@pytest.mark.parametrize(("image", "expected"), BAD.values(), ids=BAD)
def test_what_does_not_fit_is_refused_before_the_flash_is_touched(begin: Path, image: bytes, expected: Status) -> None:
    assert status_of(begin, image) == (expected, 0)


def test_no_flipped_bit_of_a_signed_header_is_taken(begin: Path) -> None:
    good = header()
    flipped = [good[:at] + bytes([good[at] ^ 1 << at % 8]) + good[at + 1 :] for at in range(HEADER_BYTES)]
    told = tools.run([begin], timeout_s=60, stdin=b"".join(flipped)).split()
    assert len(told) == 2 * HEADER_BYTES
    assert b"0" not in told[::2]
    assert set(told[1::2]) == {b"0"}
