"""From int32 sums to int8 as C, on the vectors of c_neon: TFLite's double rounding, saturation, limits."""

from __future__ import annotations

FUNCTIONS = {
    "multiply_high": """\
/* Q0.31 product, rounding half up. */
static inline words4 multiply_high(words4 a, words4 b) {
#if defined(__ARM_NEON)
  return (words4)vqrdmulhq_s32(a, b);
#else
  words4 product;
  for (uint32_t i = 0; i < 4u; ++i) {
    product[i] = (int32_t)(((int64_t)a[i] * b[i] + (1 << 30)) >> 31);
  }
  return product;
#endif
}
""",
    "round_shift": """\
/* Shift left by a negative number, that is to the right, rounding half up. */
static inline words4 round_shift(words4 a, words4 shift) {
#if defined(__ARM_NEON)
  return (words4)vrshlq_s32(a, shift);
#else
  const words4 half = (1 << -shift >> 1) & 0x7fffffff;
  return (a >> -shift) - (words4)((a & half) != 0);
#endif
}
""",
    "scale_down": """\
/* Multiply by multiplier / 2^31 * 2^shift with a shift below 0, rounding twice, the second time half away from 0. */
static inline words4 scale_down(words4 sum, words4 multiplier, words4 shift) {
  const words4 product = multiply_high(sum, multiplier);
#if defined(__ARM_NEON)
  return round_shift((words4)vsraq_n_s32(product, product, 31), shift);
#else
  return round_shift(product + (product >> 31), shift);
#endif
}
""",
    "scale_either": """\
/* The same with any shift. */
static inline words4 scale_either(words4 sum, words4 multiplier, words4 shift) {
  const words4 right = shift & (shift >> 31);
  const words4 product = multiply_high(sum << (shift - right), multiplier);
  return round_shift(product + ((product & right) >> 31), right);
}
""",
    "narrow_words": """\
/* Eight words as int16, each saturated, and a number added, saturated. */
static inline halves8 narrow_words(words4 a, words4 b, int32_t zero) {
#if defined(__ARM_NEON)
  return (halves8)vqaddq_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)), vdupq_n_s16((int16_t)zero));
#else
  halves8 result;
  for (uint32_t i = 0; i < 8u; ++i) {
    const int32_t wide = i < 4u ? a[i] : b[i - 4u];
    const int32_t most = wide > 16383 ? 16383 : wide;
    result[i] = (int16_t)((most < -16384 ? -16384 : most) + zero);
  }
  return result;
#endif
}
""",
    "narrow_halves": """\
/* int8 of eight numbers, limited to low .. high. */
static inline bytes8 narrow_halves(halves8 a, int32_t low, int32_t high) {
#if defined(__ARM_NEON)
  const int8x8_t narrow = vqmovn_s16(a);
  return (bytes8)vmax_s8(vmin_s8(narrow, vdup_n_s8((int8_t)high)), vdup_n_s8((int8_t)low));
#else
  bytes8 result;
  for (uint32_t i = 0; i < 8u; ++i) {
    const int32_t most = a[i] > high ? high : a[i];
    result[i] = (int8_t)(most < low ? low : most);
  }
  return result;
#endif
}
""",
    "narrow_halves_twice": """\
static inline bytes16 narrow_halves_twice(halves8 a, halves8 b, int32_t low, int32_t high) {
#if defined(__ARM_NEON)
  const int8x16_t narrow = vcombine_s8(vqmovn_s16(a), vqmovn_s16(b));
  return (bytes16)vmaxq_s8(vminq_s8(narrow, vdupq_n_s8((int8_t)high)), vdupq_n_s8((int8_t)low));
#else
  const bytes8 first = narrow_halves(a, low, high), second = narrow_halves(b, low, high);
  bytes16 result;
  memcpy(&result, &first, 8u);
  memcpy((int8_t *)&result + 8, &second, 8u);
  return result;
#endif
}
""",
}
"""Name -> definition; a function stands after those that it calls."""
