"""Microkernels for Helium, the vector extension of Armv8.1-M (Cortex-M55, M85), as C functions.

A sum of products runs along the bytes that one output pixel sees: VMLADAVA multiplies sixteen pairs of int8 and adds
them all to one register, and DLSTP … LETP leaves out the lanes past the end, so that no length needs padding. What
follows a sum is done for four at once: VQRDMULH is gemmlowp's high multiplication, and VRSHL, which rounds halves up,
becomes a division that rounds them away from zero when 1 is taken from what is negative. A depthwise convolution has
a channel in every lane.

Lengths that do not divide by the number of lanes or pixels at a time end with a step that overlaps the one before it.
Every function has a definition in plain C too, which gives the same bytes on other processors.

Source of the instructions: Armv8-M Architecture Reference Manual (DDI 0553), C2.4.
"""

from __future__ import annotations

from edgecompress.compile import c_text

LANES = 16
"""int8 values of a vector register."""

INCLUDE = """\
#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#endif

"""

_ROW_PARAMETERS = (
    "const int8_t *x, const int8_t *weights, const int32_t *table, int8_t *output,\n"
    "    int32_t step, int32_t pixels, int32_t taps, int32_t outputs, int32_t zero, int32_t low, int32_t high"
)

_ADD = """\
/* Add `count` elements: both at one scale with 19 more bits, half of what they stand for (addition.py). */
static __attribute__((noinline)) void @NAME@(
    const int8_t *first, const int8_t *second, int8_t *output, int32_t count, int32_t first_zero, int32_t second_zero,
    @SCALING@int32_t multiplier, int32_t shift_less_1, int32_t twice_zero_plus_1, int32_t low, int32_t high) {
  const int32_t zero = (twice_zero_plus_1 - 1) / 2;
#if defined(__ARM_FEATURE_MVE)
  const int32x4_t lows = vdupq_n_s32(low);
  const int32x4_t highs = vdupq_n_s32(high);
  for (int32_t left = count; left > 0; left -= 4) {
    const mve_pred16_t inside = vctp32q((uint32_t)left);
    const int32x4_t a = vldrbq_z_s32(first, inside);
    const int32x4_t b = vldrbq_z_s32(second, inside);
    @VECTORS@
    const int32x4_t sum = mve_scale(both, vdupq_n_s32(multiplier), vdupq_n_s32(-shift_less_1 - 1));
    vstrbq_p_s32(output, vminq_s32(vmaxq_s32(vaddq_n_s32(sum, zero), lows), highs), inside);
    first += 4;
    second += 4;
    output += 4;
  }
#else
  for (int32_t i = 0; i < count; ++i) {
    const int32_t a = (first[i] - first_zero) * 0x80000;
    const int32_t b = second[i] - second_zero;
    const int32_t sum = mve_scale(a + @NUMBERS@, multiplier, -shift_less_1 - 1) + zero;
    output[i] = (int8_t)(sum < low ? low : sum > high ? high : sum);
  }
#endif
}
"""

FUNCTIONS = {
    "mve_copy": """\
/* Copy runs of `count` bytes that lie next to each other to places `step` bytes apart. */
static __attribute__((noinline)) void mve_copy(
    int8_t *to, const int8_t *from, int32_t count, int32_t runs, int32_t step) {
#if defined(__ARM_FEATURE_MVE)
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
    "mve_multiply_plain": """\
#if !defined(__ARM_FEATURE_MVE)
/* The definition of the two functions below: a row of pixels, `step` bytes apart, times all output channels. */
static void mve_multiply_plain(
    @ROW_PARAMETERS@) {
  for (int32_t i = 0; i < pixels * outputs; ++i) {
    const int32_t channel = i % outputs;
    int32_t sum = table[channel];
    for (int32_t tap = 0; tap < taps; ++tap) {
      sum += x[i / outputs * step + tap] * weights[channel * taps + tap];
    }
    const int32_t scaled = mve_scale(sum, table[outputs + channel], table[2 * outputs + channel]) + zero;
    output[i] = (int8_t)(scaled < low ? low : scaled > high ? high : scaled);
  }
}
#endif
""",
    "mve_multiply_row": """\
/* A row of at least two pixels, `step` bytes apart, times at least two channels: two by two. */
static __attribute__((noinline)) void mve_multiply_row(
    @ROW_PARAMETERS@) {
#if defined(__ARM_FEATURE_MVE)
  const uint32x4_t columns = {0, 1, 0, 1};
  const uint32x4_t places = {0, 1, (uint32_t)outputs, (uint32_t)outputs + 1};
  const int32x4_t lows = vdupq_n_s32(low);
  const int32x4_t highs = vdupq_n_s32(high);
  for (int32_t next = 0; next < outputs; next += 2) {
    const int32_t channel = next <= outputs - 2 ? next : outputs - 2;
    const int8_t *rows = weights + channel * taps;
    const int32x4_t multiplier = vldrwq_gather_shifted_offset_s32(table + outputs + channel, columns);
    const int32x4_t shift = vldrwq_gather_shifted_offset_s32(table + 2 * outputs + channel, columns);
    const int8_t *pixel = x;
    const int8_t *end = x + (pixels & -2) * step;
    int8_t *to = output + channel;
    for (;;) {
      /* What the assembler wants beside its registers: bias, weights, zero point and stride of the output, end. */
      const int32_t constants[] = {
          table[channel], table[channel + 1], (int32_t)rows, (int32_t)(rows + taps), zero, 2 * outputs, (int32_t)end};
      int32_t a, b, c, d;
      const int8_t *x0, *x1, *w0, *w1;
      __asm__ volatile(
          "1: ldrd %[a], %[b], [%[constants]]\\n"
          "ldrd %[c], %[d], [%[constants]]\\n"
          "ldrd %[w0], %[w1], [%[constants], #8]\\n"
          "mov %[x0], %[pixel]\\n"
          "add %[x1], %[pixel], %[step]\\n"
          "dlstp.8 lr, %[taps]\\n"
          "2: vldrb.8 q0, [%[x0]], #16\\n"
          "vldrb.8 q1, [%[w0]], #16\\n"
          "vmladava.s8 %[a], q0, q1\\n"
          "vldrb.8 q2, [%[x1]], #16\\n"
          "vmladava.s8 %[c], q2, q1\\n"
          "vldrb.8 q1, [%[w1]], #16\\n"
          "vmladava.s8 %[b], q0, q1\\n"
          "vmladava.s8 %[d], q2, q1\\n"
          "letp lr, 2b\\n"
          "vmov q0[2], q0[0], %[a], %[c]\\n"
          "vmov q0[3], q0[1], %[b], %[d]\\n"
          "ldrd %[a], %[b], [%[constants], #16]\\n"
          "ldr %[c], [%[constants], #24]\\n"
          "vqrdmulh.s32 q0, q0, %q[multiplier]\\n"
          "add %[pixel], %[pixel], %[step], lsl #1\\n"
          "vshr.s32 q1, q0, #31\\n"
          "vadd.i32 q0, q0, q1\\n"
          "vrshl.s32 q0, q0, %q[shift]\\n"
          "vadd.i32 q0, q0, %[a]\\n"
          "vmax.s32 q0, q0, %q[lows]\\n"
          "vmin.s32 q0, q0, %q[highs]\\n"
          "vstrb.32 q0, [%[to], %q[places]]\\n"
          "add %[to], %[to], %[b]\\n"
          "cmp %[pixel], %[c]\\n"
          "bne 1b\\n"
          : [a] "=&Te"(a), [b] "=&Te"(b), [c] "=&Te"(c), [d] "=&Te"(d), [x0] "=&r"(x0), [x1] "=&r"(x1),
            [w0] "=&r"(w0), [w1] "=&r"(w1), [pixel] "+r"(pixel), [to] "+r"(to)
          : [constants] "r"(constants), [step] "r"(step), [taps] "r"(taps), [multiplier] "w"(multiplier),
            [shift] "w"(shift), [lows] "w"(lows), [highs] "w"(highs), [places] "w"(places)
          : "lr", "q0", "q1", "q2", "cc", "memory");
      if (end == x + pixels * step) break;
      end += step;
      pixel -= step;
      to -= outputs;
    }
  }
#else
  mve_multiply_plain(x, weights, table, output, step, pixels, taps, outputs, zero, low, high);
#endif
}
""",
    "mve_multiply_pixels": """\
/* Pixels, `step` bytes apart, times at least four channels: one by four. */
static __attribute__((noinline)) void mve_multiply_pixels(
    @ROW_PARAMETERS@) {
#if defined(__ARM_FEATURE_MVE)
  const int32x4_t lows = vdupq_n_s32(low);
  const int32x4_t highs = vdupq_n_s32(high);
  for (int32_t pixel = 0; pixel < pixels; ++pixel) {
    for (int32_t next = 0; next < outputs; next += 4) {
      const int32_t channel = next <= outputs - 4 ? next : outputs - 4;
      const int32_t *row = table + channel;
      int32_t a = row[0], b = row[1], c = row[2], d = row[3];
      const int8_t *taken = x;
      const int8_t *w0 = weights + channel * taps, *w1 = w0 + taps, *w2 = w1 + taps, *w3 = w2 + taps;
      int32x4_t sums;
      __asm__ volatile(
          "dlstp.8 lr, %[taps]\\n"
          "1: vldrb.8 q0, [%[x]], #16\\n"
          "vldrb.8 q1, [%[w0]], #16\\n"
          "vmladava.s8 %[a], q0, q1\\n"
          "vldrb.8 q1, [%[w1]], #16\\n"
          "vmladava.s8 %[b], q0, q1\\n"
          "vldrb.8 q1, [%[w2]], #16\\n"
          "vmladava.s8 %[c], q0, q1\\n"
          "vldrb.8 q1, [%[w3]], #16\\n"
          "vmladava.s8 %[d], q0, q1\\n"
          "letp lr, 1b\\n"
          "vmov %q[sums][2], %q[sums][0], %[a], %[c]\\n"
          "vmov %q[sums][3], %q[sums][1], %[b], %[d]\\n"
          : [a] "+Te"(a), [b] "+Te"(b), [c] "+Te"(c), [d] "+Te"(d), [x] "+r"(taken), [w0] "+r"(w0), [w1] "+r"(w1),
            [w2] "+r"(w2), [w3] "+r"(w3), [sums] "=w"(sums)
          : [taps] "r"(taps)
          : "lr", "q0", "q1", "memory");
      sums = mve_scale(sums, vldrwq_s32(row + outputs), vldrwq_s32(row + 2 * outputs));
      sums = vminq_s32(vmaxq_s32(vaddq_n_s32(sums, zero), lows), highs);
      vstrbq_s32(output + channel, sums);
    }
    x += step;
    output += outputs;
  }
#else
  mve_multiply_plain(x, weights, table, output, step, pixels, taps, outputs, zero, low, high);
#endif
}
""",
    "mve_depthwise": """\
/* A row of pixels of a depthwise convolution, sixteen channels at a time; fewer than that are one block.
 * The taps come in pairs, `offsets` bytes from x: two products fit an int16. Even and odd lanes are summed apart, so a
 * block's table holds channels 0 4 8 12, 2 6 10 14, 1 5 9 13, 3 7 11 15; sixteen biases, multipliers, shifts. */
static __attribute__((noinline)) void mve_depthwise(
    const int8_t *x, const int8_t *weights, const int32_t *table, const int32_t *offsets, int8_t *output,
    int32_t x_step, int32_t output_step, int32_t pixels, int32_t pairs, int32_t channels, int32_t zero, int32_t low,
    int32_t high) {
  const int32_t lanes = channels < 16 ? channels : 16;
  for (int32_t next = 0; next < channels; next += 16) {
    const int32_t first = next <= channels - lanes ? next : channels - lanes;
    for (int32_t pixel = 0; pixel < pixels; ++pixel) {
      const int8_t *from = x + pixel * x_step + first;
      int8_t *to = output + pixel * output_step + first;
#if defined(__ARM_FEATURE_MVE)
      int32x4_t a = vldrwq_s32(table), b = vldrwq_s32(table + 4);
      int32x4_t c = vldrwq_s32(table + 8), d = vldrwq_s32(table + 12);
      const int8_t *w = weights, *x0, *x1;
      const int32_t *tap = offsets;
      __asm__ volatile(
          "dls lr, %[pairs]\\n"
          "1: ldrd %[x0], %[x1], [%[tap]], #8\\n"
          "add %[x0], %[x0], %[from]\\n"
          "vldrb.8 q0, [%[x0]]\\n"
          "vldrb.8 q1, [%[w]], #16\\n"
          "vmullb.s8 q2, q0, q1\\n"
          "add %[x1], %[x1], %[from]\\n"
          "vmullt.s8 q3, q0, q1\\n"
          "vldrb.8 q0, [%[x1]]\\n"
          "vldrb.8 q1, [%[w]]\\n"
          "vmullb.s8 q1, q0, q1\\n"
          "vadd.i16 q2, q2, q1\\n"
          "vldrb.8 q1, [%[w]], #16\\n"
          "vmullt.s8 q0, q0, q1\\n"
          "vmovlb.s16 q1, q2\\n"
          "vadd.i16 q3, q3, q0\\n"
          "vadd.i32 %q[a], %q[a], q1\\n"
          "vmovlt.s16 q0, q2\\n"
          "vadd.i32 %q[b], %q[b], q0\\n"
          "vmovlb.s16 q1, q3\\n"
          "vadd.i32 %q[c], %q[c], q1\\n"
          "vmovlt.s16 q0, q3\\n"
          "vadd.i32 %q[d], %q[d], q0\\n"
          "le lr, 1b\\n"
          : [a] "+w"(a), [b] "+w"(b), [c] "+w"(c), [d] "+w"(d), [w] "+r"(w), [tap] "+r"(tap), [x0] "=&r"(x0),
            [x1] "=&r"(x1)
          : [from] "r"(from), [pairs] "r"(pairs)
          : "lr", "q0", "q1", "q2", "q3", "memory");
      a = mve_scale(a, vldrwq_s32(table + 16), vldrwq_s32(table + 32));
      b = mve_scale(b, vldrwq_s32(table + 20), vldrwq_s32(table + 36));
      c = mve_scale(c, vldrwq_s32(table + 24), vldrwq_s32(table + 40));
      d = mve_scale(d, vldrwq_s32(table + 28), vldrwq_s32(table + 44));
      const int16x8_t none = vdupq_n_s16(0);
      const int16x8_t even = vqaddq_n_s16(vqmovntq_s32(vqmovnbq_s32(none, a), b), (int16_t)zero);
      const int16x8_t odd = vqaddq_n_s16(vqmovntq_s32(vqmovnbq_s32(none, c), d), (int16_t)zero);
      const int8x16_t all = vqmovntq_s16(vqmovnbq_s16(vdupq_n_s8(0), even), odd);
      const int8x16_t bounded = vminq_s8(vmaxq_s8(all, vdupq_n_s8((int8_t)low)), vdupq_n_s8((int8_t)high));
      vstrbq_p_s8(to, bounded, vctp8q((uint32_t)lanes));
#else
      for (int32_t lane = 0; lane < lanes; ++lane) {
        const int32_t *row = table + ((lane & 1) * 2 + (lane >> 1 & 1)) * 4 + lane / 4;
        int32_t sum = row[0];
        for (int32_t tap = 0; tap < 2 * pairs; ++tap) {
          sum += from[offsets[tap] + lane] * weights[tap * 16 + lane];
        }
        const int32_t scaled = mve_scale(sum, row[16], row[32]) + zero;
        to[lane] = (int8_t)(scaled < low ? low : scaled > high ? high : scaled);
      }
#endif
    }
    weights += pairs * 32;
    table += 48;
  }
}
""",
    "mve_add": _ADD.replace("@NAME@", "mve_add")
    .replace("@SCALING@", "int32_t second_multiplier, int32_t second_shift_less_1, ")
    .replace(
        "@VECTORS@",
        """const int32x4_t large = vshlq_n_s32(vsubq_n_s32(b, second_zero), 20);
    const int32x4_t scaled = mve_scale(large, vdupq_n_s32(second_multiplier), vdupq_n_s32(-second_shift_less_1 - 1));
    const int32x4_t both = vaddq_s32(vshlq_n_s32(vsubq_n_s32(a, first_zero), 19), scaled);""",
    )
    .replace("@NUMBERS@", "mve_scale(b * 0x100000, second_multiplier, -second_shift_less_1 - 1)"),
    "mve_add_one_scale": _ADD.replace("@NAME@", "mve_add_one_scale")
    .replace("@SCALING@", "")
    .replace(
        "@VECTORS@",
        "const int32x4_t both = vshlq_n_s32(vsubq_n_s32(vaddq_s32(a, b), first_zero + second_zero), 19);",
    )
    .replace("@NUMBERS@", "b * 0x80000"),
}
"""Name -> definition; a function stands after those that it calls."""

FUNCTIONS = {name: text.replace("@ROW_PARAMETERS@", _ROW_PARAMETERS) for name, text in FUNCTIONS.items()}


def definitions(text: str) -> str:
    """Return the definitions that the functions called in some C text need, in order."""
    needed = c_text.definitions(FUNCTIONS, text)
    return f"{INCLUDE}{needed}" if needed else ""
