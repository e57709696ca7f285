"""What a device tells about its slots: the answer to SLOT_INFO (docs/protocol.md)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edgecompress.core.errors import TransferError
from edgecompress.core.slot_image import SlotName
from edgecompress.core.slot_key import KEY_BYTES, PublicKey
from edgecompress.core.wire import SlotState

SLOT_NAMES: tuple[SlotName, ...] = ("a", "b")
NONE = 0xFF

_HEAD = struct.Struct(f"<HBBIIIIII{KEY_BYTES}s")
_SLOT = struct.Struct("<IIB16s")


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One slot: `sequence` is 0, and `build_id` zeros, where there is none."""

    name: SlotName
    address: int
    sequence: int
    state: SlotState
    build_id: str


@dataclass(frozen=True, kw_only=True)
class SlotInfo:
    """The slots of a firmware. `running` is None while its own network runs, `next` while none may be written."""

    interface: int
    running: Slot | None
    next: Slot | None
    largest_payload: int
    write_bytes: int
    key: PublicKey
    slots: tuple[Slot, ...]

    @property
    def on_trial(self) -> bool:
        """True while the slot that runs is neither confirmed nor rejected."""
        return self.running is not None and self.running.state is SlotState.TRIED


def read(payload: bytes) -> SlotInfo:
    """Read the answer. Raises TransferError when it has another length or an unknown slot or state."""
    expected = _HEAD.size + len(SLOT_NAMES) * _SLOT.size
    if len(payload) != expected:
        raise TransferError(f"the answer to SLOT_INFO has {len(payload)} bytes instead of {expected}")
    interface, running, following, _, largest_payload, _, write_bytes, _, _, key = _HEAD.unpack_from(payload)
    slots = tuple(
        _slot(name, payload[_HEAD.size + i * _SLOT.size :][: _SLOT.size]) for i, name in enumerate(SLOT_NAMES)
    )
    return SlotInfo(
        interface=interface,
        running=_choose(slots, running),
        next=_choose(slots, following),
        largest_payload=largest_payload,
        write_bytes=write_bytes,
        key=PublicKey(raw=key),
        slots=slots,
    )


def _slot(name: SlotName, part: bytes) -> Slot:
    address, sequence, state, build_id = _SLOT.unpack(part)
    try:
        known = SlotState(state)
    except ValueError as error:
        raise TransferError(f"slot {name} is in the unknown state {state}") from error
    return Slot(name=name, address=address, sequence=sequence, state=known, build_id=build_id.hex())


def _choose(slots: tuple[Slot, ...], number: int) -> Slot | None:
    if number == NONE:
        return None
    if number >= len(slots):
        raise TransferError(f"the answer to SLOT_INFO names slot {number}; there are {len(slots)}")
    return slots[number]
