"""Vectors of int8 as C, for kernels on Cortex-A: every machine computes the same bytes.

`bytes16` are 16 int8 in a register, `halves8` eight int16, `words4` four int32. Each function has its NEON
instructions, and a definition on vectors of GCC and clang for the reference on a little-endian machine.
"""

from __future__ import annotations

from edgecompress.compile import c_neon_matrix, c_neon_panels, c_neon_pools, c_neon_rounding, c_neon_tables, c_text

_HEAD = """\
#if defined(__ARM_NEON)
#include <arm_neon.h>
#endif
typedef int8_t bytes8 __attribute__((vector_size(8)));
typedef int8_t bytes16 __attribute__((vector_size(16)));
typedef int16_t halves4 __attribute__((vector_size(8)));
typedef int16_t halves8 __attribute__((vector_size(16)));
typedef int32_t words4 __attribute__((vector_size(16)));
typedef int8_t bytes8_anywhere __attribute__((vector_size(8), aligned(1)));
typedef int8_t bytes16_anywhere __attribute__((vector_size(16), aligned(1)));
"""

_LOADS = {
    "load_bytes16": """\
static inline bytes16 load_bytes16(const int8_t *from) {
  return (bytes16)*(const bytes16_anywhere *)(const void *)from;
}
""",
    "load_bytes8": """\
static inline bytes8 load_bytes8(const int8_t *from) {
  return (bytes8)*(const bytes8_anywhere *)(const void *)from;
}
""",
    "twice_bytes8": """\
/* Eight bytes, and the same again. */
static inline bytes16 twice_bytes8(const int8_t *from) {
#if defined(__aarch64__)
  return (bytes16)vld1q_dup_s64((const int64_t *)(const void *)from);
#else
  bytes16 values;
  memcpy(&values, from, 8u);
  memcpy((int8_t *)&values + 8, from, 8u);
  return values;
#endif
}
""",
    "repeat_bytes4": """\
/* Four bytes, four times. */
static inline bytes16 repeat_bytes4(const int8_t *from) {
#if defined(__ARM_NEON)
  return (bytes16)vld1q_dup_s32((const int32_t *)(const void *)from);
#else
  int32_t word;
  memcpy(&word, from, sizeof word);
  return (bytes16)(words4){word, word, word, word};
#endif
}
""",
    "store_bytes16": """\
static inline void store_bytes16(int8_t *to, bytes16 values) {
  *(bytes16_anywhere *)(void *)to = (bytes16_anywhere)values;
}
""",
    "load_words4": """\
static inline words4 load_words4(const int32_t *from) {
  words4 values;
  memcpy(&values, from, sizeof values);
  return values;
}
""",
    "copy_bytes": """\
/* Faster than memcpy of a runtime that is built to be small. */
static inline void copy_bytes(int8_t *restrict to, const int8_t *restrict from, uint32_t count) {
  for (; count >= 64u; count -= 64u) {
    const bytes16 a = load_bytes16(from), b = load_bytes16(from + 16);
    const bytes16 c = load_bytes16(from + 32), d = load_bytes16(from + 48);
    memcpy(to, &a, 16u);
    memcpy(to + 16, &b, 16u);
    memcpy(to + 32, &c, 16u);
    memcpy(to + 48, &d, 16u);
    from += 64;
    to += 64;
  }
  for (; count >= 16u; count -= 16u) {
    const bytes16 a = load_bytes16(from);
    memcpy(to, &a, 16u);
    from += 16;
    to += 16;
  }
  for (; count > 0u; --count) {
    *to++ = *from++;
  }
}
""",
    "fill_bytes": """\
static inline void fill_bytes(int8_t *to, int32_t value, uint32_t count) {
  const int8_t byte = (int8_t)value;
  const bytes16 bytes = (bytes16){0} + byte;
  for (; count >= 16u; count -= 16u) {
    memcpy(to, &bytes, 16u);
    to += 16;
  }
  for (; count > 0u; --count) {
    *to++ = byte;
  }
}
""",
}

_PRODUCTS = {
    "dot_lane": """\
/* To each word of the sum, the four products of its four weights and the four numbers in a lane (a literal) of x. */
#if defined(__ARM_FEATURE_DOTPROD) && defined(__aarch64__)
#define dot_lane(sum, weights, x, lane) ((words4)vdotq_laneq_s32(sum, weights, x, lane))
#else
static inline words4 dot_lane(words4 sum, bytes16 weights, bytes16 x, uint32_t lane) {
  const words4 words = (words4)weights;
  sum += (words << 24 >> 24) * (int32_t)x[4u * lane];
  sum += (words << 16 >> 24) * (int32_t)x[4u * lane + 1u];
  sum += (words << 8 >> 24) * (int32_t)x[4u * lane + 2u];
  return sum + (words >> 24) * (int32_t)x[4u * lane + 3u];
}
#endif
""",
    "products_of_8": """\
static inline halves8 products_of_8(bytes8 a, bytes8 b) {
#if defined(__ARM_NEON)
  return (halves8)vmull_s8(a, b);
#else
  return __builtin_convertvector(a, halves8) * __builtin_convertvector(b, halves8);
#endif
}
""",
    "products_of_16": """\
/* The products of the first eight bytes and of the last eight, added up. The sums must fit. */
static inline halves8 products_of_16(bytes16 a, bytes16 b) {
#if defined(__aarch64__)
  return (halves8)vmlal_high_s8(vmull_s8(vget_low_s8(a), vget_low_s8(b)), a, b);
#elif defined(__ARM_NEON)
  const int16x8_t first = vmull_s8(vget_low_s8(a), vget_low_s8(b));
  return (halves8)vmlal_s8(first, vget_high_s8(a), vget_high_s8(b));
#else
  bytes8 a_low, a_high, b_low, b_high;
  memcpy(&a_low, &a, 8u);
  memcpy(&b_low, &b, 8u);
  memcpy(&a_high, (const int8_t *)&a + 8, 8u);
  memcpy(&b_high, (const int8_t *)&b + 8, 8u);
  return products_of_8(a_low, b_low) + products_of_8(a_high, b_high);
#endif
}
""",
    "add_products_of_16": """\
static inline halves8 add_products_of_16(halves8 sum, bytes16 a, bytes16 b) {
#if defined(__aarch64__)
  return (halves8)vmlal_high_s8(vmlal_s8(sum, vget_low_s8(a), vget_low_s8(b)), a, b);
#elif defined(__ARM_NEON)
  const int16x8_t first = vmlal_s8(sum, vget_low_s8(a), vget_low_s8(b));
  return (halves8)vmlal_s8(first, vget_high_s8(a), vget_high_s8(b));
#else
  return sum + products_of_16(a, b);
#endif
}
""",
    "add_products_of_8": """\
static inline halves8 add_products_of_8(halves8 sum, bytes8 a, bytes8 b) {
#if defined(__ARM_NEON)
  return (halves8)vmlal_s8(sum, a, b);
#else
  return sum + products_of_8(a, b);
#endif
}
""",
    "low_bytes": """\
static inline bytes8 low_bytes(bytes16 a) {
#if defined(__ARM_NEON)
  return (bytes8)vget_low_s8(a);
#else
  bytes8 low;
  memcpy(&low, &a, 8u);
  return low;
#endif
}
""",
    "high_bytes": """\
static inline bytes8 high_bytes(bytes16 a) {
#if defined(__ARM_NEON)
  return (bytes8)vget_high_s8(a);
#else
  bytes8 high;
  memcpy(&high, (const int8_t *)&a + 8, 8u);
  return high;
#endif
}
""",
    "add_low_halves": """\
/* To each word of the sum, one of the first four halves. */
static inline words4 add_low_halves(words4 sum, halves8 halves) {
#if defined(__ARM_NEON)
  return (words4)vaddw_s16(sum, vget_low_s16(halves));
#else
  halves4 low;
  memcpy(&low, &halves, 8u);
  return sum + __builtin_convertvector(low, words4);
#endif
}
""",
    "add_high_halves": """\
static inline words4 add_high_halves(words4 sum, halves8 halves) {
#if defined(__ARM_NEON)
  return (words4)vaddw_s16(sum, vget_high_s16(halves));
#else
  halves4 high;
  memcpy(&high, (const int16_t *)&halves + 4, 8u);
  return sum + __builtin_convertvector(high, words4);
#endif
}
""",
    "widen_less": """\
/* Eight numbers less their zero point. */
static inline halves8 widen_less(bytes8 a, int32_t zero) {
#if defined(__ARM_NEON)
  return (halves8)vsubl_s8(a, vdup_n_s8((int8_t)zero));
#else
  return __builtin_convertvector(a, halves8) - (int16_t)zero;
#endif
}
""",
    "add_wide_products": """\
/* To the words of the sum, the products of eight halves: of the first four, and of the last four. */
static inline words4 add_wide_products(words4 sum, halves8 a, halves8 b) {
#if defined(__aarch64__)
  return (words4)vmlal_high_s16(vmlal_s16(sum, vget_low_s16(a), vget_low_s16(b)), a, b);
#elif defined(__ARM_NEON)
  const int32x4_t first = vmlal_s16(sum, vget_low_s16(a), vget_low_s16(b));
  return (words4)vmlal_s16(first, vget_high_s16(a), vget_high_s16(b));
#else
  const words4 zeros = {0};
  sum += add_low_halves(zeros, a) * add_low_halves(zeros, b);
  return sum + add_high_halves(zeros, a) * add_high_halves(zeros, b);
#endif
}
""",
    "less_zero": """\
/* Eight numbers less their zero point, times 2^5. */
static inline halves8 less_zero(bytes8 a, int32_t zero) {
#if defined(__ARM_NEON)
  return (halves8)vshlq_n_s16(vsubl_s8(a, vdup_n_s8((int8_t)zero)), 5);
#else
  return (__builtin_convertvector(a, halves8) - (int16_t)zero) << 5;
#endif
}
""",
    "low_shifted": """\
/* The first four numbers, times 2^15. */
static inline words4 low_shifted(halves8 a) {
#if defined(__ARM_NEON)
  return (words4)vshll_n_s16(vget_low_s16(a), 15);
#else
  return add_low_halves((words4){0}, a) << 15;
#endif
}
""",
    "high_shifted": """\
static inline words4 high_shifted(halves8 a) {
#if defined(__ARM_NEON)
  return (words4)vshll_n_s16(vget_high_s16(a), 15);
#else
  return add_high_halves((words4){0}, a) << 15;
#endif
}
""",
    "add_pairs": """\
/* To each word of the sum, two neighbouring halves. */
static inline words4 add_pairs(words4 sum, halves8 halves) {
#if defined(__ARM_NEON)
  return (words4)vpadalq_s16(sum, halves);
#else
  return sum + ((words4)halves << 16 >> 16) + ((words4)halves >> 16);
#endif
}
""",
    "total_of_each": """\
/* What the four words of each vector add up to. */
static inline words4 total_of_each(words4 a, words4 b, words4 c, words4 d) {
#if defined(__aarch64__)
  return (words4)vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
#elif defined(__ARM_NEON)
  const int32x2_t first = vpadd_s32(vget_low_s32(a), vget_high_s32(a));
  const int32x2_t second = vpadd_s32(vget_low_s32(b), vget_high_s32(b));
  const int32x2_t third = vpadd_s32(vget_low_s32(c), vget_high_s32(c));
  const int32x2_t fourth = vpadd_s32(vget_low_s32(d), vget_high_s32(d));
  return (words4)vcombine_s32(vpadd_s32(first, second), vpadd_s32(third, fourth));
#else
  return (words4){a[0] + a[1] + a[2] + a[3], b[0] + b[1] + b[2] + b[3], c[0] + c[1] + c[2] + c[3],
                  d[0] + d[1] + d[2] + d[3]};
#endif
}
""",
}

FUNCTIONS = {
    **_LOADS,
    **_PRODUCTS,
    **c_neon_matrix.FUNCTIONS,
    **c_neon_rounding.FUNCTIONS,
    **c_neon_tables.FUNCTIONS,
    **c_neon_panels.FUNCTIONS,
    **c_neon_pools.FUNCTIONS,
}
"""Name -> definition; a function stands after those that it calls."""


def definitions(text: str) -> str:
    """Define the vector types and functions that some C text uses, in order."""
    functions = c_text.definitions(FUNCTIONS, text)
    return f"{_HEAD}{functions}" if functions else ""
