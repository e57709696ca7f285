"""What a device's answers hold (docs/protocol.md, "Commands"), as values."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, get_args

from edgecompress.core import wire
from edgecompress.core.errors import TransferError
from edgecompress.core.values import TensorSpec
from edgecompress.core.wire import FaultKind, Statistic

LONGEST_NAME = 128

# TensorSpec lists its types in the order of edgert_dtype's numbers.
_DTYPES: tuple[Any, ...] = get_args(TensorSpec.model_fields["dtype"].annotation)


@dataclass(frozen=True, kw_only=True)
class Hello:
    """The answer to HELLO."""

    largest_payload: int
    build_id: str
    target: str
    ticks_per_second: int
    inputs: int
    outputs: int
    layers: int
    arena_bytes: int


@dataclass(frozen=True, kw_only=True)
class DeviceInfo:
    """What a device tells about itself and its network."""

    protocol_version: int
    largest_payload: int
    build_id: str
    target: str
    ticks_per_second: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    layers: int


@dataclass(frozen=True, kw_only=True)
class Stats:
    """Memory as the device itself sees it; None where it cannot tell.

    `stack_bytes` is the high-water mark since the start, `resident_bytes` the largest resident set of a process,
    `proportional_bytes` what is resident now, with pages that several processes share divided among them (Pss).
    """

    arena_bytes: int
    stack_bytes: int | None
    resident_bytes: int | None
    proportional_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault record. `detail` is the core's or system's status: CFSR on Cortex-M, the signal's number on POSIX.

    `program` is the beginning of the build id of the network that ran, 8 hex digits. `registers` are r0 to r12, sp, lr
    and xPSR of a Cortex-M, or none; `stack_bytes` what the stack had taken, None where nobody knows.
    """

    kind: str
    layer: int | None
    detail: int
    pc: int
    address: int
    hard_status: int = 0
    program: str = ""
    stack_bytes: int | None = None
    registers: tuple[int, ...] = ()


class _Cursor:
    """Reads numbers and text off an answer, from its front."""

    def __init__(self, what: str, payload: bytes) -> None:
        self._what = what
        self._payload = payload
        self._at = 0

    def take(self, form: str) -> tuple[Any, ...]:
        """Unpack the next fields. Raises TransferError at the answer's end."""
        fields = struct.Struct("<" + form)
        if fields.size > len(self._payload) - self._at:
            raise TransferError(f"the device's answer to {self._what} ends after {len(self._payload)} bytes")
        values = fields.unpack_from(self._payload, self._at)
        self._at += fields.size
        return values

    def take_text(self) -> str:
        (length,) = self.take("B")
        (text,) = self.take(f"{length}s")
        return str(text, "utf-8", "replace")


def read_hello(payload: bytes) -> Hello | None:
    """Read HELLO's answer; None when the device speaks another version of the protocol.

    Raises TransferError when it takes less in a frame than every device must.
    """
    cursor = _Cursor("HELLO", payload)
    if cursor.take("H") != (wire.PROTOCOL_VERSION,):
        return None
    largest_payload, build_id, ticks_per_second, inputs, outputs, layers, arena_bytes = cursor.take("H16sQIIII")
    if largest_payload < wire.LEAST_PAYLOAD:
        raise TransferError(
            f"the device takes payloads of {largest_payload} bytes; the protocol's least is {wire.LEAST_PAYLOAD}"
        )
    return Hello(
        largest_payload=largest_payload,
        build_id=build_id.hex(),
        target=cursor.take_text(),
        ticks_per_second=ticks_per_second,
        inputs=inputs,
        outputs=outputs,
        layers=layers,
        arena_bytes=arena_bytes,
    )


def read_tensor(payload: bytes) -> TensorSpec:
    """Read TENSOR's answer. The scale is a float32 there: compare with `as_told`."""
    cursor = _Cursor("TENSOR", payload)
    dtype, rank = cursor.take("BB")
    shape = cursor.take(f"{rank}I")
    (scale,) = cursor.take("f")
    zero_point, _byte_size = cursor.take("iI")
    if dtype >= len(_DTYPES):
        raise TransferError(f"the device has a tensor of the unknown type {dtype}")
    return TensorSpec(
        name=cursor.take_text(),
        shape=shape,
        dtype=_DTYPES[dtype],
        scale=scale if scale else None,
        zero_point=zero_point if scale else None,
    )


def as_told(spec: TensorSpec) -> TensorSpec:
    """The spec as a device tells it: the name cut to 128 bytes, the scale rounded to float32."""
    scale = struct.unpack("<f", struct.pack("<f", spec.scale))[0] if spec.scale else None
    return TensorSpec(
        name=str(spec.name.encode()[:LONGEST_NAME], "utf-8", "replace"),
        shape=spec.shape,
        dtype=spec.dtype,
        scale=scale,
        zero_point=(spec.zero_point or 0) if scale else None,
    )


def read_stats(payload: bytes) -> Stats:
    """Read STATS' answer; statistics of a later version are passed over."""
    count, rest = divmod(len(payload), 9)
    cursor = _Cursor("STATS", payload if rest == 0 else payload[:0])
    told: dict[int, int] = dict(cursor.take("BQ") for _ in range(count))
    return Stats(
        arena_bytes=told.get(Statistic.ARENA_BYTES, 0),
        stack_bytes=told.get(Statistic.STACK_BYTES),
        resident_bytes=told.get(Statistic.RESIDENT_BYTES),
        proportional_bytes=told.get(Statistic.PROPORTIONAL_BYTES),
    )


def read_fault(payload: bytes) -> Fault | None:
    """Read FAULT's answer; None when there is no record."""
    if not payload:
        return None
    cursor = _Cursor("FAULT", payload)
    kind, layer, detail, pc, address = cursor.take("IIIQQ")
    hard_status, program, stack_bytes, registers = cursor.take("I4sII")
    return Fault(
        kind=_kind(kind),
        layer=None if layer == wire.NO_LAYER else layer,
        detail=detail,
        pc=pc,
        address=address,
        hard_status=hard_status,
        program=program.hex(),
        stack_bytes=stack_bytes or None,
        registers=cursor.take(f"{registers}I"),
    )


def _kind(number: int) -> str:
    if number not in set(FaultKind):
        return f"fault {number}"
    if number == FaultKind.RESET:
        return "a reset"
    return f"{FaultKind(number).name.replace('_', ' ').lower()} fault"
