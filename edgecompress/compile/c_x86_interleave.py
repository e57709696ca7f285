"""Rows of an image woven together as C, on the vectors of c_x86: the depth of a depthwise convolution is its taps.

Registers hold the same channels of two or four rows. Their interleaved vectors have a word a channel, which holds the
numbers of all the rows: vector j has channels 4 j .. 4 j + 3 of every 16 bytes (8 of halves).
"""

from __future__ import annotations

from edgecompress.compile.c_x86_isa import HAS, PREFIX, register


def functions(lanes: int) -> dict[str, str]:
    """Name -> definition, for registers of so many words."""
    return {
        f"interleave_fours{lanes}": _fours(lanes),
        f"interleave_twos{lanes}": _twos(lanes),
    }


def _fours(lanes: int) -> str:
    m, prefix, size = register(lanes), PREFIX[lanes], 4 * lanes
    return f"""\
/* Four vectors of the same channels of four rows, as bytes. */
VECTORS{lanes} void interleave_fours{lanes}(words{lanes} *to, words{lanes} a, words{lanes} b, words{lanes} c,
                                    words{lanes} d) {{
#if {HAS[lanes]}
  const {m} low0 = {prefix}_unpacklo_epi8(({m})a, ({m})b), high0 = {prefix}_unpackhi_epi8(({m})a, ({m})b);
  const {m} low1 = {prefix}_unpacklo_epi8(({m})c, ({m})d), high1 = {prefix}_unpackhi_epi8(({m})c, ({m})d);
  to[0] = (words{lanes}){prefix}_unpacklo_epi16(low0, low1);
  to[1] = (words{lanes}){prefix}_unpackhi_epi16(low0, low1);
  to[2] = (words{lanes}){prefix}_unpacklo_epi16(high0, high1);
  to[3] = (words{lanes}){prefix}_unpackhi_epi16(high0, high1);
#else
  const bytes{size} rows[4] = {{(bytes{size})a, (bytes{size})b, (bytes{size})c, (bytes{size})d}};
  for (uint32_t vector = 0; vector < 4u; ++vector) {{
    bytes{size} result;
    for (uint32_t i = 0; i < {size}u; ++i) {{
      result[i] = rows[i % 4u][i / 16u * 16u + 4u * vector + i % 16u / 4u];
    }}
    to[vector] = (words{lanes})result;
  }}
#endif
}}
"""


def _twos(lanes: int) -> str:
    m, prefix, size = register(lanes), PREFIX[lanes], 2 * lanes
    return f"""\
/* Two vectors of the same channels of two rows, as halves. */
VECTORS{lanes} void interleave_twos{lanes}(words{lanes} *to, words{lanes} a, words{lanes} b) {{
#if {HAS[lanes]}
  to[0] = (words{lanes}){prefix}_unpacklo_epi16(({m})a, ({m})b);
  to[1] = (words{lanes}){prefix}_unpackhi_epi16(({m})a, ({m})b);
#else
  const halves{size} rows[2] = {{(halves{size})a, (halves{size})b}};
  for (uint32_t vector = 0; vector < 2u; ++vector) {{
    halves{size} result;
    for (uint32_t i = 0; i < {size}u; ++i) {{
      result[i] = rows[i % 2u][i / 8u * 8u + 4u * vector + i % 8u / 2u];
    }}
    to[vector] = (words{lanes})result;
  }}
#endif
}}
"""
