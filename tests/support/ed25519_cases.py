"""Cases for a verifier of Ed25519: good signatures, and bad ones of every kind that an attacker may try.

The judge is the package `cryptography` (OpenSSL) and two rules more: a key must stand as RFC 8032 encodes it (5.1.3),
and must not have a small order, with which it would sign everything.
"""

from __future__ import annotations

import hashlib
import random
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)
"""A square root of -1."""

Point = tuple[int, int]


def add(one: Point, two: Point) -> Point:
    """Add two points of the curve (RFC 8032, 5.1.4)."""
    (x, y), (u, v) = one, two
    product = D * x * u * y * v
    return (
        (x * v + y * u) * pow(1 + product, -1, P) % P,
        (y * v + x * u) * pow(1 - product, -1, P) % P,
    )


def multiple(count: int, point: Point) -> Point:
    """`count` times the point."""
    total = (0, 1)
    for bit in reversed(range(count.bit_length())):
        total = add(total, total)
        if count >> bit & 1:
            total = add(total, point)
    return total


def encode(point: Point) -> bytes:
    """32 bytes, as RFC 8032 writes them (5.1.2)."""
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def decode(y: int, sign: int) -> Point:
    """The point with this y (5.1.3), which must be one of the curve."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * ROOT % P
    assert x * x % P == square
    return (x if x & 1 == sign else -x % P, y)


BASE = decode(4 * pow(5, -1, P) % P, 0)


def _of_order_eight() -> Point:
    """The first point, by its y, that has a part of order 8: ORDER times it is of order 8."""
    y = 2
    while True:
        y += 1
        square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
        if pow(square, (P - 1) // 2, P) == 1:
            point = multiple(ORDER, decode(y, 0))
            if multiple(4, point) != (0, 1):
                return point


TORSION = tuple(multiple(n, _of_order_eight()) for n in range(8))
SMALL_ORDER = tuple(encode(point) for point in TORSION)
"""All points whose order divides 8."""

NOT_CANONICAL = tuple(((y + P) | sign << 255).to_bytes(32, "little") for y in range(19) for sign in (0, 1)) + tuple(
    (y | 1 << 255).to_bytes(32, "little") for y in (1, P - 1)
)
"""y that is p or more, and x = 0 with a sign."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One question to a verifier."""

    key: bytes
    signature: bytes
    message: bytes

    def packed(self) -> bytes:
        """As tests/runtime/ed25519_program.c reads it."""
        return struct.pack("<I", len(self.message)) + self.key + self.signature + self.message


def is_good(case: Case) -> bool:
    """What the judge says."""
    if case.key in SMALL_ORDER or case.key in NOT_CANONICAL:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(case.key).verify(case.signature, case.message)
    except InvalidSignature:
        return False
    return True


def signed(source: random.Random, message: bytes) -> Case:
    """A good signature by a key of its own."""
    key = Ed25519PrivateKey.from_private_bytes(source.randbytes(32))
    return Case(key=key.public_key().public_bytes_raw(), signature=key.sign(message), message=message)


def damaged(case: Case, source: random.Random) -> list[Case]:
    """What becomes of a good case: flipped bits, a larger S, exchanged halves, forged points."""
    r, s = case.signature[:32], case.signature[32:]
    number = int.from_bytes(s, "little")
    numbers = [number + n * ORDER for n in range(1, 16) if number + n * ORDER < 2**256]
    numbers += [ORDER, 2**256 - 1, 0, ORDER - 1, ORDER - number]
    forged = source.choice((*SMALL_ORDER, *NOT_CANONICAL))
    signatures = [r + n.to_bytes(32, "little") for n in numbers]
    signatures += [_flip(case.signature, source) for _ in range(3)]
    signatures += [s + r, bytes(64), _negated(r) + s, forged + s, forged + bytes(32)]
    keys = [_flip(case.key, source), _negated(case.key), source.randbytes(32), forged]
    return [
        *(Case(key=case.key, signature=signature, message=case.message) for signature in signatures),
        *(Case(key=key, signature=case.signature, message=case.message) for key in keys),
        Case(key=case.key, signature=case.signature, message=_flip(case.message + b"\0", source)),
    ]


def by_keys_of_small_order() -> list[Case]:
    """S = 0 and R of small order: the equation alone holds for one of eight or more."""
    return [
        Case(key=key, signature=r + bytes(32), message=bytes([n]))
        for key in (*SMALL_ORDER, *NOT_CANONICAL)
        for r in SMALL_ORDER
        for n in range(2)
    ]


def of_mixed_order(source: random.Random) -> Case:
    """Key and R each with a part of small order: holds only where these parts cancel out, in one of eight."""
    secret, nonce = source.randrange(1, ORDER), source.randrange(1, ORDER)
    key = encode(add(multiple(secret, BASE), source.choice(TORSION)))
    r = encode(add(multiple(nonce, BASE), source.choice(TORSION)))
    message = source.randbytes(8)
    challenge = int.from_bytes(hashlib.sha512(r + key + message).digest(), "little")
    s = (nonce + challenge * secret) % ORDER
    return Case(key=key, signature=r + s.to_bytes(32, "little"), message=message)


def _flip(data: bytes, source: random.Random) -> bytes:
    bit = source.randrange(8 * len(data))
    return bytes(byte ^ (1 << bit % 8 if place == bit // 8 else 0) for place, byte in enumerate(data))


def _negated(point: bytes) -> bytes:
    return point[:31] + bytes([point[31] ^ 0x80])
