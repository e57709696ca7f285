"""Microkernels for Helium, the vector extension of Armv8.1-M (Cortex-M55, M85), as C functions.

Products of a convolution are summed along the bytes that an output pixel sees (c_mve_products), those of a depthwise
one in a lane for every channel (c_mve_lanes); four sums at once are then brought to int8 (c_mve_scaling). Every
function has a definition in plain C too, which gives the same bytes on other processors.

Source of the instructions: Armv8-M Architecture Reference Manual (DDI 0553), C2.4.
"""

from __future__ import annotations

from edgecompress.compile import c_mve_lanes, c_mve_products, c_mve_scaling, c_text

INCLUDE = """\
#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#endif

"""

_COPIES = {
    "mve_copy": """\
/* Copy runs of `count` bytes that lie next to each other to places `step` bytes apart. */
static __attribute__((noinline)) void mve_copy(
    int8_t *to, const int8_t *from, int32_t count, int32_t runs, int32_t step) {
#if defined(__ARM_FEATURE_MVE)
  if (count <= 16) {
    const mve_pred16_t inside = vctp8q((uint32_t)count);
    for (int32_t run = 0; run < runs; ++run) {
      vstrbq_p_s8(to, vldrbq_z_s8(from, inside), inside);
      from += count;
      to += step;
    }
    return;
  }
  for (int32_t run = 0; run < runs; ++run) {
    int8_t *end = to;
    __asm__ volatile(
        "dlstp.8 lr, %[count]\\n"
        "1: vldrb.8 q0, [%[from]], #16\\n"
        "vstrb.8 q0, [%[end]], #16\\n"
        "letp lr, 1b\\n"
        : [from] "+r"(from), [end] "+r"(end)
        : [count] "r"(count)
        : "lr", "q0", "memory");
    from -= -count & 15;
    to += step;
  }
#else
  for (int32_t run = 0; run < runs; ++run) {
    memcpy(to + run * step, from + run * count, (size_t)count);
  }
#endif
}
""",
    "mve_fill": """\
/* Write one value to runs of `count` bytes, `step` bytes apart. */
static __attribute__((noinline)) void mve_fill(int8_t *to, int32_t value, int32_t count, int32_t runs, int32_t step) {
#if defined(__ARM_FEATURE_MVE)
  for (int32_t run = 0; run < runs; ++run) {
    int8_t *end = to;
    __asm__ volatile(
        "vdup.8 q0, %[value]\\n"
        "dlstp.8 lr, %[count]\\n"
        "1: vstrb.8 q0, [%[end]], #16\\n"
        "letp lr, 1b\\n"
        : [end] "+r"(end)
        : [count] "r"(count), [value] "r"(value)
        : "lr", "q0", "memory");
    to += step;
  }
#else
  for (int32_t run = 0; run < runs; ++run) {
    memset(to + run * step, value, (size_t)count);
  }
#endif
}
""",
}

FUNCTIONS = _COPIES | c_mve_scaling.FUNCTIONS | c_mve_products.FUNCTIONS | c_mve_lanes.FUNCTIONS
"""Name -> definition; a function stands after those that it calls."""


def definitions(text: str) -> str:
    """Return the definitions that the functions called in some C text need, in order."""
    needed = c_text.definitions(FUNCTIONS, text)
    return f"{INCLUDE}{needed}" if needed else ""
