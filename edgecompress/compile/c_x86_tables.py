"""Tables of int8 functions and exponentials as C, on the vectors of c_x86."""

from __future__ import annotations

from edgecompress.compile.c_x86_isa import HAS, PREFIX, register


def functions(lanes: int) -> dict[str, str]:
    """Name -> definition, for registers of so many words; a function stands after those that it calls."""
    return {
        f"table_steps{lanes}": _table_steps(lanes),
        f"look_up{lanes}": _look_up(lanes),
        f"exponentials{lanes}": _exponentials(lanes),
        f"total_of{lanes}": _total(lanes),
    }


def _repeat(lanes: int, value: str) -> str:
    if lanes == 4:
        return value
    return f"_mm512_broadcast_i32x4({value})" if lanes == 16 else f"_mm256_broadcastsi128_si256({value})"


def _table_steps(lanes: int) -> str:
    first, step = _repeat(lanes, "now"), _repeat(lanes, "_mm_xor_si128(now, before)")
    return f"""\
/* A table of the results for -128 .. 127 in the form that look_up{lanes} reads: of each sixteen, what is different from
 * the sixteen before; those of 0 .. 127 first. */
VECTORS{lanes} void table_steps{lanes}(bytes{4 * lanes} *steps, const int8_t *table) {{
#if {HAS[lanes]}
  for (uint32_t i = 0; i < 16u; ++i) {{
    const __m128i now = _mm_loadu_si128((const void *)(table + (16u * i ^ 128u)));
    const __m128i before = _mm_loadu_si128((const void *)(table + ((i % 8u == 0u ? 0u : 16u * i - 16u) ^ 128u)));
    steps[i] = (bytes{4 * lanes})(i % 8u == 0u ? {first} : {step});
  }}
#else
  memcpy(steps, table, 256u);
#endif
}}
"""


def _look_up(lanes: int) -> str:
    m, prefix, vector = register(lanes), PREFIX[lanes], f"bytes{4 * lanes}"
    xor = "xor_si512" if lanes == 16 else f"xor_si{32 * lanes}"
    return f"""\
/* What a table gives for each number. A shuffle takes the low four bits as its index, and gives 0 below 0: the number
 * less 16 for each sixteen of the table before. */
VECTORS{lanes} {vector} look_up{lanes}(const {vector} *steps, {vector} numbers) {{
#if {HAS[lanes]}
  const {m} sixteen = {prefix}_set1_epi8(16);
  {m} x = ({m})numbers, other = {prefix}_{xor}(x, {prefix}_set1_epi8(-128));
  {m} result = {prefix}_shuffle_epi8(({m})steps[0], x), below = {prefix}_shuffle_epi8(({m})steps[8], other);
#pragma GCC unroll 8
  for (uint32_t i = 1; i < 8u; ++i) {{
    x = {prefix}_subs_epi8(x, sixteen);
    other = {prefix}_subs_epi8(other, sixteen);
    result = {prefix}_{xor}(result, {prefix}_shuffle_epi8(({m})steps[i], x));
    below = {prefix}_{xor}(below, {prefix}_shuffle_epi8(({m})steps[8u + i], other));
  }}
  return ({vector}){prefix}_{xor}(result, below);
#else
  const int8_t *const table = (const int8_t *)steps;
  {vector} result;
  for (uint32_t i = 0; i < {4 * lanes}u; ++i) {{
    result[i] = table[numbers[i] + 128];
  }}
  return result;
#endif
}}
"""


def _exponentials(lanes: int) -> str:
    gather = {
        16: "_mm512_i32gather_epi32(_mm512_cvtepu8_epi32(_mm_loadu_si128(from)), table, 4)",
        8: "_mm256_i32gather_epi32(table, _mm256_cvtepu8_epi32(_mm_loadl_epi64(from)), 4)",
    }.get(lanes)
    loop = f"""\
  const uint8_t *const places = from;
  words{lanes} result;
  for (uint32_t i = 0; i < {lanes}u; ++i) {{
    result[i] = table[places[i]];
  }}
  return result;
"""
    body = f"#if {HAS[lanes]}\n  return (words{lanes}){gather};\n#else\n{loop}#endif\n" if gather else loop
    return f"""\
/* The words of a table of 256 at some places, which are bytes. */
VECTORS{lanes} words{lanes} exponentials{lanes}(const int32_t *table, const void *from) {{
{body}}}
"""


def _total(lanes: int) -> str:
    by_halves = (
        "#if defined(__AVX512BW__)\n  return _mm512_reduce_add_epi32((__m512i)a);\n#endif\n" if lanes == 16 else ""
    )
    return f"""\
VECTORS{lanes} int32_t total_of{lanes}(words{lanes} a) {{
{by_halves}  int32_t total = 0;
  for (uint32_t i = 0; i < {lanes}u; ++i) {{
    total += a[i];
  }}
  return total;
}}
"""
