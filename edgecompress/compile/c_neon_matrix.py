"""Matrix products of int8 as C (SMMLA), with a definition for cores and machines without the instruction."""

from __future__ import annotations

FUNCTIONS = {
    "matrix_products": """\
/* To the words of the sum, eight products each: of both rows of a with both rows of b, a row being eight bytes. */
static inline words4 matrix_products(words4 sum, bytes16 a, bytes16 b) {
#if defined(__ARM_FEATURE_MATMUL_INT8) && defined(__aarch64__)
  return (words4)vmmlaq_s32(sum, a, b);
#else
  const words4 zeros = {0};
  return sum + total_of_each(add_pairs(zeros, products_of_8(low_bytes(a), low_bytes(b))),
                             add_pairs(zeros, products_of_8(low_bytes(a), high_bytes(b))),
                             add_pairs(zeros, products_of_8(high_bytes(a), low_bytes(b))),
                             add_pairs(zeros, products_of_8(high_bytes(a), high_bytes(b))));
#endif
}
""",
    "low_pair": """\
/* The first eight bytes of both. */
static inline bytes16 low_pair(bytes16 a, bytes16 b) {
#if defined(__aarch64__)
  return (bytes16)vzip1q_s64((int64x2_t)a, (int64x2_t)b);
#else
  bytes16 pair;
  memcpy(&pair, &a, 8u);
  memcpy((int8_t *)&pair + 8, &b, 8u);
  return pair;
#endif
}
""",
    "high_pair": """\
/* The last eight bytes of both. */
static inline bytes16 high_pair(bytes16 a, bytes16 b) {
#if defined(__aarch64__)
  return (bytes16)vzip2q_s64((int64x2_t)a, (int64x2_t)b);
#else
  bytes16 pair;
  memcpy(&pair, (const int8_t *)&a + 8, 8u);
  memcpy((int8_t *)&pair + 8, (const int8_t *)&b + 8, 8u);
  return pair;
#endif
}
""",
    "pair_of_8": """\
static inline bytes16 pair_of_8(const int8_t *a, const int8_t *b) {
  bytes16 pair;
  memcpy(&pair, a, 8u);
  memcpy((int8_t *)&pair + 8, b, 8u);
  return pair;
}
""",
    "first_row": """\
/* The first two words of both. */
static inline words4 first_row(words4 a, words4 b) {
  return (words4)low_pair((bytes16)a, (bytes16)b);
}
""",
    "second_row": """\
/* The last two words of both. */
static inline words4 second_row(words4 a, words4 b) {
  return (words4)high_pair((bytes16)a, (bytes16)b);
}
""",
}
"""Name -> definition; what they call stands in c_neon."""
