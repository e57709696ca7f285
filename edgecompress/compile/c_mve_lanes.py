"""Microkernels for Helium (c_mve) with a channel, or an element, in every lane."""

from __future__ import annotations

from edgecompress.compile import c_mve_scaling

LANES = 16
"""int8 values of a vector register."""

_DEPTHWISE = {
    "mve_depthwise": """\
/* A row of pixels of a depthwise convolution, sixteen channels at a time; fewer than that are one block.
 * The taps, `offsets` bytes from x, are taken in pairs: two products fit an int16. Even and odd lanes are summed apart,
 * so a block's table holds channels 0 4 8 12, 2 6 10 14, 1 5 9 13, 3 7 11 15; sixteen biases, multipliers, shifts. */
static __attribute__((noinline)) void mve_depthwise@UP@(
    const int8_t *x, const int8_t *weights, const int32_t *table, const int32_t *offsets, int8_t *output,
    int32_t x_step, int32_t output_step, int32_t pixels, int32_t taps, int32_t channels, int32_t zero, int32_t low,
    int32_t high) {
  const int32_t lanes = channels < 16 ? channels : 16;
#if defined(__ARM_FEATURE_MVE)
  const int32_t clamps = low > -128 || high < 127;
#endif
  for (int32_t next = 0; next < channels; next += 16) {
    const int32_t first = next <= channels - lanes ? next : channels - lanes;
    for (int32_t pixel = 0; pixel < pixels; ++pixel) {
      const int8_t *from = x + pixel * x_step + first;
      int8_t *to = output + pixel * output_step + first;
#if defined(__ARM_FEATURE_MVE)
      const int32_t *row = table;
      __asm__("" : "+r"(row)); /* one address with offsets, rather than twelve */
      int32x4_t a = vldrwq_s32(row), b = vldrwq_s32(row + 4), c = vldrwq_s32(row + 8), d = vldrwq_s32(row + 12);
      const int8_t *w = weights, *x0, *x1;
      const int32_t *tap = offsets;
      __asm__ volatile(
          "wls lr, %[pairs], 2f\\n"
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
          "2: lsls %[x1], %[taps], #31\\n"
          "beq 3f\\n" /* no tap is left over */
          "ldr %[x0], [%[tap]]\\n"
          "add %[x0], %[x0], %[from]\\n"
          "vldrb.8 q0, [%[x0]]\\n"
          "vldrb.8 q1, [%[w]]\\n"
          "vmullb.s8 q2, q0, q1\\n"
          "vmullt.s8 q3, q0, q1\\n"
          "vmovlb.s16 q0, q2\\n"
          "vadd.i32 %q[a], %q[a], q0\\n"
          "vmovlt.s16 q1, q2\\n"
          "vadd.i32 %q[b], %q[b], q1\\n"
          "vmovlb.s16 q0, q3\\n"
          "vadd.i32 %q[c], %q[c], q0\\n"
          "vmovlt.s16 q1, q3\\n"
          "vadd.i32 %q[d], %q[d], q1\\n"
          "3:\\n"
          : [a] "+w"(a), [b] "+w"(b), [c] "+w"(c), [d] "+w"(d), [w] "+r"(w), [tap] "+r"(tap), [x0] "=&r"(x0),
            [x1] "=&r"(x1)
          : [from] "r"(from), [pairs] "r"(taps / 2), [taps] "r"(taps)
          : "lr", "q0", "q1", "q2", "q3", "cc", "memory");
      a = mve_scale@UP@(a, vldrwq_s32(row + 16), vldrwq_s32(row + 32));
      b = mve_scale@UP@(b, vldrwq_s32(row + 20), vldrwq_s32(row + 36));
      c = mve_scale@UP@(c, vldrwq_s32(row + 24), vldrwq_s32(row + 40));
      d = mve_scale@UP@(d, vldrwq_s32(row + 28), vldrwq_s32(row + 44));
      int16x8_t even = vqmovntq_s32(vqmovnbq_s32(vreinterpretq_s16_s32(a), a), b);
      int16x8_t odd = vqmovntq_s32(vqmovnbq_s32(vreinterpretq_s16_s32(c), c), d);
      even = vqaddq_n_s16(even, (int16_t)zero);
      odd = vqaddq_n_s16(odd, (int16_t)zero);
      int8x16_t all = vqmovntq_s16(vqmovnbq_s16(vreinterpretq_s8_s16(even), even), odd);
      if (clamps) {
        all = vminq_s8(vmaxq_s8(all, vdupq_n_s8((int8_t)low)), vdupq_n_s8((int8_t)high));
      }
      vstrbq_p_s8(to, all, vctp8q((uint32_t)lanes));
#else
      for (int32_t lane = 0; lane < lanes; ++lane) {
        const int32_t *row = table + ((lane & 1) * 2 + (lane >> 1 & 1)) * 4 + lane / 4;
        int32_t sum = row[0];
        for (int32_t tap = 0; tap < taps; ++tap) {
          sum += from[offsets[tap] + lane] * weights[tap * 16 + lane];
        }
        const int32_t scaled = mve_scale@UP@(sum, row[16], row[32]) + zero;
        to[lane] = (int8_t)(scaled < low ? low : scaled > high ? high : scaled);
      }
#endif
    }
    weights += taps * 16;
    table += 48;
  }
}
""",
}

FUNCTIONS = c_mve_scaling.both_ways(_DEPTHWISE) | {
    "mve_add": """\
/* Add `count` elements: both at one scale with 19 more bits, half of what they stand for (addition.py). */
static __attribute__((noinline)) void mve_add(
    const int8_t *first, const int8_t *second, int8_t *output, int32_t count, int32_t first_zero, int32_t second_zero,
    int32_t second_multiplier, int32_t second_shift_less_1, int32_t multiplier, int32_t shift_less_1,
    int32_t twice_zero_plus_1, int32_t low, int32_t high) {
  const int32_t zero = (twice_zero_plus_1 - 1) / 2;
#if defined(__ARM_FEATURE_MVE)
  const int32x4_t lows = vdupq_n_s32(low);
  const int32x4_t highs = vdupq_n_s32(high);
  for (int32_t left = count; left > 0; left -= 4) {
    const mve_pred16_t inside = vctp32q((uint32_t)left);
    const int32x4_t a = vldrbq_z_s32(first, inside);
    const int32x4_t b = vldrbq_z_s32(second, inside);
    const int32x4_t large = vshlq_n_s32(vsubq_n_s32(b, second_zero), 20);
    const int32x4_t scaled = mve_scale(large, vdupq_n_s32(second_multiplier), vdupq_n_s32(-second_shift_less_1 - 1));
    const int32x4_t both = vaddq_s32(vshlq_n_s32(vsubq_n_s32(a, first_zero), 19), scaled);
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
    const int32_t scaled = mve_scale(b * 0x100000, second_multiplier, -second_shift_less_1 - 1);
    const int32_t sum = mve_scale(a + scaled, multiplier, -shift_less_1 - 1) + zero;
    output[i] = (int8_t)(sum < low ? low : sum > high ? high : sum);
  }
#endif
}
""",
}
"""Name -> definition."""
