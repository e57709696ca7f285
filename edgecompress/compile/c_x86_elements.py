"""What treats every int8 number alone as C, on the vectors of c_x86."""

from __future__ import annotations

from edgecompress.compile.c_x86_isa import HAS, PREFIX, register


def functions(lanes: int) -> dict[str, str]:
    """Name -> definition, for registers of so many words; a function stands after those that it calls."""
    return {
        f"widen_words{lanes}": _widen(lanes),
        f"linear_sum{lanes}": _linear_sum(lanes),
        f"in_order{lanes}": _in_order(lanes),
    }


def _widen(lanes: int) -> str:
    load = {16: "_mm_loadu_si128(from)", 8: "_mm_loadl_epi64(from)", 4: "_mm_loadu_si32(from)"}[lanes]
    return f"""\
/* Int8 as int32. */
VECTORS{lanes} words{lanes} widen_words{lanes}(const void *from) {{
#if {HAS[lanes]}
  return (words{lanes}){PREFIX[lanes]}_cvtepi8_epi32({load});
#else
  const int8_t *const bytes = from;
  words{lanes} result;
  for (uint32_t i = 0; i < {lanes}u; ++i) {{
    result[i] = bytes[i];
  }}
  return result;
#endif
}}
"""


def _linear_sum(lanes: int) -> str:
    m, prefix = register(lanes), PREFIX[lanes]
    return f"""\
/* first * (a factor) + second * (a factor) + a constant, modulo 2^32. */
VECTORS{lanes} words{lanes} linear_sum{lanes}(words{lanes} first, words{lanes} second, int32_t first_factor,
                                   int32_t second_factor, int32_t constant) {{
#if {HAS[lanes]}
  const {m} a = {prefix}_mullo_epi32(({m})first, {prefix}_set1_epi32(first_factor));
  const {m} b = {prefix}_mullo_epi32(({m})second, {prefix}_set1_epi32(second_factor));
  return (words{lanes}){prefix}_add_epi32({prefix}_add_epi32(a, {prefix}_set1_epi32(constant)), b);
#else
  words{lanes} result;
  for (uint32_t i = 0; i < {lanes}u; ++i) {{
    const uint32_t a = (uint32_t)first[i] * (uint32_t)first_factor;
    result[i] = (int32_t)(a + (uint32_t)second[i] * (uint32_t)second_factor + (uint32_t)constant);
  }}
  return result;
#endif
}}
"""


def _in_order(lanes: int) -> str:
    vector, chunks = f"bytes{4 * lanes}", lanes // 4
    places = [i % chunks * 4 + i // chunks for i in range(lanes)]
    listed = ", ".join(map(str, places))
    if lanes == 16:
        body = f"  const __m512i places = _mm512_setr_epi32({listed});\n"
        body += f"  return ({vector})_mm512_permutexvar_epi32(places, (__m512i)a);\n"
    elif lanes == 8:
        body = f"  const __m256i places = _mm256_setr_epi32({listed});\n"
        body += f"  return ({vector})_mm256_permutevar8x32_epi32((__m256i)a, places);\n"
    else:
        body = "  return a;\n"
    return f"""\
/* What narrow_4_words{lanes} makes, the bytes of each of its vectors side by side. */
VECTORS{lanes} {vector} in_order{lanes}({vector} a) {{
#if {HAS[lanes]}
{body}\
#else
  const words{lanes} words = (words{lanes})a;
  words{lanes} result;
  for (uint32_t i = 0; i < {lanes}u; ++i) {{
    result[i] = words[i % {chunks}u * 4u + i / {chunks}u];
  }}
  return ({vector})result;
#endif
}}
"""
