"""Tables of 256 numbers, and softmax, as C on the vectors of c_neon: every machine computes the same bytes."""

from __future__ import annotations

FUNCTIONS = {
    "load_table64": """\
/* A quarter of a table: TBL takes four registers. Four variables, for GCC keeps no array of such in registers. */
#if defined(__aarch64__)
typedef uint8x16x4_t table64;
#else
typedef const int8_t *table64;
#endif
static inline table64 load_table64(const int8_t *from) {
#if defined(__aarch64__)
  return vld1q_u8_x4((const uint8_t *)from);
#else
  return from;
#endif
}
""",
    "look_up_bytes16": """\
/* `a` has the values of 0 .. 63, `b` of 64 .. 127, `c` of -128 .. -65. Numbers beyond a quarter are 0 from TBL, and TBX
 * leaves what was found before. */
static inline bytes16 look_up_bytes16(table64 a, table64 b, table64 c, table64 d, bytes16 numbers) {
#if defined(__aarch64__)
  const uint8x16_t place = (uint8x16_t)numbers, step = vdupq_n_u8(64);
  uint8x16_t found = vqtbl4q_u8(a, place);
  const uint8x16_t second = vsubq_u8(place, step), third = vsubq_u8(second, step), fourth = vsubq_u8(third, step);
  found = vqtbx4q_u8(found, b, second);
  found = vqtbx4q_u8(found, c, third);
  return (bytes16)vqtbx4q_u8(found, d, fourth);
#else
  const table64 quarters[] = {a, b, c, d};
  bytes16 found;
  for (uint32_t i = 0; i < 16u; ++i) {
    found[i] = quarters[(uint8_t)numbers[i] / 64u][(uint8_t)numbers[i] % 64u];
  }
  return found;
#endif
}
""",
    "larger_bytes16": """\
static inline bytes16 larger_bytes16(bytes16 a, bytes16 b) {
#if defined(__ARM_NEON)
  return (bytes16)vmaxq_s8(a, b);
#else
  bytes16 larger;
  for (uint32_t i = 0; i < 16u; ++i) {
    larger[i] = a[i] > b[i] ? a[i] : b[i];
  }
  return larger;
#endif
}
""",
    "largest_of_bytes16": """\
static inline int32_t largest_of_bytes16(bytes16 a) {
#if defined(__aarch64__)
  return vmaxvq_s8(a);
#else
  int32_t largest = a[0];
  for (uint32_t i = 1; i < 16u; ++i) {
    largest = a[i] > largest ? a[i] : largest;
  }
  return largest;
#endif
}
""",
    "softmax_reciprocal": """\
/* 1 / (the sum, shifted left to [1, 2)) as Q0.31, by three steps of Newton's method from 48/17 - 32/17 d in Q2.29, as
 * gemmlowp's one_over_one_plus_x_for_x_in_0_1 does. `shift` becomes how far the sum was shifted. */
static inline int32_t rounded_product(int32_t a, int32_t b) {
  return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}
static inline int32_t softmax_reciprocal(int32_t sum, int32_t *shift) {
  *shift = __builtin_clz((uint32_t)sum);
  const int32_t half = (int32_t)((uint32_t)sum << *shift >> 1);
  int32_t x = 1515870810 + rounded_product(half, -1010580540);
  for (uint32_t step = 0; step < 3u; ++step) {
    x += rounded_product(x, (1 << 29) - rounded_product(half, x)) * 4;
  }
  return x >= 1 << 30 ? INT32_MAX : x * 2;
}
""",
    "exponentials_of_bytes16": """\
/* What a table says of how far sixteen numbers are below the largest one: to `to`, rounded to Q12.19 to the sums. */
static inline words4 exponentials_of_bytes16(words4 sums, int32_t *to, const int32_t *table, int32_t most, bytes16 a) {
  const bytes16 below = (int8_t)most - a;
  for (uint32_t i = 0; i < 16u; ++i) {
    to[i] = table[(uint8_t)below[i]];
  }
  for (uint32_t i = 0; i < 16u; i += 4u) {
#if defined(__ARM_NEON)
    sums = (words4)vrsraq_n_s32(sums, load_words4(to + i), 12);
#else
    sums += ((load_words4(to + i) >> 11) + 1) >> 1;
#endif
  }
  return sums;
}
""",
    "total_of_words4": """\
static inline int32_t total_of_words4(words4 a) {
#if defined(__aarch64__)
  return vaddvq_s32(a);
#else
  return a[0] + a[1] + a[2] + a[3];
#endif
}
""",
}
"""Name -> definition; a function stands after those that it calls."""
