"""Elementary functions of a float as C, for the generated code: every core computes the same bytes.

libm differs from C library to C library, so none of it is called but sqrtf, which IEEE 754 defines to the last bit,
and that only where it is an instruction. The approximations of exp, log and tanh are those of the Cephes library
(S. Moshier: single/expf.c, logf.c, tanhf.c); that of erf is the rational one of Eigen (generic_fast_erf_float, also in
XLA). They take finite arguments: what an infinity or a NaN gives is some number, the same everywhere. The build forbids
fused multiply-adds (-ffp-contract=off).
"""

from __future__ import annotations

from edgecompress.compile import c_text

FUNCTIONS = {
    "abs_float": """\
static inline float abs_float(float x) {
  return x < 0.0f ? -x : x;
}
""",
    "trunc_float": """\
/* x without its fraction; from 2^23 on every float is whole. */
static inline float trunc_float(float x) {
  return abs_float(x) < 0x1p+23f ? (float)(int32_t)x : x;
}
""",
    "floor_float": """\
static inline float floor_float(float x) {
  const float whole = trunc_float(x);
  return whole > x ? whole - 1.0f : whole;
}
""",
    "ceil_float": """\
static inline float ceil_float(float x) {
  const float whole = trunc_float(x);
  return whole < x ? whole + 1.0f : whole;
}
""",
    "round_float": """\
/* The nearest whole number, of two equally near ones the even one: the addition rounds so. */
static inline float round_float(float x) {
  const float shift = x < 0.0f ? -0x1p+23f : 0x1p+23f;
  return abs_float(x) < 0x1p+23f ? (x + shift) - shift : x;
}
""",
    "exp_float": """\
/* e^x within 2 units in the last place; below -87.3 the smallest normal float, above 88.7 that of 88.7.
 * x = n ln 2 + r with a whole n, and e^r as a polynomial (Cephes). 12582912 = 1.5 * 2^23 rounds to whole numbers. */
static inline float exp_float(float x) {
  const float t = min_float(max_float(x, -87.336544f), 88.722831f);
  const int32_t n = int32_t_bits(t * 1.44269504f + 12582912.0f) - 0x4B400000;
  const float r = (t - (float)n * 0.693359375f) - (float)n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const float e = (p * (r * r) + r) + 1.0f;
  return float_bits(int32_t_bits(e) + n * (1 << 23));
}
""",
    "log_float": """\
/* ln x within 2 units in the last place, for normal floats above 0; of 0 and what is below it, -88.
 * x = 2^n m with m between sqrt(1/2) and sqrt(2), and ln m as a polynomial (Cephes). */
static inline float log_float(float x) {
  const int32_t bits = int32_t_bits(max_float(x, 0x1p-126f));
  const float half = float_bits((bits & 0x007FFFFF) | 0x3F000000);
  const int32_t below = half < 0.707106781f;
  const float n = (float)((bits >> 23) - 126 - below);
  const float r = (below ? half + half : half) - 1.0f;
  const float square = r * r;
  float p = 7.0376836292e-2f;
  p = p * r - 1.1514610310e-1f;
  p = p * r + 1.1676998740e-1f;
  p = p * r - 1.2420140846e-1f;
  p = p * r + 1.4249322787e-1f;
  p = p * r - 1.6668057665e-1f;
  p = p * r + 2.0000714765e-1f;
  p = p * r - 2.4999993993e-1f;
  p = p * r + 3.3333331174e-1f;
  const float tail = (p * r * square + n * -2.12194440e-4f) - 0.5f * square;
  return (r + tail) + n * 0.693359375f;
}
""",
    "sqrt_float": """\
/* The square root of normal floats, rounded to nearest; of anything below them, 0.
 * Without a float unit bit by bit (fdlibm, e_sqrtf.c). */
static inline float sqrt_float(float x) {
  if (!(x >= 0x1p-126f)) {
    return 0.0f;
  }
#if defined(__arm__) && !defined(__ARM_FP)
  const int32_t bits = int32_t_bits(x);
  const int32_t exponent = (bits >> 23) - 127;
  const uint32_t fraction = ((uint32_t)bits & 0x007FFFFFu) | 0x00800000u;
  uint32_t rest = fraction << (1 + (exponent & 1));
  uint32_t root = 0;
  uint32_t taken = 0;
  for (uint32_t bit = 0x01000000u; bit != 0; bit >>= 1) {
    const uint32_t next = taken + bit;
    if (next <= rest) {
      taken = next + bit;
      rest -= next;
      root += bit;
    }
    rest += rest;
  }
  root += rest != 0 ? root & 1u : 0u;
  return float_bits((int32_t)(root >> 1) + 0x3F000000 + (exponent >> 1) * (1 << 23));
#else
  return sqrtf(x);
#endif
}
""",
    "sigmoid_float": """\
/* 1 / (1 + e^-x) within 3 units in the last place. */
static inline float sigmoid_float(float x) {
  return 1.0f / (1.0f + exp_float(-x));
}
""",
    "tanh_float": """\
/* tanh x within 3 units in the last place (Cephes). */
static inline float tanh_float(float x) {
  const float size = abs_float(x);
  if (size < 0.625f) {
    const float square = x * x;
    float p = -5.70498872745e-3f;
    p = p * square + 2.06390887954e-2f;
    p = p * square - 5.37397155531e-2f;
    p = p * square + 1.33314422036e-1f;
    p = p * square - 3.33332819422e-1f;
    return p * square * x + x;
  }
  const float far = 1.0f - 2.0f / (exp_float(size + size) + 1.0f);
  return x < 0.0f ? -far : far;
}
""",
    "erf_float": """\
/* The error function within 4e-7 (Eigen). */
static inline float erf_float(float x) {
  const float t = min_float(max_float(x, -4.0f), 4.0f);
  const float square = t * t;
  float p = -2.72614225801306e-10f;
  p = p * square + 2.77068142495902e-08f;
  p = p * square - 2.10102402082508e-06f;
  p = p * square - 5.69250639462346e-05f;
  p = p * square - 7.34990630326855e-04f;
  p = p * square - 2.95459980854025e-03f;
  p = p * square - 1.60960333262415e-02f;
  float q = -1.45660718464996e-05f;
  q = q * square - 2.13374055278905e-04f;
  q = q * square - 1.68282697438203e-03f;
  q = q * square - 7.37332916720468e-03f;
  q = q * square - 1.42647390514189e-02f;
  return t * p / q;
}
""",
}
"""Name -> definition; a function stands after those that it calls. They call those of c_text.inline_functions too."""


def _read_together(count: int) -> str:
    """Load neighbouring floats: by one VLDM, which GCC never makes of C, on an Arm core with a float unit."""
    names = [f"v{number}" for number in range(count)]
    first = 32 - count
    registers = "\n".join(f'  register float {name} __asm__("s{first + n}");' for n, name in enumerate(names))
    results = ", ".join(f'"=t"({name})' for name in names)
    stores = "\n".join(f"  to[{number}] = {name};" for number, name in enumerate(names))
    copies = "\n".join(f"  to[{number}] = from[{number}];" for number in range(count))
    return f"""\
static inline void read_{count}(float *restrict to, const float *restrict from) {{
#if defined(__arm__) && defined(__ARM_FP)
{registers}
  __asm__("vldmia %{count}, {{s{first}-s31}}"
          : {results}
          : "r"(from), "m"(*(const float(*)[{count}])from));
{stores}
#else
{copies}
#endif
}}
"""


FUNCTIONS |= {f"read_{count}": _read_together(count) for count in (2, 4, 8)}


def definitions(text: str) -> str:
    """Return the definitions that the functions called in some C text need, in order."""
    return c_text.definitions(FUNCTIONS, text)
