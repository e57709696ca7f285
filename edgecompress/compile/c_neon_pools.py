"""Sums and averages of int8 as C on the vectors of c_neon: every machine computes the same bytes."""

from __future__ import annotations

from edgecompress.compile import c_averages

FUNCTIONS = {
    "bounded_bytes16": """\
static inline bytes16 bounded_bytes16(bytes16 a, int32_t low, int32_t high) {
#if defined(__ARM_NEON)
  return (bytes16)vmaxq_s8(vminq_s8(a, vdupq_n_s8((int8_t)high)), vdupq_n_s8((int8_t)low));
#else
  bytes16 limited;
  for (uint32_t i = 0; i < 16u; ++i) {
    const int32_t most = a[i] > high ? high : a[i];
    limited[i] = (int8_t)(most < low ? low : most);
  }
  return limited;
#endif
}
""",
    "add_low_bytes": """\
/* To each half of the sum, one of the first eight bytes. */
static inline halves8 add_low_bytes(halves8 sum, bytes16 a) {
#if defined(__ARM_NEON)
  return (halves8)vaddw_s8(sum, vget_low_s8(a));
#else
  return sum + __builtin_convertvector(low_bytes(a), halves8);
#endif
}
""",
    "add_high_bytes": """\
static inline halves8 add_high_bytes(halves8 sum, bytes16 a) {
#if defined(__ARM_NEON)
  return (halves8)vaddw_s8(sum, vget_high_s8(a));
#else
  return sum + __builtin_convertvector(high_bytes(a), halves8);
#endif
}
""",
    "average_of": c_averages.definition("average_of", "words4", "static inline"),
}
"""Name -> definition; a function stands after those that it calls."""
