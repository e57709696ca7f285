"""Float to int8 and back as C, on the vectors of c_x86: the bytes of kernels/elementwise.py.

A division takes a core as long as everything else together, so x / s is a fused x * high + x * low, where high + low is
nearly 1 / s: before it is rounded, this sum is off by 2^-47 at most. The next integer is that of the quotient when both
lie on the same side of each half k / 2, k odd. float32 puts there what lies on the same side of a midpoint between that
half and the next float: M / 2^e, where M = k * 2^j - 1 or k * 2^j + 1 has 25 bits. For int8, k has 9 at most, so that j
is 16 and more.

Let X and S be the 24 bits of x and s. From that midpoint x / s differs relatively by |X * 2^t - M * S| / (M * S), where
t is above 16 and M * S below 2^49. The numerator is not 0, for the odd part of M * S is above 2^24, and it is S or -S
modulo 2^16. So it is at least 2^16 where S is a multiple of 2^16, and 9 where S is not within 8 of one: 9 / 2^49 is
more than 2^-46, and what the sum is off does not matter. For the other 2,048 values of S, every number next to a half
is tried (tests/pipeline/test_kernels_x86_quantize.py).
"""

from __future__ import annotations

from edgecompress.compile.c_x86_isa import HAS, PREFIX, register

LANES = (8, 16)
"""Words of a register: AVX2, AVX-512."""
MOST_PLANES = 4


def pixels(lanes: int, planes: int) -> int:
    """How many pixels of so many planes a register of bytes takes: a lane of four bytes has one of 3 or 4 planes."""
    return lanes * (4 // planes)


_QUANTIZER = """\
/* What numbers are quantized by: limited to `most`, far beyond int8, and multiplied by `high` + `low`, the inverse of
 * the scale; where that would overflow or underflow, they are divided first, and multiplied by 1. */
typedef struct {
  float scale, high, low, most;
  int32_t zero;
  uint32_t divides;
} quantizer;

static inline quantizer quantizer_of(int32_t scale_bits, int32_t zero) {
  quantizer by = {0.0f, 1.0f, 0.0f, 1024.0f, zero, 1u};
  memcpy(&by.scale, &scale_bits, sizeof by.scale);
#if defined(__FMA__)
  if (by.scale > 0x1p-60f && by.scale < 0x1p60f) {
    by.high = 1.0f / by.scale;
    by.low = __builtin_fmaf(-by.high, by.scale, 1.0f) / by.scale;
    by.most = 1024.0f * by.scale;
    by.divides = 0u;
  }
#endif
  return by;
}
"""


def _quantized(lanes: int) -> str:
    prefix, m = PREFIX[lanes], register(lanes).replace("i", "")
    return f"""\
/* Floats as int32 that saturate to the right int8. NaN is the most, as in the generic kernel. */
VECTORS{lanes} words{lanes} quantized{lanes}(const float *from, const quantizer *by) {{
#if {HAS[lanes]} && defined(__FMA__)
  {m} x = {prefix}_loadu_ps(from);
  if (by->divides) {{
    x = {prefix}_div_ps(x, {prefix}_set1_ps(by->scale));
  }}
  x = {prefix}_max_ps({prefix}_min_ps(x, {prefix}_set1_ps(by->most)), {prefix}_set1_ps(-by->most));
  x = {prefix}_fmadd_ps(x, {prefix}_set1_ps(by->high), {prefix}_mul_ps(x, {prefix}_set1_ps(by->low)));
  return (words{lanes}){prefix}_cvtps_epi32(x) + by->zero;
#else
  words{lanes} result;
  for (uint32_t i = 0; i < {lanes}u; ++i) {{
    const float real = from[i] / by->scale, below = real < 1024.0f ? real : 1024.0f;
    const float rounded = (below > -1024.0f ? below : -1024.0f) + 0x1.8p+23f;
    int32_t bits;
    memcpy(&bits, &rounded, sizeof bits);
    result[i] = bits - 0x4b400000 + by->zero;
  }}
  return result;
#endif
}}
"""


def _dequantize(lanes: int) -> str:
    prefix, m = PREFIX[lanes], register(lanes)
    return f"""\
/* Int8 less the zero point, by the scale. */
VECTORS{lanes} void dequantize{lanes}(float *to, const int8_t *from, int32_t scale_bits, int32_t zero) {{
#if {HAS[lanes]}
  const {m.replace("i", "")} scale = {prefix}_castsi{32 * lanes}_ps({prefix}_set1_epi32(scale_bits));
  const {m} numbers = ({m})(widen_words{lanes}(from) - zero);
  {prefix}_storeu_ps(to, {prefix}_mul_ps({prefix}_cvtepi32_ps(numbers), scale));
#else
  float scale;
  memcpy(&scale, &scale_bits, sizeof scale);
  for (uint32_t i = 0; i < {lanes}u; ++i) {{
    to[i] = (float)(from[i] - zero) * scale;
  }}
#endif
}}
"""


def _weave(lanes: int, planes: int) -> str:
    count, size = pixels(lanes, planes), 4 * lanes
    return f"""\
/* The int8 of {planes} planes side by side, saturated; vectors v and v + {planes} are of the same plane. */
VECTORS{lanes} void weave_{planes}_planes{lanes}(int8_t *to, const words{lanes} *vectors) {{
  const bytes{size} bytes = narrow_4_words{lanes}({", ".join(f"vectors[{v}]" for v in _vectors(planes))});
#if {HAS[lanes]}
{_shuffles(lanes, planes)}\
#else
  for (uint32_t i = 0; i < {count * planes}u; ++i) {{
    const uint32_t pixel = i / {planes}u % {lanes}u, vector = i / {planes * lanes}u * {planes}u + i % {planes}u;
    to[i] = bytes[pixel / 4u * 16u + 4u * vector + pixel % 4u];
  }}
#endif
}}
"""


def _vectors(planes: int) -> tuple[int, ...]:
    """What is narrowed together; the last of three planes twice, for want of another."""
    return (0, 1, 2, 2) if planes == 3 else (0, 1, 2, 3)


def _shuffles(lanes: int, planes: int) -> str:
    """Bring the bytes of 16 together, then their words across them, and store what is not left over."""
    m, prefix, chunks, groups = register(lanes), PREFIX[lanes], lanes // 4, 4 // planes
    places = [4 * (group * planes + v) + i for group in range(groups) for i in range(4) for v in range(planes)]
    places += range(len(places), 16)
    words = [
        4 * chunk + group * planes + i for group in range(groups) for chunk in range(chunks) for i in range(planes)
    ]
    words += sorted(set(range(lanes)) - set(words))
    repeat = "_mm512_broadcast_i32x4" if lanes == 16 else "_mm256_broadcastsi128_si256"
    lines = [
        f"const {m} places = {repeat}(_mm_setr_epi8({', '.join(map(str, places))}));",
        f"const {m} near = {prefix}_shuffle_epi8(({m})bytes, places);",
    ]
    if words == list(range(lanes)):
        lines.append(f"const {m} woven = near;")
    elif lanes == 16:
        lines.append(f"const {m} words = _mm512_setr_epi32({', '.join(map(str, words))});")
        lines.append(f"const {m} woven = _mm512_permutexvar_epi32(words, near);")
    else:
        lines.append(f"const {m} words = _mm256_setr_epi32({', '.join(map(str, words))});")
        lines.append(f"const {m} woven = _mm256_permutevar8x32_epi32(near, words);")
    return "".join(f"  {line}\n" for line in [*lines, *_stores(lanes, planes)])


def _stores(lanes: int, planes: int) -> list[str]:
    if planes != 3:
        return [f"write_words{lanes}(to, (words{lanes})woven);"]
    if lanes == 16:
        return [
            "_mm256_storeu_si256((void *)to, _mm512_castsi512_si256(woven));",
            "_mm_storeu_si128((void *)(to + 32), _mm512_extracti32x4_epi32(woven, 2));",
        ]
    return [
        "_mm_storeu_si128((void *)to, _mm256_castsi256_si128(woven));",
        "_mm_storel_epi64((void *)(to + 16), _mm256_extracti128_si256(woven, 1));",
    ]


def functions(lanes: int) -> dict[str, str]:
    """Name -> definition, for registers of so many words; they call functions of c_x86_elements and c_x86_rounding."""
    return {
        f"quantized{lanes}": _quantized(lanes),
        f"dequantize{lanes}": _dequantize(lanes),
        **{f"weave_{planes}_planes{lanes}": _weave(lanes, planes) for planes in range(2, MOST_PLANES + 1)},
    }


FUNCTIONS = {"quantizer_of": _QUANTIZER} | {name: text for lanes in LANES for name, text in functions(lanes).items()}
"""Name -> definition; a function stands after those that it calls."""
