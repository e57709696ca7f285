"""Vectors of half-precision floats as C: every core computes the same bytes.

A half is IEEE 754's binary16, kept in a uint16_t; `half8` are eight of them. `fused_half8` is fusedMultiplyAdd, rounded
once. Cores with the instruction name it. Elsewhere it is computed in double, and that gives the same bits:

- The product of two halves has at most 22 bits, so it is exact in double.
- The sum with a third half, s = p + c, is exact too wherever its bits span at most 53 places. They span more only when
  one of p and c is below 2^-30 of the other. That one is p: c's last bit is at least 2^-24, so a p that far above c's
  first bit is beyond 2^17, where the half is infinity whatever c is. Then c is a half, p is less than half a unit in
  its last place, and c is the nearest half to s and to every double near s.
- So one rounding of the double to a half is the only one that counts. Where it goes through a float, the float is
  rounded to odd (Boldo and Melquiond 2008, "Emulation of a FMA and Correctly Rounded Sums"): its 24 bits are two more
  than the 11 of a half need.

Numbers are finite and results below 65,520: what a network makes of infinities is no answer anyway.
"""

from __future__ import annotations

from edgecompress.compile import c_text

_TYPES = """\
typedef uint16_t half8 __attribute__((vector_size(16)));
typedef uint16_t half8_anywhere __attribute__((vector_size(16), aligned(2)));
#if defined(__ARM_FEATURE_FP16_VECTOR_ARITHMETIC)
#define HALF_BY_NEON
#elif defined(__AVX512FP16__) && defined(__AVX512VL__)
#define HALF_BY_AVX512
#elif defined(__F16C__) && defined(__AVX2__) && defined(__FMA__)
#define HALF_BY_F16C
#endif
"""

_LOAD = """\
static inline half8 load_half8(const uint16_t *from) {
  return (half8) * (const half8_anywhere *)(const void *)from;
}
"""

_LOAD_FOUR = """\
/* Four halves, and zeros. */
static inline half8 load_four_half8(const uint16_t *from) {
#if defined(HALF_BY_NEON)
  return (half8)vcombine_u16(vld1_u16(from), vdup_n_u16(0));
#else
  half8 values = {0};
  memcpy(&values, from, 4u * sizeof(uint16_t));
  return values;
#endif
}
"""

_STORE = """\
static inline void store_half8(uint16_t *to, half8 values) {
  *(half8_anywhere *)(void *)to = (half8_anywhere)values;
}
"""

_LOAD_SOME = """\
/* The first `count` numbers, and zeros. */
static inline half8 load_some_half8(const uint16_t *from, uint32_t count) {
  half8 values = {0};
  memcpy(&values, from, count * sizeof(uint16_t));
  return values;
}
"""

_STORE_SOME = """\
static inline void store_some_half8(uint16_t *to, half8 values, uint32_t count) {
  memcpy(to, &values, count * sizeof(uint16_t));
}
"""

_SPLAT = """\
static inline half8 splat_half8(uint16_t value) {
  return (half8){value, value, value, value, value, value, value, value};
}
"""

_WIDENED = """\
static inline float widened_half(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, magnitude = half & 0x7fffu;
  const float scaled = (float)magnitude * 0x1p-24f; /* below the smallest normal half the bits are a whole number */
  uint32_t bits = (magnitude << 13) + (magnitude >= 0x7c00u ? 224u << 23 : 112u << 23);
  if (magnitude < 0x400u) {
    memcpy(&bits, &scaled, sizeof bits);
  }
  bits |= sign;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
"""

_NEAREST = """\
/* The half nearest to a number; of two, the even one. */
static inline uint16_t nearest_half(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  const uint16_t sign = (uint16_t)(bits >> 48 & 0x8000u);
  bits &= ~(1ull << 63);
  const double magnitude = value < 0.0 ? -value : value;
  if (magnitude >= 65520.0) {
    return sign | 0x7c00u;
  }
  if (magnitude < 0x1p-14) {
    return sign | (uint16_t)(((magnitude + 0x1p28) - 0x1p28) * 0x1p24); /* the sum's last bit is 2^-24 */
  }
  const uint64_t rounded = (bits + ((1ull << 41) - 1u) + (bits >> 42 & 1u)) >> 42;
  return sign | (uint16_t)(rounded - ((1023u - 15u) << 10));
}
"""

_NARROWED = """\
static inline uint16_t narrowed_half(float value) {
#if defined(HALF_BY_NEON)
  return vget_lane_u16(vreinterpret_u16_f16(vcvt_f16_f32(vdupq_n_f32(value))), 0);
#elif defined(HALF_BY_F16C) || defined(HALF_BY_AVX512)
  return (uint16_t)_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT);
#else
  return nearest_half((double)value);
#endif
}
"""

_NARROW = """\
static inline half8 narrow_half8(vec4 low, vec4 high) {
#if defined(HALF_BY_NEON)
  return (half8)vcvt_high_f16_f32(vcvt_f16_f32(low), high);
#elif defined(HALF_BY_F16C) || defined(HALF_BY_AVX512)
  const __m128i a = _mm_cvtps_ph(low, _MM_FROUND_TO_NEAREST_INT), b = _mm_cvtps_ph(high, _MM_FROUND_TO_NEAREST_INT);
  return (half8)_mm_unpacklo_epi64(a, b);
#else
  half8 result;
  for (uint32_t i = 0; i < 4u; ++i) {
    result[i] = nearest_half((double)low[i]);
    result[i + 4u] = nearest_half((double)high[i]);
  }
  return result;
#endif
}
"""


def _widen(name: str, neon: str, f16c: str, first: int) -> str:
    return f"""\
static inline vec4 {name}_half8(half8 values) {{
#if defined(HALF_BY_NEON)
  return (vec4){neon};
#elif defined(HALF_BY_F16C) || defined(HALF_BY_AVX512)
  return (vec4)_mm_cvtph_ps({f16c});
#else
  vec4 result;
  for (uint32_t i = 0; i < 4u; ++i) {{
    result[i] = widened_half(values[i + {first}u]);
  }}
  return result;
#endif
}}
"""


_LOW = _widen("low", "vcvt_f32_f16(vget_low_f16((float16x8_t)values))", "(__m128i)values", 0)
_HIGH = _widen(
    "high", "vcvt_high_f32_f16((float16x8_t)values)", "_mm_unpackhi_epi64((__m128i)values, (__m128i)values)", 4
)

_ODD = """\
#if defined(HALF_BY_F16C)
/* Four doubles as floats, rounded to odd: what is cut off sets the last bit. */
static inline __m128 odd_floats(__m256d values) {
  const __m256i bits = _mm256_castpd_si256(values), mask = _mm256_set1_epi64x((1ll << 29) - 1);
  const __m256i exact = _mm256_cmpeq_epi64(_mm256_and_si256(bits, mask), _mm256_setzero_si256());
  const __m256i sticky = _mm256_andnot_si256(exact, _mm256_set1_epi64x(1ll << 29));
  return _mm256_cvtpd_ps(_mm256_castsi256_pd(_mm256_or_si256(_mm256_andnot_si256(mask, bits), sticky)));
}
static inline __m256d doubles(__m128 values) { return _mm256_cvtps_pd(values); }
#endif
"""

_FUSED = """\
/* sum + a * b, rounded once. */
static inline half8 fused_half8(half8 sum, half8 a, half8 b) {
#if defined(HALF_BY_NEON)
  return (half8)vfmaq_f16((float16x8_t)sum, (float16x8_t)a, (float16x8_t)b);
#elif defined(HALF_BY_AVX512)
  return (half8)_mm_fmadd_ph((__m128h)a, (__m128h)b, (__m128h)sum);
#elif defined(HALF_BY_F16C)
  const __m128 low = odd_floats(_mm256_fmadd_pd(doubles((__m128)low_half8(a)), doubles((__m128)low_half8(b)),
                                                doubles((__m128)low_half8(sum))));
  const __m128 high = odd_floats(_mm256_fmadd_pd(doubles((__m128)high_half8(a)), doubles((__m128)high_half8(b)),
                                                 doubles((__m128)high_half8(sum))));
  return narrow_half8((vec4)low, (vec4)high);
#else
  half8 result;
  for (uint32_t i = 0; i < 8u; ++i) {
    const double product = (double)widened_half(a[i]) * (double)widened_half(b[i]);
    result[i] = nearest_half(product + (double)widened_half(sum[i]));
  }
  return result;
#endif
}
"""

_PRODUCT = """\
/* a * b, rounded: through a float it is not rounded twice, for 22 bits are exact there. */
static inline half8 product_half8(half8 a, half8 b) {
#if defined(HALF_BY_NEON)
  return (half8)vmulq_f16((float16x8_t)a, (float16x8_t)b);
#elif defined(HALF_BY_AVX512)
  return (half8)_mm_mul_ph((__m128h)a, (__m128h)b);
#else
  return narrow_half8(low_half8(a) * low_half8(b), high_half8(a) * high_half8(b));
#endif
}
"""

_FUSED_LANE = """\
/* The same with one number of x as a factor; `lane` is a literal. In assembler, for from vfmaq_laneq_f16 GCC 12 makes
 * a load of each number instead; the factor lies in one of the registers 0 to 15 (ARM DDI 0487, FMLA by element).
 */
#if defined(HALF_BY_NEON)
#define fused_lane_half8(sum, a, x, lane) \\
  __extension__({ \\
    half8 fused = (sum); \\
    __asm__("fmla %0.8h, %1.8h, %2.h[" #lane "]" : "+w"(fused) : "w"(a), "x"(x)); \\
    fused; \\
  })
#else
#define fused_lane_half8(sum, a, x, lane) fused_half8(sum, a, splat_half8((x)[lane]))
#endif
"""

_PRODUCT_LANE = """\
#if defined(HALF_BY_NEON)
#define product_lane_half8(a, x, lane) \\
  __extension__({ \\
    half8 product; \\
    __asm__("fmul %0.8h, %1.8h, %2.h[" #lane "]" : "=w"(product) : "w"(a), "x"(x)); \\
    product; \\
  })
#else
#define product_lane_half8(a, x, lane) product_half8(a, splat_half8((x)[lane]))
#endif
"""

_COPY = """\
static inline void copy_halves(uint16_t *restrict to, const uint16_t *restrict from, uint32_t count) {
  for (; count >= 32u; count -= 32u) {
    const half8 a = load_half8(from), b = load_half8(from + 8), c = load_half8(from + 16), d = load_half8(from + 24);
    store_half8(to, a);
    store_half8(to + 8, b);
    store_half8(to + 16, c);
    store_half8(to + 24, d);
    from += 32;
    to += 32;
  }
  for (; count >= 8u; count -= 8u) {
    store_half8(to, load_half8(from));
    from += 8;
    to += 8;
  }
  for (; count > 0u; --count) {
    *to++ = *from++;
  }
}
"""

_NARROW_FLOATS = """\
static inline void narrow_floats(uint16_t *restrict to, const float *restrict from, uint32_t count) {
  for (; count >= 16u; count -= 16u) {
    const vec4 a = load_vec4(from), b = load_vec4(from + 4), c = load_vec4(from + 8), d = load_vec4(from + 12);
    store_half8(to, narrow_half8(a, b));
    store_half8(to + 8, narrow_half8(c, d));
    from += 16;
    to += 16;
  }
  for (; count > 0u; --count) {
    *to++ = narrowed_half(*from++);
  }
}
"""

_WIDEN_HALVES = """\
static inline void widen_halves(float *restrict to, const uint16_t *restrict from, uint32_t count) {
  for (; count >= 8u; count -= 8u) {
    const half8 values = load_half8(from);
    store_vec4(to, low_half8(values));
    store_vec4(to + 4, high_half8(values));
    from += 8;
    to += 8;
  }
  for (; count > 0u; --count) {
    *to++ = low_half8(splat_half8(*from++))[0];
  }
}
"""

_CLEAR = """\
static inline void clear_halves(uint16_t *to, uint32_t count) {
  const half8 zeros = {0};
  for (; count >= 8u; count -= 8u) {
    store_half8(to, zeros);
    to += 8;
  }
  for (; count > 0u; --count) {
    *to++ = 0;
  }
}
"""

FUNCTIONS = {
    "load_half8": _LOAD,
    "load_four_half8": _LOAD_FOUR,
    "store_half8": _STORE,
    "load_some_half8": _LOAD_SOME,
    "store_some_half8": _STORE_SOME,
    "splat_half8": _SPLAT,
    "widened_half": _WIDENED,
    "nearest_half": _NEAREST,
    "narrowed_half": _NARROWED,
    "narrow_half8": _NARROW,
    "low_half8": _LOW,
    "high_half8": _HIGH,
    "odd_floats": _ODD,
    "fused_half8": _FUSED,
    "product_half8": _PRODUCT,
    "fused_lane_half8": _FUSED_LANE,
    "product_lane_half8": _PRODUCT_LANE,
    "copy_halves": _COPY,
    "narrow_floats": _NARROW_FLOATS,
    "widen_halves": _WIDEN_HALVES,
    "clear_halves": _CLEAR,
}
"""Name -> definition; a function stands after those that it calls."""


def definitions(text: str) -> str:
    """Define the type and functions that some C text uses, in order; they need those of c_vector."""
    functions = c_text.definitions(FUNCTIONS, text)
    return f"{_TYPES}{functions}" if functions or "half8" in text else ""
