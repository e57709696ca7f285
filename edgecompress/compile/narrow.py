"""Weights in fewer bits: blocks of 32 bytes, each in as many bits a byte as its range needs, without loss.

Of a block, the smallest number and the bits of what lies above it are kept: frame of reference coding (Goldstein,
Ramakrishnan and Shaft 1998). The bits come in planes of four, two and one, whose words give four bytes at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile import c_mve, c_text

BLOCK_BYTES = 32
WORDS = BLOCK_BYTES // 4
PLANES = (8, 4, 2, 1)
"""The bits of a plane, from the upper bits to the lower; a block has those that add up to its bits a byte."""

UNPACK = {"int8_t": "unpack_blocks", "uint8_t": "unpack_unsigned_blocks"}
"""Type of the bytes in C -> the function that unpacks them."""


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """Blocks for packed weights of `weights_bytes` bytes of a type."""

    weights_bytes: int
    ctype: str = "int8_t"

    @property
    def word(self) -> str:
        """What it adds to a function's name."""
        return "packed"

    @property
    def parameters(self) -> tuple[str, ...]:
        """What takes the place of the weights among a function's parameters."""
        return "const uint32_t *packed", "const uint16_t *heads"

    @property
    def workspaces(self) -> dict[str, int]:
        """What it needs in RAM: declaration and bytes. The first is the unpacked weights."""
        return {"uint32_t *weights": self.count * BLOCK_BYTES}

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return -(-self.weights_bytes // BLOCK_BYTES)

    def begin(self) -> str:
        """Write the C that stands before all parts: none."""
        return ""

    def unpack(self) -> str:
        """Write the C that unpacks a part."""
        return f"    packed = {UNPACK[self.ctype]}(weights, packed, heads + part * {self.count}u, {self.count}u);\n"


def pack(values: NDArray[np.int8] | NDArray[np.uint8]) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
    """Pack bytes, zeros added to whole blocks: the planes' words and the blocks' heads.

    A head is 256 * (smallest number above the least of the type) + bits.
    """
    padded = np.pad(values.reshape(-1), (0, -values.size % BLOCK_BYTES)).astype(np.int64)
    blocks = padded.reshape(-1, BLOCK_BYTES)
    low = blocks.min(axis=1, keepdims=True)
    bits = [int(spread).bit_length() for spread in np.ptp(blocks, axis=1)]
    words = [_planes(block, width) for block, width in zip(blocks - low, bits, strict=True)]
    heads = (low[:, 0] - np.iinfo(values.dtype).min) * 256 + bits
    return np.concatenate([np.zeros(0, np.uint32), *words]), heads.astype(np.uint16)


def definitions(text: str) -> str:
    """Define the functions that unpack, if the text calls them."""
    needed = c_text.definitions({name: _source(ctype) for ctype, name in UNPACK.items()}, text)
    return f"{c_mve.INCLUDE}{needed}" if needed else ""


def _planes(values: NDArray[np.int64], bits: int) -> NDArray[np.uint32]:
    """Lay out a block: of each plane, the fields of as many words as fit, those of the first word lowest."""
    planes: list[NDArray[np.uint32]] = []
    left = bits
    for size in PLANES:
        if not bits & size:
            continue
        left -= size
        fields = (values >> left & (1 << size) - 1).reshape(size, 8 // size, 4)
        shifts = size * np.arange(8 // size)[:, np.newaxis]
        planes.append((fields << shifts).sum(axis=1).astype(np.uint8).reshape(-1).view("<u4"))
    return np.concatenate(planes) if planes else np.zeros(0, np.uint32)


def _source(ctype: str) -> str:
    signed = ctype == "int8_t"
    words = _words(signed=signed)
    # No kernel for Helium has unsigned weights.
    body = f"#if defined(__ARM_FEATURE_MVE)\n{_VECTORS}#else\n{words}#endif\n" if signed else words
    return f"""\
/* Write {BLOCK_BYTES} bytes a block, from the bits that their range needs; return the end of what was read.
 * A block's head is 256 * {"(smallest number + 128)" if signed else "smallest number"} + bits. */
static __attribute__((noinline)) const uint32_t *{UNPACK[ctype]}(
    uint32_t *bytes, const uint32_t *packed, const uint16_t *heads, uint32_t blocks) {{
{body}  return packed;
}}
"""


_VECTORS = """\
  /* Vectors of the words with even numbers and of those with odd ones; where in a plane's words their fields are. */
  const uint32x4_t halves = {0, 0, 4, 4};
  const int32x4_t even_twos = {0, -4, 0, -4}, odd_twos = {-2, -6, -2, -6};
  const int32x4_t even_ones = {0, -2, -4, -6}, odd_ones = {-1, -3, -5, -7};
  for (const uint16_t *end = heads + blocks; heads < end; ++heads) {
    const uint32_t bits = *heads & 15u;
    uint32x4x2_t words = {{vdupq_n_u32(0), vdupq_n_u32(0)}};
    if (bits & 8u) {
      words = vld2q_u32(packed);
      packed += 8;
    }
    if (bits & 4u) {
      const uint32x4_t plane = vldrwq_u32(packed);
      words.val[0] = vandq_u32(plane, vdupq_n_u32(0x0f0f0f0fu));
      words.val[1] = vandq_u32(vshrq_n_u32(plane, 4), vdupq_n_u32(0x0f0f0f0fu));
      packed += 4;
    }
    if (bits & 2u) {
      const uint32x4_t plane = vldrwq_gather_offset_u32(packed, halves);
      words.val[0] = (uint32x4_t)vsliq_n_u8((uint8x16_t)vshlq_u32(plane, even_twos), (uint8x16_t)words.val[0], 2);
      words.val[1] = (uint32x4_t)vsliq_n_u8((uint8x16_t)vshlq_u32(plane, odd_twos), (uint8x16_t)words.val[1], 2);
      packed += 2;
    }
    if (bits & 1u) {
      const uint32x4_t plane = vdupq_n_u32(*packed);
      words.val[0] = (uint32x4_t)vsliq_n_u8((uint8x16_t)vshlq_u32(plane, even_ones), (uint8x16_t)words.val[0], 1);
      words.val[1] = (uint32x4_t)vsliq_n_u8((uint8x16_t)vshlq_u32(plane, odd_ones), (uint8x16_t)words.val[1], 1);
      packed += 1;
    }
    const uint8_t low = (uint8_t)((*heads >> 8) ^ 0x80u);
    words.val[0] = (uint32x4_t)vaddq_n_u8((uint8x16_t)words.val[0], low);
    words.val[1] = (uint32x4_t)vaddq_n_u8((uint8x16_t)words.val[1], low);
    vst2q_u32(bytes, words);
    bytes += 8;
  }
"""


def _words(*, signed: bool) -> str:
    """Four bytes at a time: no sum of a byte and `low` passes 255, so none carries into the next."""
    sign = " ^ 0x80808080u" if signed else ""
    words = [f"w{i}" for i in range(WORDS)]
    planes = "".join(_plane(size, words) for size in PLANES)
    stores = "".join(f"    bytes[{i}] = (w{i} + low){sign};\n" for i in range(WORDS))
    return f"""\
  for (const uint16_t *end = heads + blocks; heads < end; ++heads) {{
    const uint32_t bits = *heads & 15u;
    const uint32_t low = (uint32_t)(*heads >> 8) * 0x01010101u;
    uint32_t {", ".join(f"{word} = 0" for word in words)};
{planes}{stores}    bytes += {WORDS};
  }}
"""


def _plane(size: int, words: list[str]) -> str:
    """Read a plane: it has `size` words, and each holds the fields of 8 / size words."""
    mask = f"0x{0x01010101 * ((1 << size) - 1):08x}u"
    lines = []
    for i, word in enumerate(words):
        source, shift = f"packed[{i * size // 8}]", i * size % 8
        field = f"({source} >> {shift} & {mask})" if shift else f"({source} & {mask})"
        above = f"{word} << {size} | " if size < max(PLANES) // 2 else ""
        lines.append(f"      {word} = {above}{source if size == max(PLANES) else field};\n")
    return f"    if (bits & {size}u) {{\n{''.join(lines)}      packed += {size};\n    }}\n"
