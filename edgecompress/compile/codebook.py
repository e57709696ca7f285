"""Weights that take few different values: indices of two, three or four bits, and the values (Han et al. 2016, 3).

Two neighbours at a time are looked up, in a table of all pairs of values that is written into RAM first: an index of
two four-bit numbers gives the 16 bits that a kernel finds in their place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile import c_mve, c_text

WIDTHS = (2, 3, 4)
"""Bits of an index."""
WORD_BITS = 32

Bytes = NDArray[np.int8] | NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Indices:
    """Indices of `bits` bits for packed weights of `weights_bytes` bytes.

    Neighbours stand as two bytes, or as `halfwords` of 256 * second + first, where a negative first one borrows.
    """

    bits: int
    weights_bytes: int
    halfwords: bool

    @property
    def word(self) -> str:
        """What it adds to a function's name."""
        return f"codebook_{2**self.bits}"

    @property
    def parameters(self) -> tuple[str, ...]:
        """What takes the place of the weights among a function's parameters."""
        return "const uint32_t *indices", "const int8_t *values"

    @property
    def workspaces(self) -> dict[str, int]:
        """What it needs in RAM: declaration and bytes. The first is the unpacked weights."""
        return {"uint16_t *weights": 2 * self.words * pairs_of_word(self.bits), "uint16_t *pairs": 2 * 4**self.bits}

    @property
    def words(self) -> int:
        """Words of indices."""
        return -(-self.weights_bytes // (2 * pairs_of_word(self.bits)))

    def begin(self) -> str:
        """Write the C that stands before all parts."""
        return f"  fill_{'halfword' if self.halfwords else 'byte'}_pairs(pairs, values, {2**self.bits}u);\n"

    def unpack(self) -> str:
        """Write the C that unpacks a part."""
        first = f"indices + part * {self.words}u"
        return f"    unpack_pairs_{self.bits}(weights, {first}, {self.words}u, pairs);\n"


def pairs_of_word(bits: int) -> int:
    """How many pairs of indices a word holds."""
    return WORD_BITS // (2 * bits)


def width(values: NDArray[np.int8]) -> int | None:
    """The bits of an index into the values that occur; None when there are more than 16 of them."""
    different = len(np.unique(values))
    return next((bits for bits in WIDTHS if different <= 2**bits), None)


def split_halfwords(packed: Bytes) -> NDArray[np.int8]:
    """Bring halfwords of 256 * second + first back to neighbours as bytes."""
    both = packed.reshape(-1).view("<i2").astype(np.int32)
    first = (both & 255).astype(np.uint8).view(np.int8)
    return np.stack([first, (both - first) >> 8], axis=1).astype(np.int8).reshape(-1)


def pack(values: NDArray[np.int8], book: NDArray[np.int8], bits: int) -> NDArray[np.uint32]:
    """Pack numbers as indices into `book`, which is sorted and holds all of them; zeros fill the last word."""
    per_word = 2 * pairs_of_word(bits)
    places = np.searchsorted(book, values)
    rows = np.pad(places, (0, -len(places) % per_word)).reshape(-1, per_word)
    shifts = bits * np.arange(per_word)
    words: NDArray[np.uint32] = (rows.astype(np.uint32) << shifts.astype(np.uint32)).sum(axis=1, dtype=np.uint32)
    return words


def filled(book: NDArray[np.int8], bits: int) -> NDArray[np.int8]:
    """Repeat the last value of a codebook until it has as many as the table of pairs reads."""
    return np.pad(book, (0, 2**bits - len(book)), mode="edge")


def definitions(text: str) -> str:
    """Define the functions that the text calls."""
    needed = c_text.definitions(FUNCTIONS, text)
    return f"{c_mve.INCLUDE}{needed}" if "arm_mve" in needed or "vld" in needed else needed


def _fill(kind: str, pair: str) -> str:
    return f"""\
/* Write every pair of values, the first one's index in the lower bits. */
static __attribute__((noinline)) void fill_{kind}_pairs(uint16_t *pairs, const int8_t *values, uint32_t count) {{
  for (uint32_t second = 0; second < count; ++second) {{
    for (uint32_t first = 0; first < count; ++first) {{
      *pairs++ = {pair};
    }}
  }}
}}
"""


def _unpack(bits: int) -> str:
    count = pairs_of_word(bits)
    mask = 4**bits - 1
    lines = "".join(
        f"    weights[{i}] = pairs[{f'word >> {2 * bits * i} & {mask}u' if i else f'word & {mask}u'}];\n"
        for i in range(count)
    )
    plain = f"""\
  for (const uint32_t *end = indices + words; indices < end; ++indices) {{
    const uint32_t word = *indices;
{lines}    weights += {count};
  }}
"""
    body = f"#if defined(__ARM_FEATURE_MVE)\n{_VECTORS}#else\n{plain}#endif\n" if bits == 4 else plain
    return f"""\
/* Write what words of indices stand for, {count} pairs a word. */
static __attribute__((noinline)) void unpack_pairs_{bits}(
    uint16_t *weights, const uint32_t *indices, uint32_t words, const uint16_t *pairs) {{
{body}}}
"""


_VECTORS = """\
  const uint8_t *bytes = (const uint8_t *)indices;
  for (uint32_t left = 4 * words; left > 0; left -= left < 8 ? left : 8) {
    const mve_pred16_t inside = vctp16q(left);
    const uint16x8_t places = vldrbq_z_u16(bytes, inside);
    vstrhq_p_u16(weights, vldrhq_gather_shifted_offset_z_u16(pairs, places, inside), inside);
    bytes += 8;
    weights += 8;
  }
"""

FUNCTIONS = {
    "fill_byte_pairs": _fill("byte", "(uint16_t)((uint32_t)(uint8_t)values[second] << 8 | (uint8_t)values[first])"),
    "fill_halfword_pairs": _fill("halfword", "(uint16_t)(values[second] * 256 + values[first])"),
    **{f"unpack_pairs_{bits}": _unpack(bits) for bits in WIDTHS},
}
"""Name -> definition."""
