"""How the Helium microkernels (c_mve) bring sums to int8's scale, four at once: in C, and in assembler.

VQRDMULH is gemmlowp's high multiplication. VRSHL rounds halves up; it becomes gemmlowp's division, which rounds them
away from zero, when 1 is taken from what is negative.
"""

from __future__ import annotations

from collections.abc import Mapping

UP = "_up"
"""Ends the names of the functions whose multipliers may be 1/2 and more."""

_SCALE = [
    "vqrdmulh.s32 q0, q0, %q[multiplier]",
    "vshr.s32 q1, q0, #31",
    "vadd.i32 q0, q0, q1",
    "vrshl.s32 q0, q0, %q[shift]",
]
"""mve_scale in assembler."""

_SCALE_UP = [
    "vmov.i32 q2, #0",
    "vmax.s32 q1, q2, %q[shift]",
    "vshl.s32 q0, q0, q1",
    "vqrdmulh.s32 q0, q0, %q[multiplier]",
    "vmin.s32 q2, q2, %q[shift]",
    "vand q1, q0, q2",
    "vshr.s32 q1, q1, #31",
    "vadd.i32 q0, q0, q1",
    "vrshl.s32 q0, q0, q2",
]
"""mve_scale_up in assembler."""

FUNCTIONS = {
    "mve_scale": """\
#if defined(__ARM_FEATURE_MVE)
/* Q0.31 product, then a division by 2^-shift, each rounded as gemmlowp does; `shift` is -1 or less. */
static inline int32x4_t mve_scale(int32x4_t sums, int32x4_t multiplier, int32x4_t shift) {
  const int32x4_t product = vqrdmulhq_s32(sums, multiplier);
  return vrshlq_s32(vaddq_s32(product, vshrq_n_s32(product, 31)), shift);
}
#else
static inline int32_t mve_scale(int32_t sum, int32_t multiplier, int32_t shift) {
  const int64_t product = ((int64_t)sum * multiplier + ((int64_t)1 << 30)) >> 31;
  return (int32_t)((product - (product < 0) + ((int64_t)1 << (-shift - 1))) >> -shift);
}
#endif
""",
    "mve_scale_up": """\
#if defined(__ARM_FEATURE_MVE)
/* The same for shifts of either sign: to the left first of all, to the right with the second rounding. */
static inline int32x4_t mve_scale_up(int32x4_t sums, int32x4_t multiplier, int32x4_t shift) {
  const int32x4_t none = vdupq_n_s32(0);
  const int32x4_t product = vqrdmulhq_s32(vshlq_s32(sums, vmaxq_s32(shift, none)), multiplier);
  const int32x4_t right = vminq_s32(shift, none);
  return vrshlq_s32(vaddq_s32(product, vshrq_n_s32(vandq_s32(product, right), 31)), right);
}
#else
static inline int32_t mve_scale_up(int32_t sum, int32_t multiplier, int32_t shift) {
  if (shift < 0) return mve_scale(sum, multiplier, shift);
  return (int32_t)(((int64_t)(sum * (1 << shift)) * multiplier + ((int64_t)1 << 30)) >> 31);
}
#endif
""",
}
"""Name -> definition."""


def both_ways(templates: Mapping[str, str]) -> dict[str, str]:
    """Define functions for either way of scaling: @UP@ ends its functions' names, @SCALE_Q0@ is its assembler."""
    return {
        f"{name}{UP if up else ''}": _fill_in(text, up=up) for name, text in templates.items() for up in (False, True)
    }


def _fill_in(template: str, *, up: bool) -> str:
    lines = "".join(f'          "{line}\\n"\n' for line in (_SCALE_UP if up else _SCALE))
    return template.replace("@SCALE_Q0@", lines).replace("@UP@", UP if up else "")
