"""From int32 sums to int8 as C, on the vectors of c_x86: TFLite's double rounding, saturation, limits.

`high_products` takes sums that are greater by 2^30, and so have no sign, and doubled multipliers, which have none
either: the upper word of a product plus a constant of the channel is the rounded Q0.31 product.
"""

from __future__ import annotations

from edgecompress.compile.c_x86_isa import HAS, PREFIX, register


def functions(lanes: int) -> dict[str, str]:
    """Name -> definition, for registers of so many words; a function stands after those that it calls."""
    return {
        f"high_products{lanes}": _high_products(lanes),
        f"round_away{lanes}": _round_away(lanes),
        f"scale_words{lanes}": _scale_words(lanes),
        f"scale_any{lanes}": _scale_any(lanes),
        f"narrow_4_words{lanes}": _narrow_4(lanes),
        f"narrow_2_words{lanes}": _narrow_2(lanes),
        f"narrow_1_words{lanes}": _narrow_1(lanes),
        **{f"limit_bytes{size}": _limit(size) for size in (4 * lanes, 2 * lanes, lanes)},
    }


def _high_products(lanes: int) -> str:
    m, prefix, vector = register(lanes), PREFIX[lanes], f"words{lanes}"
    if lanes == 16:
        together = "_mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB)"
    elif lanes == 8:
        together = "_mm256_blend_epi32(_mm256_shuffle_epi32(even, 0xf5), odd, 0xaa)"
    else:
        together = "_mm_blend_epi16(_mm_shuffle_epi32(even, 0xf5), odd, 0xcc)"
    return f"""\
/* The upper words of x * multiplier + (a constant of 64 bits), all without a sign; `even` and `odd` hold the constants
 * of words 0, 2, .. and 1, 3, .. */
VECTORS{lanes} {vector} high_products{lanes}({vector} x, {vector} multiplier, {vector} constant_even,
                                    {vector} constant_odd) {{
#if {HAS[lanes]}
  const {m} x_odd = {prefix}_srli_epi64(({m})x, 32), multiplier_odd = {prefix}_srli_epi64(({m})multiplier, 32);
  const {m} product = {prefix}_mul_epu32(({m})x, ({m})multiplier);
  const {m} product_odd = {prefix}_mul_epu32(x_odd, multiplier_odd);
  const {m} even = {prefix}_add_epi64(product, ({m})constant_even);
  const {m} odd = {prefix}_add_epi64(product_odd, ({m})constant_odd);
  return ({vector}){together};
#else
  {vector} result;
  for (uint32_t i = 0; i < {lanes}u; ++i) {{
    const {vector} half = i % 2u == 0u ? constant_even : constant_odd;
    const uint64_t constant = (uint64_t)(uint32_t)half[i / 2u * 2u + 1u] << 32 | (uint32_t)half[i / 2u * 2u];
    const uint64_t sum = (uint64_t)(uint32_t)x[i] * (uint32_t)multiplier[i] + constant;
    result[i] = (int32_t)(uint32_t)(sum >> 32);
  }}
  return result;
#endif
}}
"""


def _round_away(lanes: int) -> str:
    vector = f"words{lanes}"
    return f"""\
/* (a + half) / 2^shift, where `half` is 2^(shift - 1) plus an offset times 2^shift: rounds half away from 0. */
VECTORS{lanes} {vector} round_away{lanes}({vector} a, {vector} half, {vector} shift) {{
  return (a + (a >> 31) + half) >> shift;
}}
"""


def _scale_words(lanes: int) -> str:
    m, prefix, vector = register(lanes), PREFIX[lanes], f"words{lanes}"
    blend = "_mm512_mask_blend_epi32(0xaaaa, even, odd)" if lanes == 16 else ""
    blend = blend or ("_mm256_blend_epi32(even, odd, 0xaa)" if lanes == 8 else "_mm_blend_epi16(even, odd, 0xcc)")
    return f"""\
/* Multiply by multiplier / 2^31 * 2^(left - right), rounding twice, the second time half away from 0. */
VECTORS{lanes} {vector} scale_words{lanes}({vector} sum, {vector} multiplier, {vector} left, {vector} right) {{
  const {vector} x = sum << left;
#if {HAS[lanes]}
  const {m} half = {prefix}_set1_epi64{"" if lanes == 16 else "x"}(1 << 30);
  const {m} x_odd = {prefix}_srli_epi64(({m})x, 32), multiplier_odd = {prefix}_srli_epi64(({m})multiplier, 32);
  const {m} product = {prefix}_add_epi64({prefix}_mul_epi32(({m})x, ({m})multiplier), half);
  const {m} product_odd = {prefix}_add_epi64({prefix}_mul_epi32(x_odd, multiplier_odd), half);
  const {m} even = {prefix}_srli_epi64(product, 31), odd = {prefix}_slli_epi64(product_odd, 1);
  const {vector} high = ({vector}){blend};
#else
  {vector} high;
  for (uint32_t i = 0; i < {lanes}u; ++i) {{
    high[i] = (int32_t)(((int64_t)x[i] * multiplier[i] + (1 << 30)) >> 31);
  }}
#endif
  const {vector} away = high + ((high & -right) >> 31);
  const {vector} half_bit = ((({vector}){{0}} + 1) << right >> 1) & 0x7fffffff;
  return (away >> right) - ({vector})((away & half_bit) != 0);
}}
"""


def _scale_any(lanes: int) -> str:
    vector = f"words{lanes}"
    return f"""\
/* The same, limited to what int8 needs, and a number added. */
VECTORS{lanes} {vector} scale_any{lanes}({vector} sum, {vector} multiplier, {vector} left, {vector} right,
                                int32_t zero) {{
  const {vector} wide = scale_words{lanes}(sum, multiplier, left, right);
  const {vector} above = wide > 16383, below = wide < -16384;
  return ((wide & ~(above | below)) | (above & 16383) | (below & -16384)) + zero;
}}
"""


def _narrow_4(lanes: int) -> str:
    m, prefix, size = register(lanes), PREFIX[lanes], 4 * lanes
    return f"""\
/* Int8 of four vectors, saturated: byte i is of vector i / 4 % 4. */
VECTORS{lanes} bytes{size} narrow_4_words{lanes}(words{lanes} a, words{lanes} b, words{lanes} c, words{lanes} d) {{
#if {HAS[lanes]}
  const {m} first = {prefix}_packs_epi32(({m})a, ({m})b), second = {prefix}_packs_epi32(({m})c, ({m})d);
  return (bytes{size}){prefix}_packs_epi16(first, second);
#else
  const words{lanes} each[4] = {{a, b, c, d}};
  bytes{size} result;
  for (uint32_t i = 0; i < {size}u; ++i) {{
    const int32_t word = each[i / 4u % 4u][i / 16u * 4u + i % 4u];
    result[i] = (int8_t)(word < -128 ? -128 : word > 127 ? 127 : word);
  }}
  return result;
#endif
}}
"""


def _narrow_2(lanes: int) -> str:
    m, prefix, size = register(lanes), PREFIX[lanes], 2 * lanes
    halves = f"const {m} halves = {prefix}_packs_epi32(({m})a, ({m})b);"
    by = {
        16: f"  {halves}\n  return (bytes32)_mm512_cvtsepi16_epi8(halves);",
        8: f"  {halves}\n  const __m256i bytes = _mm256_packs_epi16(halves, halves);\n"
        "  return (bytes16)_mm256_castsi256_si128(_mm256_permute4x64_epi64(bytes, 8));",
        4: f"  {halves}\n  const bytes16 bytes = (bytes16)_mm_packs_epi16(halves, halves);\n"
        "  bytes8 result;\n  memcpy(&result, &bytes, sizeof result);\n  return result;",
    }
    return f"""\
/* Int8 of two vectors, saturated: byte i is of vector i / 4 % 2. */
VECTORS{lanes} bytes{size} narrow_2_words{lanes}(words{lanes} a, words{lanes} b) {{
#if {HAS[lanes]}
{by[lanes]}
#else
  const words{lanes} each[2] = {{a, b}};
  bytes{size} result;
  for (uint32_t i = 0; i < {size}u; ++i) {{
    const int32_t word = each[i / 4u % 2u][i / 8u * 4u + i % 4u];
    result[i] = (int8_t)(word < -128 ? -128 : word > 127 ? 127 : word);
  }}
  return result;
#endif
}}
"""


def _narrow_1(lanes: int) -> str:
    size = lanes
    by = {
        16: "  return (bytes16)_mm512_cvtsepi32_epi8((__m512i)a);",
        8: "  const __m128i low = _mm256_castsi256_si128((__m256i)a), high = _mm256_extracti128_si256((__m256i)a, 1);\n"
        "  const __m128i halves = _mm_packs_epi32(low, high);\n"
        "  const bytes16 bytes = (bytes16)_mm_packs_epi16(halves, halves);\n"
        "  bytes8 result;\n  memcpy(&result, &bytes, sizeof result);\n  return result;",
        4: "  const __m128i halves = _mm_packs_epi32((__m128i)a, (__m128i)a);\n"
        "  const bytes16 bytes = (bytes16)_mm_packs_epi16(halves, halves);\n"
        "  bytes4 result;\n  memcpy(&result, &bytes, sizeof result);\n  return result;",
    }
    return f"""\
/* Int8 of one vector, saturated. */
VECTORS{lanes} bytes{size} narrow_1_words{lanes}(words{lanes} a) {{
#if {HAS[lanes]}
{by[lanes]}
#else
  bytes{size} result;
  for (uint32_t i = 0; i < {size}u; ++i) {{
    result[i] = (int8_t)(a[i] < -128 ? -128 : a[i] > 127 ? 127 : a[i]);
  }}
  return result;
#endif
}}
"""


def _limit(size: int) -> str:
    vector = f"bytes{size}"
    body = f"""\
  const {vector} least = ({vector}){{0}} + (int8_t)low, most = ({vector}){{0}} + (int8_t)high;
  const {vector} below = a < least, above = a > most;
  return (a & ~(below | above)) | (below & least) | (above & most);
"""
    if size >= 16:
        lanes = size // 4
        m, prefix = register(lanes), PREFIX[lanes]
        one = f"{prefix}_set1_epi8((char)"
        limited = f"{prefix}_min_epi8({prefix}_max_epi8(({m})a, {one}low)), {one}high))"
        body = f"#if {HAS[lanes]}\n  return ({vector}){limited};\n#else\n{body}#endif\n"
    return f"""\
static inline {vector} limit_{vector}({vector} a, int32_t low, int32_t high) {{
{body}}}
"""
