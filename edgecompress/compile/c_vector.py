"""Vectors of floats as C, for kernels on cores that have vector registers: every core computes the same bytes.

`vec4` is a vector of four floats, `vec8` and `vec16` are longer ones. A function says exactly what is rounded where:
`fused_vec4` once (IEEE 754 fusedMultiplyAdd), `separate_vec4` after the product and after the sum. Where the core has
an instruction for it that one is named, for the compiler may not form it by itself (-ffp-contract=off, and GCC trusts
NEON on 32-bit Arm with no float at all); elsewhere it is computed number by number, which gives the same bytes.

Numbers are finite. NEON on 32-bit Arm takes denormal numbers for 0 (ARM DDI 0406C, A2.7.5): results below 1.2e-38 may
differ there.
"""

from __future__ import annotations

from edgecompress.compile import c_text

WIDTHS = (4, 8, 16)
_X86_PREFIX = {4: "_mm", 8: "_mm256", 16: "_mm512"}
_X86_MACRO = {4: "__SSE__", 8: "__AVX__", 16: "__AVX512F__"}

_INCLUDES = """\
#if defined(__ARM_NEON)
#include <arm_neon.h>
#elif defined(__x86_64__)
#include <immintrin.h>
#endif
"""


def _type(width: int) -> str:
    return f"""\
typedef float vec{width} __attribute__((vector_size({4 * width})));
typedef float vec{width}_anywhere __attribute__((vector_size({4 * width}), aligned(4)));
"""


def _load(width: int) -> str:
    return f"""\
static inline vec{width} load_vec{width}(const float *from) {{
  return (vec{width})*(const vec{width}_anywhere *)(const void *)from;
}}
"""


def _store(width: int) -> str:
    return f"""\
static inline void store_vec{width}(float *to, vec{width} values) {{
  *(vec{width}_anywhere *)(void *)to = (vec{width}_anywhere)values;
}}
"""


def _load_some(width: int) -> str:
    masked = f"  return (vec{width})_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1u), from);\n"
    copied = f"  vec{width} values = {{0}};\n  memcpy(&values, from, count * sizeof(float));\n  return values;\n"
    head = f"static inline vec{width} load_some_vec{width}(const float *from, uint32_t count) {{\n"
    return f"/* The first `count` numbers, and zeros. */\n{head}{_by_mask(width, masked, copied)}}}\n"


def _store_some(width: int) -> str:
    masked = "  _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1u), (__m512)values);\n"
    copied = "  memcpy(to, &values, count * sizeof(float));\n"
    head = f"static inline void store_some_vec{width}(float *to, vec{width} values, uint32_t count) {{\n"
    return f"{head}{_by_mask(width, masked, copied)}}}\n"


def _by_mask(width: int, masked: str, otherwise: str) -> str:
    """A body for some numbers of a vector: AVX-512 has masks for it."""
    return f"#if defined(__AVX512F__)\n{masked}#else\n{otherwise}#endif\n" if width == 16 else otherwise


def _splat(width: int) -> str:
    zeros = ", ".join(["value"] * width)
    return f"""\
static inline vec{width} splat_vec{width}(float value) {{
  return (vec{width}){{{zeros}}};
}}
"""


def _by_number(width: int, expression: str) -> str:
    return (
        f"  vec{width} result;\n  for (uint32_t i = 0; i < {width}u; ++i) {{\n"
        f"    result[i] = {expression};\n  }}\n  return result;\n"
    )


def _choice(width: int, cases: list[tuple[str, str]], otherwise: str) -> str:
    """The body of a function: by an instruction of the core's own where a macro says that it has one."""
    if width != 4:
        cases = [case for case in cases if "ARM" not in case[0]]
    lines = ""
    for number, (condition, expression) in enumerate(cases):
        lines += f"#{'elif' if number else 'if'} {condition}\n  return (vec{width}){expression};\n"
    return otherwise if not lines else f"{lines}#else\n{otherwise}#endif\n"


def _head(name: str, width: int, parameters: str) -> str:
    typed = ", ".join(f"vec{width} {parameter}" for parameter in parameters.split())
    return f"static inline vec{width} {name}_vec{width}({typed}) {{\n"


def _fused(width: int) -> str:
    prefix = _X86_PREFIX[width]
    has_fma = "defined(__AVX512F__)" if width == 16 else "defined(__FMA__)"
    body = _choice(
        width,
        [
            ("defined(__ARM_NEON) && defined(__ARM_FEATURE_FMA)", "vfmaq_f32(sum, a, b)"),
            (has_fma, f"{prefix}_fmadd_ps(a, b, sum)"),
        ],
        _by_number(width, "__builtin_fmaf(a[i], b[i], sum[i])"),
    )
    return f"/* sum + a * b, rounded once. */\n{_head('fused', width, 'sum a b')}{body}}}\n"


def _separate(width: int) -> str:
    body = _choice(width, [("defined(__ARM_NEON)", "vaddq_f32(sum, vmulq_f32(a, b))")], "  return sum + a * b;\n")
    return f"/* sum + a * b, the product rounded too. */\n{_head('separate', width, 'sum a b')}{body}}}\n"


def _add(width: int) -> str:
    body = _choice(width, [("defined(__ARM_NEON)", "vaddq_f32(a, b)")], "  return a + b;\n")
    return f"{_head('add', width, 'a b')}{body}}}\n"


def _multiply(width: int) -> str:
    body = _choice(width, [("defined(__ARM_NEON)", "vmulq_f32(a, b)")], "  return a * b;\n")
    return f"{_head('multiply', width, 'a b')}{body}}}\n"


def _subtract(width: int) -> str:
    body = _choice(width, [("defined(__ARM_NEON)", "vsubq_f32(a, b)")], "  return a - b;\n")
    return f"{_head('subtract', width, 'a b')}{body}}}\n"


def _limit(order: str, sign: str, width: int) -> str:
    case = [("defined(__ARM_NEON)", f"v{order}q_f32(a, limit)")]
    case += [(f"defined({_X86_MACRO[width]})", f"{_X86_PREFIX[width]}_{order}_ps(a, limit)")]
    body = _choice(width, case, _by_number(width, f"a[i] {sign} limit[i] ? a[i] : limit[i]"))
    comment = "/* Of two zeros either one: `limit` is +0 or no zero. */\n"
    return f"{comment}{_head(f'limit_{order}', width, 'a limit')}{body}}}\n"


def _larger(width: int) -> str:
    """The larger one; of two equal ones, the second, also where one is +0 and the other -0."""
    case = [("defined(__ARM_NEON)", "vbslq_f32(vcgtq_f32(a, b), a, b)")]
    case += [(f"defined({_X86_MACRO[width]})", f"{_X86_PREFIX[width]}_max_ps(a, b)")]
    body = _choice(width, case, _by_number(width, "a[i] > b[i] ? a[i] : b[i]"))
    return f"/* The larger one; b where they are equal. */\n{_head('larger', width, 'a b')}{body}}}\n"


_FUSED_LANE = """\
/* sum + a * (one number of x), rounded once; `lane` is a literal. */
#if defined(__aarch64__)
#define fused_lane_vec4(sum, a, x, lane) ((vec4)vfmaq_laneq_f32(sum, a, x, lane))
#else
#define fused_lane_vec4(sum, a, x, lane) fused_vec4(sum, a, splat_vec4((x)[lane]))
#endif
"""


_COPY = """\
/* Faster than memcpy of a runtime that is built to be small. */
static inline void copy_floats(float *restrict to, const float *restrict from, uint32_t count) {
  for (; count >= 16u; count -= 16u) {
    const vec4 a = load_vec4(from), b = load_vec4(from + 4), c = load_vec4(from + 8), d = load_vec4(from + 12);
    store_vec4(to, a);
    store_vec4(to + 4, b);
    store_vec4(to + 8, c);
    store_vec4(to + 12, d);
    from += 16;
    to += 16;
  }
  for (; count >= 4u; count -= 4u) {
    store_vec4(to, load_vec4(from));
    from += 4;
    to += 4;
  }
  for (; count > 0u; --count) {
    *to++ = *from++;
  }
}
"""

_CLEAR = """\
static inline void clear_floats(float *to, uint32_t count) {
  const vec4 zeros = {0};
  for (; count >= 16u; count -= 16u) {
    store_vec4(to, zeros);
    store_vec4(to + 4, zeros);
    store_vec4(to + 8, zeros);
    store_vec4(to + 12, zeros);
    to += 16;
  }
  for (; count > 0u; --count) {
    *to++ = 0.0f;
  }
}
"""


def _functions() -> dict[str, str]:
    table: dict[str, str] = {}
    for width in WIDTHS:
        table |= {
            f"load_vec{width}": _load(width),
            f"store_vec{width}": _store(width),
            f"load_some_vec{width}": _load_some(width),
            f"store_some_vec{width}": _store_some(width),
            f"splat_vec{width}": _splat(width),
            f"fused_vec{width}": _fused(width),
            f"separate_vec{width}": _separate(width),
            f"add_vec{width}": _add(width),
            f"subtract_vec{width}": _subtract(width),
            f"multiply_vec{width}": _multiply(width),
            f"limit_max_vec{width}": _limit("max", ">", width),
            f"limit_min_vec{width}": _limit("min", "<", width),
            f"larger_vec{width}": _larger(width),
        }
    return {**table, "fused_lane_vec4": _FUSED_LANE, "copy_floats": _COPY, "clear_floats": _CLEAR}


FUNCTIONS = _functions()
"""Name -> definition; a function stands after those that it calls."""


def definitions(text: str) -> str:
    """Define the vector types and functions that some C text uses, in order."""
    functions = c_text.definitions(FUNCTIONS, text)
    types = "".join(_type(width) for width in WIDTHS if f"vec{width}" in functions + text)
    return f"{_INCLUDES}{types}{functions}" if types else ""
