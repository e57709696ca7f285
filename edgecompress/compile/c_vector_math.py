"""Elementary functions of vectors of floats as C, on the vectors of c_vector: every core computes the same bytes.

Each function is there twice: `exp_fused_vec4` with fused multiply-adds, `exp_separate_vec4` with products that are
rounded before they are added. The second argument are its coefficients, which the caller keeps in registers: outside of
the loop, `vec4 c[14]; keep_exp_vec4(c);` (`kept` writes that). Numbers are finite.

Sources and largest errors, in units in the last place over all arguments (tests/pipeline/test_vector_math.py holds
them to it):

- exp, 2: Cephes (S. Moshier, single/expf.c). x = n ln 2 + r with a whole n, and e^r as a polynomial.
- sigmoid, 3: 1 / (1 + exp(-x)).
- erf, 5, and tanh, 5: x P(x^2) / Q(x^2), fitted for this file by least squares, reweighted until the largest relative
  error over the range (up to 3.92 and 9.02, where the function rounds to 1) was least: 1.9e-8 and 2.1e-8. All
  coefficients are positive, so that nothing cancels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecompress.compile import c_text, c_vector
from edgecompress.compile.c_vector import WIDTHS

_EXP = (-87.336544, 88.722831, 12582912.0, 1.44269504, -0.693359375, 2.12194440e-4, 1.0)
_EXP_POLYNOMIAL = (
    *(5.0000001201e-1, 1.6666665459e-1, 4.1665795894e-2),
    *(8.3334519073e-3, 1.3981999507e-3, 1.9875691500e-4),
)
_ERF_ABOVE = (
    *(1.12837914613, 1.90407451106e-1, 5.27488579424e-2),
    *(3.76566020224e-3, 2.84883864420e-4, 2.05008198340e-6),
)
_ERF_BELOW = (
    *(1.0, 5.02076950696e-1, 1.14109522764e-1),
    *(1.49693033605e-2, 1.16254629134e-3, 3.80917195502e-5),
)
_TANH_ABOVE = (9.99999979012e-1, 1.33797181635e-1, 3.49403483071e-3, 2.05834858219e-5, 1.33190781828e-8)
_TANH_BELOW = (1.0, 4.67130334031e-1, 2.58710742169e-2, 3.28309328859e-4, 7.76202202635e-7)

COEFFICIENTS: dict[str, tuple[float, ...]] = {
    "exp": (*_EXP, *_EXP_POLYNOMIAL),
    "sigmoid": (*_EXP, *_EXP_POLYNOMIAL),
    "erf": (-3.92, 3.92, *_ERF_ABOVE, *_ERF_BELOW),
    "tanh": (-9.02, 9.02, *_TANH_ABOVE, *_TANH_BELOW),
}
"""Function -> its coefficients, in the order in which it reads them."""


def kept(name: str, width: int) -> list[str]:
    """Declare the coefficients of a function as `{name}_c`, in registers as far as there are enough."""
    return [f"vec{width} {name}_c[{len(COEFFICIENTS[name])}];", f"keep_{name}_vec{width}({name}_c);"]


def call(name: str, width: int, argument: str, *, fused: bool) -> str:
    """Call a function whose coefficients are `kept`."""
    return f"{name}_{'fused' if fused else 'separate'}_vec{width}({argument}, {name}_c)"


def _polynomial(accumulate: str, first: int, count: int) -> str:
    """Sum coefficients times powers of x: in pairs, so that few wait for each other, then by Horner's rule in x^2."""
    terms = [f"c[{first + n}]" for n in range(count)]
    pairs = [f"{accumulate}({terms[n]}, {terms[n + 1]}, x)" if n + 1 < count else terms[n] for n in range(0, count, 2)]
    text = pairs.pop()
    while pairs:
        text = f"{accumulate}({pairs.pop()}, {text}, square)"
    return text


def _keep(name: str, width: int) -> str:
    values = [c_text.float_literal(int(np.float32(value).view(np.int32))) for value in COEFFICIENTS[name]]
    lines = "".join(f"  c[{n}] = splat_vec{width}(from[{n}]);\n" for n in range(len(values)))
    head = f"static inline void keep_{name}_vec{width}(vec{width} *c) {{\n"
    table = c_text.wrapped("  static const float values[] = {", values)
    return f"""\
{head}{table}}};
  const float *from = values;
  __asm__("" : "+r"(from)); /* else the compiler would load each of them again in every turn */
{lines}}}
"""


def _exp(width: int, kind: str) -> str:
    vec, accumulate = f"vec{width}", f"{kind}_vec{width}"
    polynomial = _polynomial(accumulate, len(_EXP), len(_EXP_POLYNOMIAL))
    return f"""\
/* Below -87.3 the smallest normal float, above 88.7 that of 88.7. 1.5 * 2^23 rounds to whole numbers. */
static inline {vec} exp_{kind}_{vec}({vec} exponent, const {vec} *c) {{
  const {vec} t = limit_min_{vec}(limit_max_{vec}(exponent, c[0]), c[1]);
  const {vec} shifted = {accumulate}(c[2], t, c[3]);
  const {vec} n = subtract_{vec}(shifted, c[2]);
  const {vec} x = {accumulate}({accumulate}(t, n, c[4]), n, c[5]);
  const {vec} square = multiply_{vec}(x, x);
  const {vec} tail = {polynomial};
  const {vec} e = add_{vec}({accumulate}(x, tail, square), c[6]);
  return ({vec})((ints{width})e + ((ints{width})shifted << 23));
}}
"""


def _sigmoid(width: int, kind: str) -> str:
    vec = f"vec{width}"
    return f"""\
static inline {vec} sigmoid_{kind}_{vec}({vec} x, const {vec} *c) {{
  return divide_{vec}(c[6], add_{vec}(exp_{kind}_{vec}(-x, c), c[6]));
}}
"""


def _odd_ratio(name: str, width: int, kind: str, counts: Sequence[int]) -> str:
    """A function x P(x^2) / Q(x^2) between two bounds."""
    vec, accumulate = f"vec{width}", f"{kind}_vec{width}"
    above, below = _polynomial(accumulate, 2, counts[0]), _polynomial(accumulate, 2 + counts[0], counts[1])
    return f"""\
static inline {vec} {name}_{kind}_{vec}({vec} argument, const {vec} *c) {{
  const {vec} t = limit_min_{vec}(limit_max_{vec}(argument, c[0]), c[1]);
  const {vec} x = multiply_{vec}(t, t), square = multiply_{vec}(x, x);
  const {vec} above = {above};
  const {vec} below = {below};
  return divide_{vec}(multiply_{vec}(t, above), below);
}}
"""


def _divide(width: int) -> str:
    return f"""\
static inline vec{width} divide_vec{width}(vec{width} a, vec{width} b) {{
  return a / b;
}}
"""


def _root(width: int) -> str:
    lanes = ", ".join(f"sqrtf(a[{lane}])" for lane in range(width))
    body = f"  return (vec{width}){{{lanes}}};\n"
    if width == 4:
        body = f"#if defined(__aarch64__)\n  return (vec4)vsqrtq_f32(a);\n#else\n{body}#endif\n"
    return f"static inline vec{width} root_vec{width}(vec{width} a) {{\n{body}}}\n"


def _smaller(width: int) -> str:
    body = f"  return (vec{width})(((ints{width})a & (a < b)) | ((ints{width})b & ~(a < b)));\n"
    if width == 4:
        body = f"#if defined(__ARM_NEON)\n  return (vec4)vbslq_f32(vcltq_f32(a, b), a, b);\n#else\n{body}#endif\n"
    head = f"static inline vec{width} smaller_vec{width}(vec{width} a, vec{width} b) {{\n"
    return f"/* The smaller one; b where they are equal. */\n{head}{body}}}\n"


_KEPT_FLOAT = """\
/* A number that the compiler does not know, so that it stays in a register instead of being made anew every turn. */
static inline float kept_float(float value) {
  __asm__("" : "+m"(value));
  return value;
}
"""

_STORE_LOW_BYTES_VEC4 = """\
/* Sixteen int8: the low bytes of the words in four vectors, and `more` added. */
static inline void store_low_bytes_vec4(int8_t *to, vec4 a, vec4 b, vec4 c, vec4 d, int8_t more) {
#if defined(__aarch64__)
  const int8x16_t first = vuzp1q_s8((int8x16_t)a, (int8x16_t)b), second = vuzp1q_s8((int8x16_t)c, (int8x16_t)d);
  vst1q_s8(to, vaddq_s8(vuzp1q_s8(first, second), vdupq_n_s8(more)));
#elif defined(__ARM_NEON)
  const int16x8_t first = vcombine_s16(vmovn_s32((int32x4_t)a), vmovn_s32((int32x4_t)b));
  const int16x8_t second = vcombine_s16(vmovn_s32((int32x4_t)c), vmovn_s32((int32x4_t)d));
  vst1q_s8(to, vaddq_s8(vcombine_s8(vmovn_s16(first), vmovn_s16(second)), vdupq_n_s8(more)));
#elif defined(__SSE2__)
  const __m128i low = _mm_set1_epi32(0xFF);
  const __m128i first = _mm_packs_epi32(_mm_and_si128((__m128i)a, low), _mm_and_si128((__m128i)b, low));
  const __m128i second = _mm_packs_epi32(_mm_and_si128((__m128i)c, low), _mm_and_si128((__m128i)d, low));
  const __m128i bytes = _mm_add_epi8(_mm_packus_epi16(first, second), _mm_set1_epi8(more));
  _mm_storeu_si128((__m128i *)(void *)to, bytes);
#else
  const vec4 words[] = {a, b, c, d};
  for (uint32_t i = 0; i < 16u; ++i) {
    to[i] = (int8_t)(((ints4)words[i / 4u])[i % 4u] + more);
  }
#endif
}
"""


_PACK_COLUMNS = """\
/* `rows` of `length` numbers to columns of `step` ones: number n of row r comes to n * step + r, and zeros behind the
 * last row. The length is a multiple of 4. */
static inline void pack_columns(float *restrict to, const float *restrict from, uint32_t apart, uint32_t rows,
                                uint32_t length, uint32_t step) {
  uint32_t row = 0;
#if defined(__aarch64__)
  for (; row + 4u <= rows; row += 4u) {
    const float *const x = from + row * apart;
    for (uint32_t n = 0; n < length; n += 4u) {
      const float32x4_t a = vld1q_f32(x + n), b = vld1q_f32(x + n + apart);
      const float32x4_t c = vld1q_f32(x + n + 2u * apart), d = vld1q_f32(x + n + 3u * apart);
      const float64x2_t ab0 = (float64x2_t)vtrn1q_f32(a, b), ab1 = (float64x2_t)vtrn2q_f32(a, b);
      const float64x2_t cd0 = (float64x2_t)vtrn1q_f32(c, d), cd1 = (float64x2_t)vtrn2q_f32(c, d);
      float *const y = to + n * step + row;
      vst1q_f32(y, (float32x4_t)vtrn1q_f64(ab0, cd0));
      vst1q_f32(y + step, (float32x4_t)vtrn1q_f64(ab1, cd1));
      vst1q_f32(y + 2u * step, (float32x4_t)vtrn2q_f64(ab0, cd0));
      vst1q_f32(y + 3u * step, (float32x4_t)vtrn2q_f64(ab1, cd1));
    }
  }
#endif
  for (; row < step; ++row) {
    for (uint32_t n = 0; n < length; ++n) {
      to[n * step + row] = row < rows ? from[row * apart + n] : 0.0f;
    }
  }
}
"""


def _store_low_bytes(width: int) -> str:
    """For vectors that are longer than four."""
    names = "ab"[: 16 // width]
    parameters = ", ".join(f"vec{width} {name}" for name in names)
    copies = "".join(f"  memcpy(part + {n * width // 4}, &{name}, sizeof {name});\n" for n, name in enumerate(names))
    head = f"static inline void store_low_bytes_vec{width}(int8_t *to, {parameters}, int8_t more) {{\n"
    return f"{head}  vec4 part[4];\n{copies}  store_low_bytes_vec4(to, part[0], part[1], part[2], part[3], more);\n}}\n"


def _functions() -> dict[str, str]:
    table = {"pack_columns": _PACK_COLUMNS, "kept_float": _KEPT_FLOAT, "store_low_bytes_vec4": _STORE_LOW_BYTES_VEC4}
    for width in WIDTHS:
        table |= {
            f"divide_vec{width}": _divide(width),
            f"root_vec{width}": _root(width),
            f"smaller_vec{width}": _smaller(width),
        }
        if width > 4:
            table[f"store_low_bytes_vec{width}"] = _store_low_bytes(width)
        table |= {f"keep_{name}_vec{width}": _keep(name, width) for name in COEFFICIENTS}
        for kind in ("fused", "separate"):
            table |= {
                f"exp_{kind}_vec{width}": _exp(width, kind),
                f"sigmoid_{kind}_vec{width}": _sigmoid(width, kind),
                f"erf_{kind}_vec{width}": _odd_ratio("erf", width, kind, (len(_ERF_ABOVE), len(_ERF_BELOW))),
                f"tanh_{kind}_vec{width}": _odd_ratio("tanh", width, kind, (len(_TANH_ABOVE), len(_TANH_BELOW))),
            }
    return table


FUNCTIONS = _functions()
"""Name -> definition; a function stands after those that it calls."""


def _type(width: int) -> str:
    return f"typedef int32_t ints{width} __attribute__((vector_size({4 * width})));\n"


def definitions(text: str) -> str:
    """Define the functions of this file and of c_vector that some C text uses, in order."""
    functions = c_text.definitions(FUNCTIONS, text)
    types = "".join(_type(width) for width in WIDTHS if f"ints{width}" in functions)
    return c_vector.definitions(f"{functions}{text}") + types + functions
