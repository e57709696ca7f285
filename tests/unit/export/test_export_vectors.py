"""How many test vectors go along: few, what the flash has room for, one in any case."""

from __future__ import annotations

import pytest

from edgecompress.core import target
from edgecompress.export import _vectors

KIB = 1024


@pytest.mark.parametrize(
    ("target_name", "flash_bytes", "available", "bytes_each", "wanted"),
    [
        ("mps2-an386", 100 * KIB, 16, 1_000, 3),
        ("mps2-an386", 100 * KIB, 2, 1_000, 2),
        ("mps2-an386", 100 * KIB, 16, 30 * KIB, 2),
        ("mps2-an386", 100 * KIB, 16, 500 * KIB, 1),
        ("host", 100 * KIB, 16, 1_000, 3),
        ("microbit", 238 * KIB, 16, 5 * KIB, 2),  # of 256 KiB, 8 are the example's
        ("microbit", 256 * KIB, 16, 100, 1),
    ],
)
def test_there_are_as_many_vectors_as_there_is_room_for(
    target_name: str, flash_bytes: int, available: int, bytes_each: int, wanted: int
) -> None:
    assert _vectors.count(target.load(target_name), flash_bytes, available, bytes_each) == wanted
