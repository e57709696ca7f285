"""How C names the vector registers of x86-64, by the words that one holds."""

from __future__ import annotations

LANES = (4, 8, 16)
"""Words of a register: SSE4.1, AVX2, AVX-512."""
PREFIX = {4: "_mm", 8: "_mm256", 16: "_mm512"}
BITS = {4: 128, 8: 256, 16: 512}
HAS = {4: "defined(__SSE4_1__)", 8: "defined(__AVX2__)", 16: "defined(__AVX512BW__)"}
HAS_DOT = {
    4: "defined(__AVX512VNNI__) && defined(__AVX512VL__)",
    8: "defined(__AVX512VNNI__) && defined(__AVX512VL__)",
    16: "defined(__AVX512VNNI__)",
}
"""What the preprocessor says of a core that has the instructions."""


def register(lanes: int) -> str:
    """The type of a register in immintrin.h."""
    return f"__m{BITS[lanes]}i"
