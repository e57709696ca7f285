"""Microkernels that multiply a column of bytes with packed int8 weights on ARMv6-M (Cortex-M0, M0+).

Thumb has eight registers to compute in, a product of 32 bits that overwrites a factor, and loads of bytes at a fixed
offset only without a sign. So everything is a byte without a sign, 128 too large: activations u in the column, weights
v in packed order. Four channels share each load of the column; a product is LDRB, MULS, ADDS:

    sum(x * w) = sum(u * v) - 128 * sum(u) - 128 * sum(w)

The first word of a column is sum(u), kept while the column is written; 128 * sum(w) is part of the table's bias.
A group is four steps of the sum; what a last group has to spare is multiplied with v = 0.

Every function has a definition in plain C too, which gives the same bytes on other processors.
Source of the instructions: ARMv6-M Architecture Reference Manual (DDI 0419), A6.7.
"""

from __future__ import annotations

from itertools import product

from edgecompress.compile import c_dsp, c_text
from edgecompress.compile.c_dsp import Ending

GROUP = 4
"""Steps of the sum that lie together; a step is a byte of each of four channels."""

CHANNELS = 4
"""Output channels that share each load of the column."""

ENDINGS = tuple(Ending(scales_up=up, clamps=clamps) for up, clamps in product((False, True), repeat=2))

ROW_BYTES = 12
_GROUPS_A_TURN = 4
_LARGEST_OFFSET = 32
_STACKED = 48
"""Bytes between the stack pointer and the fifth argument."""


def _groups(count: int) -> list[str]:
    """Add some groups to r0-r3. r4: column, r5: weights, which moves on; r6, r7: a weight, an activation."""
    lines: list[str] = []
    for step in range(count * GROUP):
        lines.append(f"ldrb r7, [r4, #{step}]")
        for channel in range(CHANNELS):
            offset = (step * CHANNELS + channel) % _LARGEST_OFFSET
            lines += [f"ldrb r6, [r5, #{offset}]", "muls r6, r7", f"adds r{channel}, r6"]
        at = (step + 1) * CHANNELS
        if at % _LARGEST_OFFSET == 0 or step + 1 == count * GROUP:
            lines.append(f"adds r5, #{at % _LARGEST_OFFSET or _LARGEST_OFFSET}")
    return lines


def _requantise(channel: int, ending: Ending) -> list[str]:
    """Bring the total of a channel to int8, as thumb_requantise does. r4: the rows of the tile; r5-r7 are spare.

    The product of 32 by 32 bits is made of halves, the total's lower half with a sign; `asrs` leaves the bit that
    rounds in the carry. A shift by a register takes its lowest byte.
    """
    total, row = f"r{channel}", channel * ROW_BYTES
    before = [f"ldrh r5, [r4, #{row + 8}]", "lsrs r5, r5, #8", f"lsls {total}, r5"] if ending.scales_up else []
    after = [f"ldrh r5, [r4, #{row + 10}]", "lsls r7, r5"] if ending.scales_up else []
    return [
        *before,
        f"sxth r5, {total}",
        f"subs {total}, {total}, r5",
        f"asrs {total}, {total}, #16",
        f"ldrh r6, [r4, #{row + 4}]",
        "movs r7, r6",
        "muls r7, r5",
        "asrs r7, r7, #16",
        f"muls r6, {total}",
        "adds r7, r6",
        f"ldrh r6, [r4, #{row + 6}]",
        "muls r5, r6",
        "adds r7, r5",
        f"muls {total}, r6",
        "asrs r7, r7, #15",
        f"adcs r7, {total}",
        f"adds r7, {total}",
        *after,
        "asrs r5, r7, #31",
        "adds r7, r5",
        f"ldrh r6, [r4, #{row + 8}]",
        "asrs r7, r6",
        "add r7, ip",
        f"asrs {total}, r7, #1",
        *_limit(total, ending),
    ]


def _limit(total: str, ending: Ending) -> list[str]:
    if not ending.clamps:
        return [
            f"sxtb r5, {total}",
            f"cmp r5, {total}",
            "beq 7f",
            f"asrs {total}, {total}, #31",
            "movs r5, #127",
            f"eors {total}, r5",
            "7:",
        ]
    return [
        f"ldr r5, [sp, #{_STACKED + 12}]",
        f"cmp {total}, r5",
        "bge 7f",
        f"movs {total}, r5",
        "7:",
        f"ldr r5, [sp, #{_STACKED + 16}]",
        f"cmp {total}, r5",
        "ble 7f",
        f"movs {total}, r5",
        "7:",
    ]


def _begin() -> list[str]:
    """Lay out the registers; [sp]: where the last tile's output is, [sp, #4]: -128 * sum(u), [sp, #8]: weights."""
    return [
        "push {r4-r7, lr}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {r4-r7}",
        "sub sp, #12",
        "mov r9, r2",
        "mov r10, r3",
        "str r1, [sp, #8]",
        f"ldr r4, [sp, #{_STACKED + 4}]",
        "adds r3, r3, r4",
        "subs r3, #4",
        "str r3, [sp]",
        "ldm r0!, {r6}",
        "lsls r6, r6, #7",
        "rsbs r6, r6, #0",
        "str r6, [sp, #4]",
        "mov r8, r0",
        f"ldr r6, [sp, #{_STACKED}]",
        "lsls r6, r6, #2",
        "adds r7, r0, r6",
        "mov lr, r7",
        "movs r7, #12",
        "ands r6, r7",
        "adds r6, r0, r6",
        "mov r11, r6",
        f"ldr r6, [sp, #{_STACKED + 8}]",
        "mov ip, r6",
    ]


def _multiply(ending: Ending) -> list[str]:
    """r8: column, r9: rows of the tile, r10: its output, r11: end of the single groups, lr: of all, ip: rounding."""
    return [
        ".syntax unified",
        *_begin(),
        "1:",
        "mov r4, r9",
        "ldr r6, [sp, #4]",
        *(f"ldr r{channel}, [r4, #{channel * ROW_BYTES}]" for channel in range(CHANNELS)),
        *(f"adds r{channel}, r6" for channel in range(CHANNELS)),
        "ldr r5, [sp, #8]",
        "mov r4, r8",
        "cmp r4, r11",
        "beq 3f",
        "2:",
        *_groups(1),
        f"adds r4, #{GROUP}",
        "cmp r4, r11",
        "bne 2b",
        "3:",
        "cmp r4, lr",
        "bne 4f",
        "b 5f",  # further than a condition reaches
        "4:",
        *_groups(_GROUPS_A_TURN),
        f"adds r4, #{_GROUPS_A_TURN * GROUP}",
        "cmp r4, lr",
        "beq 5f",
        "b 4b",
        "5:",
        "str r5, [sp, #8]",
        "mov r4, r9",
        *(line for channel in range(CHANNELS) for line in _requantise(channel, ending)),
        f"adds r4, #{CHANNELS * ROW_BYTES}",
        "mov r9, r4",
        "mov r4, r10",
        *(f"strb r{channel}, [r4, #{channel}]" for channel in range(CHANNELS)),
        "ldr r6, [sp]",
        "cmp r4, r6",
        "beq 6f",
        f"adds r4, #{CHANNELS}",
        "cmp r4, r6",
        "bls 7f",
        "movs r4, r6",  # the last tile computes channels of the one before it again
        "7:",
        "mov r10, r4",
        "b 1b",
        "6:",
        "add sp, #12",
        "pop {r4-r7}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {r4-r7, pc}",
    ]


def _definition(ending: Ending) -> str:
    return f"""\
/* Multiply a column with all output channels: at least four, and a last tile of four that overlaps the one before. */
#if defined(__ARM_ARCH_6M__)
__attribute__((naked, noinline))
#endif
static void {multiply_name(ending)}(
    const int32_t *column, const uint8_t *weights, const int32_t *table, int8_t *output, int32_t groups,
    int32_t outputs, {c_dsp.parameters(ending)}) {{
#if defined(__ARM_ARCH_6M__)
  __asm__ volatile(
{c_dsp.assembler(_multiply(ending))});
#else
  const uint8_t *u = (const uint8_t *)(column + 1);
  for (int32_t tile = 0; tile * 4 < outputs; ++tile) {{
    const int32_t first = tile * 4 + 4 <= outputs ? tile * 4 : outputs - 4;
    for (int32_t channel = 0; channel < 4; ++channel) {{
      uint32_t sum = 0u - 128u * (uint32_t)column[0];
      for (int32_t i = 0; i < groups * 4; ++i) {{
        sum += (uint32_t)u[i] * weights[(tile * groups * 4 + i) * 4 + channel];
      }}
      output[first + channel] =
          thumb_requantise(sum, table + (tile * 4 + channel) * 3, rounding, {c_dsp.bounds(ending)});
    }}
  }}
#endif
}}
"""


def multiply_name(ending: Ending) -> str:
    """The function that multiplies a column."""
    return f"thumb_multiply{ending.suffix}"


FUNCTIONS: dict[str, str] = {
    "thumb_gather": """\
/* Write a run of values to a column from its byte `first`, each 128 larger, and add them to the column's sum. */
static __attribute__((noinline)) void thumb_gather(
    int32_t *column, int32_t first, const int8_t *values, int32_t count) {
  uint8_t *to = (uint8_t *)(column + 1) + first;
  const uint8_t *from = (const uint8_t *)values;
  const uint8_t *const end = from + count;
  uint32_t sum = (uint32_t)column[0];
  if ((((uintptr_t)to | (uintptr_t)from | (uintptr_t)count) & 3u) == 0u) {
    while (from < end) {
      /* The lanes of 16 bits hold the sums of 128 words. */
      const uint8_t *const pause = end - from > 512 ? from + 512 : end;
      uint32_t lanes = 0;
      do {
        uint32_t word;
        memcpy(&word, __builtin_assume_aligned(from, 4), sizeof word);
        word ^= 0x80808080u;
        memcpy(__builtin_assume_aligned(to, 4), &word, sizeof word);
        lanes += (word & 0x00ff00ffu) + (word >> 8 & 0x00ff00ffu);
        from += 4;
        to += 4;
      } while (from < pause);
      sum += (lanes & 0xffffu) + (lanes >> 16);
    }
  }
  for (; from < end; ++from, ++to) {
    const uint32_t value = *from ^ 0x80u;
    *to = (uint8_t)value;
    sum += value;
  }
  column[0] = (int32_t)sum;
}
""",
    "thumb_fill": """\
/* Write one value to a run of a column. */
static __attribute__((noinline)) void thumb_fill(int32_t *column, int32_t first, int32_t value, int32_t count) {
  uint8_t *const to = (uint8_t *)(column + 1) + first;
  for (int32_t i = 0; i < count; ++i) {
    to[i] = (uint8_t)(value + 128);
  }
  column[0] += (value + 128) * count;
}
""",
    "thumb_requantise": """\
/* A sum times a Q0.31 multiplier times a power of two, rounded twice as gemmlowp does. The table's row holds the bias,
 * the multiplier, and bytes of shifts: to the right less 1, to the left before the product and after it; `rounding` is
 * twice the zero point and 1. */
static inline int8_t thumb_requantise(
    uint32_t sum, const int32_t *row, int32_t rounding, int32_t low, int32_t high) {
  const int64_t total = (int32_t)(sum + (uint32_t)row[0]) * (1 << (row[2] >> 8 & 31));
  const int32_t product = (int32_t)((total * row[1] + (1 << 30)) >> 31) * (1 << (row[2] >> 16));
  const int32_t scaled = (((product + (product >> 31)) >> (row[2] & 31)) + rounding) >> 1;
  return (int8_t)(scaled < low ? low : scaled > high ? high : scaled);
}
""",
} | {multiply_name(ending): _definition(ending) for ending in ENDINGS}
"""Name -> definition; a function stands after those that it calls."""


def definitions(text: str) -> str:
    """Return the definitions that the functions called in some C text need, in order."""
    return c_text.definitions(FUNCTIONS, text)
