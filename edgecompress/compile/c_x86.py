"""Vectors of int8 as C, for kernels on x86-64: every core computes the same bytes.

`words16` are 16 int32, `bytes64` the same register as int8; 8 and 32, 4 and 16 are shorter ones. What multiplies looks
at each word as four bytes of the depth (`fours`: VNNI, the first factor without a sign) or as two halves (`twos`). Each
function has its instructions, and a definition on vectors of GCC and clang for a machine without them.
"""

from __future__ import annotations

from edgecompress.compile import (
    c_text,
    c_x86_elements,
    c_x86_interleave,
    c_x86_plain,
    c_x86_pools,
    c_x86_quantize,
    c_x86_rounding,
    c_x86_tables,
    c_x86_tiles,
)
from edgecompress.compile.c_x86_isa import BITS, HAS, HAS_DOT, LANES, PREFIX, register

_HEAD = """\
#if defined(__x86_64__)
#include <immintrin.h>
#endif
"""


def _types(lanes: int) -> str:
    return f"""\
typedef int8_t bytes{4 * lanes} __attribute__((vector_size({4 * lanes})));
typedef int16_t halves{2 * lanes} __attribute__((vector_size({4 * lanes})));
typedef int32_t words{lanes} __attribute__((vector_size({4 * lanes})));
typedef int8_t bytes{4 * lanes}_anywhere __attribute__((vector_size({4 * lanes}), aligned(1)));
typedef int32_t words{lanes}_anywhere __attribute__((vector_size({4 * lanes}), aligned(1)));
"""


def _inlining(lanes: int) -> str:
    """Where a function is no instruction, it is one for all who call it: the reference is small, and soon compiled."""
    return f"""\
#if {HAS_DOT[lanes] if lanes == 16 else HAS[lanes]}
#define VECTORS{lanes} static inline
#else
#define VECTORS{lanes} static __attribute__((noinline))
#endif
"""


_SHORT_TYPES = """\
typedef int8_t bytes4 __attribute__((vector_size(4)));
typedef int8_t bytes8 __attribute__((vector_size(8)));
"""


def _loads(lanes: int) -> dict[str, str]:
    size = 4 * lanes
    repeated = ", ".join(["word"] * lanes)
    return {
        f"read_bytes{size}": f"""\
static inline bytes{size} read_bytes{size}(const void *from) {{
  return (bytes{size})*(const bytes{size}_anywhere *)from;
}}
""",
        f"read_words{lanes}": f"""\
static inline words{lanes} read_words{lanes}(const void *from) {{
  return (words{lanes})*(const words{lanes}_anywhere *)from;
}}
""",
        f"write_words{lanes}": f"""\
static inline void write_words{lanes}(void *to, words{lanes} values) {{
  *(words{lanes}_anywhere *)to = (words{lanes}_anywhere)values;
}}
""",
        f"repeat_word{lanes}": f"""\
/* Four bytes of the depth, for every word. */
static inline words{lanes} repeat_word{lanes}(const void *from) {{
  int32_t word;
  memcpy(&word, from, sizeof word);
  return (words{lanes}){{{repeated}}};
}}
""",
        f"widen_twos{lanes}": f"""\
/* Int8 as int16. */
static inline words{lanes} widen_twos{lanes}(const void *from) {{
#if {HAS[lanes]}
  return (words{lanes}){_widening(lanes)};
#else
  const int8_t *const bytes = from;
  halves{2 * lanes} result;
  for (uint32_t i = 0; i < {2 * lanes}u; ++i) {{
    result[i] = bytes[i];
  }}
  return (words{lanes})result;
#endif
}}
""",
    }


def _widening(lanes: int) -> str:
    if lanes == 4:
        return "_mm_cvtepi8_epi16(_mm_loadl_epi64(from))"
    return f"{PREFIX[lanes]}_cvtepi8_epi16({PREFIX[lanes // 2]}_loadu_si{BITS[lanes // 2]}(from))"


def _products(lanes: int) -> dict[str, str]:
    vector, prefix, m = f"words{lanes}", PREFIX[lanes], register(lanes)
    return {
        f"dot_fours{lanes}": f"""\
/* To each word of the sum, the products of four bytes without a sign and four with one. */
VECTORS{lanes} {vector} dot_fours{lanes}({vector} sum, {vector} x, {vector} w) {{
#if {HAS_DOT[lanes]}
  return ({vector}){prefix}_dpbusd_epi32(({m})sum, ({m})x, ({m})w);
#else
  sum += (x & 255) * (w << 24 >> 24);
  sum += (x >> 8 & 255) * (w << 16 >> 24);
  sum += (x >> 16 & 255) * (w << 8 >> 24);
  return sum + (x >> 24 & 255) * (w >> 24);
#endif
}}
""",
        f"dot_twos{lanes}": f"""\
/* To each word of the sum, the products of its two halves. */
VECTORS{lanes} {vector} dot_twos{lanes}({vector} sum, {vector} x, {vector} w) {{
#if {HAS_DOT[lanes]}
  return ({vector}){prefix}_dpwssd_epi32(({m})sum, ({m})x, ({m})w);
#elif {HAS[lanes]}
  return sum + ({vector}){prefix}_madd_epi16(({m})x, ({m})w);
#else
  return sum + (x << 16 >> 16) * (w << 16 >> 16) + (x >> 16) * (w >> 16);
#endif
}}
""",
    }


def _copies(lanes: int) -> dict[str, str]:
    """What brings an image to the form in which kernels multiply it; the caller's counts are literals."""
    size = 4 * lanes
    return {
        f"copy_fours{lanes}": f"""\
/* Bytes without a sign, greater by 128. */
VECTORS{lanes} void copy_fours{lanes}(int8_t *restrict to, const int8_t *restrict from, uint32_t count) {{
  for (; count >= {size}u; count -= {size}u) {{
    write_words{lanes}(to, read_words{lanes}(from) ^ (int32_t)0x80808080u);
    from += {size};
    to += {size};
  }}
  for (; count > 0u; --count) {{
    *to++ = (int8_t)(*from++ ^ -128);
  }}
}}
""",
        f"copy_twos{lanes}": f"""\
/* Int8 as int16. */
VECTORS{lanes} void copy_twos{lanes}(int16_t *restrict to, const int8_t *restrict from, uint32_t count) {{
  for (; count >= {size // 2}u; count -= {size // 2}u) {{
    write_words{lanes}(to, widen_twos{lanes}(from));
    from += {size // 2};
    to += {size // 2};
  }}
  for (; count > 0u; --count) {{
    *to++ = *from++;
  }}
}}
""",
        f"copy_tiles{lanes}": f"""\
static inline void copy_tiles{lanes}(int8_t *restrict to, const int8_t *restrict from, uint32_t count) {{
  for (; count >= {size}u; count -= {size}u) {{
    write_words{lanes}(to, read_words{lanes}(from));
    from += {size};
    to += {size};
  }}
  for (; count > 0u; --count) {{
    *to++ = *from++;
  }}
}}
""",
        f"fill_tiles{lanes}": f"""\
static inline void fill_tiles{lanes}(int8_t *to, int32_t value, uint32_t count) {{
  const bytes{size} bytes = (bytes{size}){{0}} + (int8_t)value;
  for (; count >= {size}u; count -= {size}u) {{
    write_words{lanes}(to, (words{lanes})bytes);
    to += {size};
  }}
  for (; count > 0u; --count) {{
    *to++ = (int8_t)value;
  }}
}}
""",
        f"copy_less_twos{lanes}": f"""\
/* Int8 less a number, as int16. */
VECTORS{lanes} void copy_less_twos{lanes}(int16_t *restrict to, const int8_t *restrict from, uint32_t count,
                                  int32_t less) {{
  for (uint32_t i = 0; i < count; ++i) {{
    to[i] = (int16_t)(from[i] - less);
  }}
}}
""",
        f"fill_fours{lanes}": f"""\
VECTORS{lanes} void fill_fours{lanes}(int8_t *to, int32_t value, uint32_t count) {{
  const int8_t byte = (int8_t)(value ^ 128);
  const bytes{size} bytes = (bytes{size}){{0}} + byte;
  for (; count >= {size}u; count -= {size}u) {{
    write_words{lanes}(to, (words{lanes})bytes);
    to += {size};
  }}
  for (; count > 0u; --count) {{
    *to++ = byte;
  }}
}}
""",
        f"fill_twos{lanes}": f"""\
VECTORS{lanes} void fill_twos{lanes}(int16_t *to, int32_t value, uint32_t count) {{
  const int16_t half = (int16_t)value;
  const halves{size // 2} halves = (halves{size // 2}){{0}} + half;
  for (; count >= {size // 2}u; count -= {size // 2}u) {{
    write_words{lanes}(to, (words{lanes})halves);
    to += {size // 2};
  }}
  for (; count > 0u; --count) {{
    *to++ = half;
  }}
}}
""",
    }


def _functions() -> dict[str, str]:
    table: dict[str, str] = {}
    for lanes in LANES:
        table |= _loads(lanes) | _products(lanes) | _copies(lanes)
        table |= c_x86_tables.functions(lanes) | c_x86_elements.functions(lanes)
        table |= c_x86_interleave.functions(lanes) | c_x86_rounding.functions(lanes) | c_x86_pools.functions(lanes)
    return table | c_x86_plain.FUNCTIONS | c_x86_tiles.FUNCTIONS | c_x86_quantize.FUNCTIONS


FUNCTIONS = _functions()
"""Name -> definition; a function stands after those that it calls."""


def definitions(text: str) -> str:
    """Define the vector types and functions that some C text uses, in order."""
    functions = c_text.definitions(FUNCTIONS, text)
    types = _SHORT_TYPES + "".join(_types(lanes) + _inlining(lanes) for lanes in LANES)
    return _HEAD + types + functions if functions else ""
