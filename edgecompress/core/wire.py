"""The wire protocol's frames and numbers (docs/protocol.md): what device_runtime/src speaks in C."""

from __future__ import annotations

import enum
import struct
import zlib
from dataclasses import dataclass

from cobs import cobs

PROTOCOL_VERSION = 1
LEAST_PAYLOAD = 256
"""Every device takes payloads of this length; hello tells how long they may be."""

MAX_PAYLOAD = 0xFFFF
"""What a frame's length can say."""

TICK_BYTES = 8
ANSWER_BIT = 0x80
NO_LAYER = 0xFFFF_FFFF
DELIMITER = b"\0"

_HEADER = struct.Struct("<BBHH")
_CHECK = struct.Struct("<I")


class Command(enum.IntEnum):
    """What the host asks for."""

    HELLO = 1
    TENSOR = 2
    WRITE_INPUT = 3
    RUN = 4
    READ_OUTPUT = 5
    PROFILE = 6
    STATS = 7
    SENSORS = 8
    FAULT = 9
    RESET = 10
    THREADS = 11
    SLOT_INFO = 12
    SLOT_BEGIN = 13
    SLOT_WRITE = 14
    SLOT_FINISH = 15
    SLOT_CONFIRM = 16
    SLOT_REVERT = 17


class Status(enum.IntEnum):
    """How the device took a request."""

    OK = 0
    NO_SESSION = 1
    UNKNOWN_COMMAND = 2
    BAD_LENGTH = 3
    BAD_INDEX = 4
    BAD_RANGE = 5
    BAD_COUNT = 6
    UNSUPPORTED = 7
    SLOT_ON_TRIAL = 8
    SLOT_BAD_HEADER = 9
    SLOT_WRONG_VERSION = 10
    SLOT_BAD_SIZE = 11
    SLOT_WRONG_ADDRESS = 12
    SLOT_BAD_ENTRY = 13
    SLOT_WRONG_RAM = 14
    SLOT_WRONG_TARGET = 15
    SLOT_BAD_SIGNATURE = 16
    SLOT_NOT_BEGUN = 17
    SLOT_BAD_HASH = 18
    SLOT_FLASH_FAILED = 19
    SLOT_NOTHING = 20


class Statistic(enum.IntEnum):
    """What `STATS` may tell."""

    STACK_BYTES = 1
    ARENA_BYTES = 2
    RESIDENT_BYTES = 3
    PROPORTIONAL_BYTES = 4


class SlotState(enum.IntEnum):
    """What a model slot holds."""

    EMPTY = 0
    BEGUN = 1
    INSTALLED = 2
    TRIED = 3
    CONFIRMED = 4
    REJECTED = 5
    DAMAGED = 6


class FaultKind(enum.IntEnum):
    """What a fault record is about."""

    HARD = 1
    MEMORY = 2
    BUS = 3
    USAGE = 4
    ILLEGAL_INSTRUCTION = 5
    BAD_ADDRESS = 6
    ARITHMETIC = 7
    ABORT = 8
    WATCHDOG = 9
    RESET = 10


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One request (status 0) or answer (`ANSWER_BIT` set in `command`)."""

    command: int
    sequence: int
    payload: bytes = b""
    status: int = 0

    @property
    def is_answer(self) -> bool:
        """True for what a device sends."""
        return bool(self.command & ANSWER_BIT)


def encode(frame: Frame) -> bytes:
    """Return the frame's bytes on the wire, a delimiter before and behind them.

    Raises ValueError when the payload is longer than MAX_PAYLOAD.
    """
    if len(frame.payload) > MAX_PAYLOAD:
        raise ValueError(f"a payload of {len(frame.payload)} bytes does not fit a frame of {MAX_PAYLOAD}")
    content = _HEADER.pack(frame.command, frame.status, frame.sequence, len(frame.payload)) + frame.payload
    code: bytes = cobs.encode(content + _CHECK.pack(zlib.crc32(content)))
    return DELIMITER + code + DELIMITER


def decode(block: bytes) -> Frame | None:
    """Read what stood between two delimiters; None when it is not an undamaged frame."""
    try:
        content = cobs.decode(block)
    except cobs.DecodeError:
        return None
    if len(content) < _HEADER.size + _CHECK.size:
        return None
    body, check = content[: -_CHECK.size], content[-_CHECK.size :]
    command, status, sequence, length = _HEADER.unpack_from(body)
    if length != len(body) - _HEADER.size or _CHECK.unpack(check)[0] != zlib.crc32(body):
        return None
    return Frame(command=command, status=status, sequence=sequence, payload=body[_HEADER.size :])


LONGEST_BLOCK = len(encode(Frame(command=0, sequence=0, payload=bytes([1]) * MAX_PAYLOAD))) - 2
"""The most bytes that stand between the two delimiters of a frame."""

SHORTEST_BLOCK = len(encode(Frame(command=0, sequence=0))) - 2
"""The fewest."""


class Reader:
    """Cuts a stream into frames. What is not a frame (boot noise, log text, damage) is counted and dropped."""

    def __init__(self) -> None:
        self.noise_bytes = 0
        self._begun = bytearray()

    def take(self, data: bytes) -> list[Frame]:
        """Take the next bytes of the stream; return the whole frames that ended in them."""
        first, *others = data.split(DELIMITER)
        self._begun += first
        blocks: list[bytes] = []
        if others:
            blocks = [bytes(self._begun), *others[:-1]]
            self._begun = bytearray(others[-1])
        too_many = max(0, len(self._begun) - LONGEST_BLOCK)
        self.noise_bytes += too_many
        del self._begun[:too_many]
        return [frame for block in blocks if block and (frame := self._decode(block)) is not None]

    @property
    def pending(self) -> int:
        """How many bytes have come since the last delimiter."""
        return len(self._begun)

    def _decode(self, block: bytes) -> Frame | None:
        frame = decode(block)
        if frame is None:
            self.noise_bytes += len(block)
        return frame
