"""Columns of a matrix packed as C on the vectors of c_neon, so that products come by lane, column by column."""

from __future__ import annotations

FUNCTIONS = {
    "load_some_bytes16": """\
/* The first `count` numbers, and zeros. */
static inline bytes16 load_some_bytes16(const int8_t *from, uint32_t count) {
  bytes16 values = {0};
  memcpy(&values, from, count);
  return values;
}
""",
    "load_some_bytes8": """\
static inline bytes8 load_some_bytes8(const int8_t *from, uint32_t count) {
  bytes8 values = {0};
  memcpy(&values, from, count);
  return values;
}
""",
    "pack_fours": """\
/* Sixteen numbers of each of four columns to four vectors, `step` apart: the first four of each column, and so on. */
static inline void pack_fours(bytes16 *to, uint32_t step, bytes16 a, bytes16 b, bytes16 c, bytes16 d) {
#if defined(__aarch64__)
  const int32x4_t ab0 = vtrn1q_s32((int32x4_t)a, (int32x4_t)b), ab1 = vtrn2q_s32((int32x4_t)a, (int32x4_t)b);
  const int32x4_t cd0 = vtrn1q_s32((int32x4_t)c, (int32x4_t)d), cd1 = vtrn2q_s32((int32x4_t)c, (int32x4_t)d);
  to[0] = (bytes16)vtrn1q_s64((int64x2_t)ab0, (int64x2_t)cd0);
  to[step] = (bytes16)vtrn1q_s64((int64x2_t)ab1, (int64x2_t)cd1);
  to[2u * step] = (bytes16)vtrn2q_s64((int64x2_t)ab0, (int64x2_t)cd0);
  to[3u * step] = (bytes16)vtrn2q_s64((int64x2_t)ab1, (int64x2_t)cd1);
#else
  const words4 columns[] = {(words4)a, (words4)b, (words4)c, (words4)d};
  for (uint32_t n = 0; n < 4u; ++n) {
    to[n * step] = (bytes16)(words4){columns[0][n], columns[1][n], columns[2][n], columns[3][n]};
  }
#endif
}
""",
    "pack_wide": """\
/* Eight numbers of each of eight columns, less their zero point: vector k has number k of each column. */
static inline void pack_wide(halves8 *to, const bytes8 *columns, int32_t zero) {
#if defined(__ARM_NEON)
  const int8x8x2_t a = vzip_s8(columns[0], columns[4]), b = vzip_s8(columns[1], columns[5]);
  const int8x8x2_t c = vzip_s8(columns[2], columns[6]), d = vzip_s8(columns[3], columns[7]);
  for (uint32_t half = 0; half < 2u; ++half) {
    const int8x8x2_t even = vzip_s8(a.val[half], c.val[half]), odd = vzip_s8(b.val[half], d.val[half]);
    for (uint32_t quarter = 0; quarter < 2u; ++quarter) {
      const int8x8x2_t two = vzip_s8(even.val[quarter], odd.val[quarter]);
      to[4u * half + 2u * quarter] = widen_less((bytes8)two.val[0], zero);
      to[4u * half + 2u * quarter + 1u] = widen_less((bytes8)two.val[1], zero);
    }
  }
#else
  for (uint32_t k = 0; k < 8u; ++k) {
    for (uint32_t column = 0; column < 8u; ++column) {
      to[k][column] = (int16_t)(columns[column][k] - zero);
    }
  }
#endif
}
""",
    "add_low_by_lane": """\
/* To the words of the sum, the first four halves of a times one half of x; `lane` is a literal. */
#if defined(__aarch64__)
#define add_low_by_lane(sum, a, x, lane) ((words4)vmlal_laneq_s16(sum, vget_low_s16(a), x, lane))
#define add_high_by_lane(sum, a, x, lane) ((words4)vmlal_high_laneq_s16(sum, a, x, lane))
#elif defined(__ARM_NEON)
#define half_with_lane(x, lane) ((lane) < 4 ? vget_low_s16(x) : vget_high_s16(x))
#define add_low_by_lane(sum, a, x, lane) \\
  ((words4)vmlal_lane_s16(sum, vget_low_s16(a), half_with_lane(x, lane), (lane) & 3))
#define add_high_by_lane(sum, a, x, lane) \\
  ((words4)vmlal_lane_s16(sum, vget_high_s16(a), half_with_lane(x, lane), (lane) & 3))
#else
static inline words4 add_low_by_lane(words4 sum, halves8 a, halves8 x, uint32_t lane) {
  return sum + (words4){a[0], a[1], a[2], a[3]} * (int32_t)x[lane];
}
static inline words4 add_high_by_lane(words4 sum, halves8 a, halves8 x, uint32_t lane) {
  return sum + (words4){a[4], a[5], a[6], a[7]} * (int32_t)x[lane];
}
#endif
""",
}
"""Name -> definition; a function stands after those that it calls."""
