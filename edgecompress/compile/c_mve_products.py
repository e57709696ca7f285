"""Microkernels for Helium (c_mve): pixels times output channels, by sums that run along a vector.

VMLADAVA multiplies sixteen pairs of int8 and adds them all to one register. DLSTP … LETP leaves out the lanes past the
end, so that neither pixels nor weights need padding. Rows of pixels or channels that do not divide by how many are done
at a time end with a step that overlaps the one before it.
"""

from __future__ import annotations

from edgecompress.compile import c_mve_scaling

_PARAMETERS = (
    "const int8_t *x, const int8_t *weights, const int32_t *table, int8_t *output,\n"
    "    int32_t step, int32_t pixels, int32_t taps, int32_t outputs, int32_t zero, int32_t low, int32_t high"
)

_TEMPLATES = {
    "mve_multiply_plain": """\
#if !defined(__ARM_FEATURE_MVE)
/* The definition of the two functions below: a row of pixels, `step` bytes apart, times all output channels. */
static void mve_multiply_plain@UP@(
    @ROW_PARAMETERS@) {
  for (int32_t i = 0; i < pixels * outputs; ++i) {
    const int32_t channel = i % outputs;
    int32_t sum = table[channel];
    for (int32_t tap = 0; tap < taps; ++tap) {
      sum += x[i / outputs * step + tap] * weights[channel * taps + tap];
    }
    const int32_t scaled = mve_scale@UP@(sum, table[outputs + channel], table[2 * outputs + channel]) + zero;
    output[i] = (int8_t)(scaled < low ? low : scaled > high ? high : scaled);
  }
}
#endif
""",
    "mve_multiply_row": """\
/* A row of at least two pixels, `step` bytes apart, times at least two channels: two by two. */
static __attribute__((noinline)) void mve_multiply_row@UP@(
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
          "add %[pixel], %[pixel], %[step], lsl #1\\n"
@SCALE_Q0@          "vadd.i32 q0, q0, %[a]\\n"
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
  mve_multiply_plain@UP@(x, weights, table, output, step, pixels, taps, outputs, zero, low, high);
#endif
}
""",
    "mve_multiply_pixels": """\
/* Pixels, `step` bytes apart, times at least four channels: one by four. */
static __attribute__((noinline)) void mve_multiply_pixels@UP@(
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
      sums = mve_scale@UP@(sums, vldrwq_s32(row + outputs), vldrwq_s32(row + 2 * outputs));
      sums = vminq_s32(vmaxq_s32(vaddq_n_s32(sums, zero), lows), highs);
      vstrbq_s32(output + channel, sums);
    }
    x += step;
    output += outputs;
  }
#else
  mve_multiply_plain@UP@(x, weights, table, output, step, pixels, taps, outputs, zero, low, high);
#endif
}
""",
}

_SHORT = """\
/* A row of pixels, `step` bytes apart, times at least four channels, of at most sixteen taps: four channels' weights
 * stay in registers. */
static __attribute__((noinline)) void mve_multiply_short(
    @ROW_PARAMETERS@) {
#if defined(__ARM_FEATURE_MVE)
  const mve_pred16_t inside = vctp8q((uint32_t)taps);
  for (int32_t next = 0; next < outputs; next += 4) {
    const int32_t channel = next <= outputs - 4 ? next : outputs - 4;
    const int32_t *row = table + channel;
    const int8_t *w = weights + channel * taps;
    const int8x16_t w0 = vldrbq_z_s8(w, inside), w1 = vldrbq_z_s8(w + taps, inside);
    const int8x16_t w2 = vldrbq_z_s8(w + 2 * taps, inside), w3 = vldrbq_z_s8(w + 3 * taps, inside);
    const int32x4_t multiplier = vldrwq_s32(row + outputs), shift = vldrwq_s32(row + 2 * outputs);
    const int32_t constants[] = {row[0], row[1], row[2], row[3], low,  low,  low,
                                 low,    high,   high,   high,   high, taps, pixels};
    const int8_t *pixel = x;
    int8_t *to = output + channel;
    int32_t a, b, c, d;
    __asm__ volatile(
        "ldrd %[a], %[b], [%[constants], #48]\\n"
        "vctp.8 %[a]\\n" /* as in `inside`: GCC may think that P0 stays as it is */
        "dls lr, %[b]\\n"
        "1: ldrd %[a], %[b], [%[constants]]\\n"
        "ldrd %[c], %[d], [%[constants], #8]\\n"
        "vpst\\n"
        "vldrbt.8 q0, [%[pixel]]\\n"
        "vmladava.s8 %[a], q0, %q[w0]\\n"
        "add %[pixel], %[pixel], %[step]\\n"
        "vmladava.s8 %[b], q0, %q[w1]\\n"
        "vmladava.s8 %[c], q0, %q[w2]\\n"
        "vmladava.s8 %[d], q0, %q[w3]\\n"
        "vmov q0[2], q0[0], %[a], %[c]\\n"
        "vmov q0[3], q0[1], %[b], %[d]\\n"
        "vqrdmulh.s32 q0, q0, %q[multiplier]\\n"
        "vshr.s32 q1, q0, #31\\n"
        "vadd.i32 q0, q0, q1\\n"
        "vldrw.32 q1, [%[constants], #16]\\n"
        "vrshl.s32 q0, q0, %q[shift]\\n"
        "vadd.i32 q0, q0, %[zero]\\n"
        "vmax.s32 q0, q0, q1\\n"
        "vldrw.32 q1, [%[constants], #32]\\n"
        "vmin.s32 q0, q0, q1\\n"
        "vstrb.32 q0, [%[to]]\\n"
        "add %[to], %[to], %[outputs]\\n"
        "le lr, 1b\\n"
        : [a] "=&Te"(a), [b] "=&Te"(b), [c] "=&Te"(c), [d] "=&Te"(d), [pixel] "+r"(pixel), [to] "+r"(to)
        : [constants] "r"(constants), [step] "r"(step), [outputs] "r"(outputs), [zero] "r"(zero), [w0] "w"(w0),
          [w1] "w"(w1), [w2] "w"(w2), [w3] "w"(w3), [multiplier] "w"(multiplier), [shift] "w"(shift)
        : "lr", "q0", "q1", "memory");
  }
#else
  mve_multiply_plain(x, weights, table, output, step, pixels, taps, outputs, zero, low, high);
#endif
}
"""

FUNCTIONS = c_mve_scaling.both_ways(_TEMPLATES) | {"mve_multiply_short": _SHORT}
FUNCTIONS = {name: text.replace("@ROW_PARAMETERS@", _PARAMETERS) for name, text in FUNCTIONS.items()}
"""Name -> definition; a function stands after those that it calls."""
