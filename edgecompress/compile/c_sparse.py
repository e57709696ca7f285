"""C functions for sparse layers: weights that are not zero, each with its distance from the one before it.

Columns hold what some output pixels see, the same step of the sum of all pixels side by side: a weight is loaded once
and multiplied with its neighbours' numbers. Pixels stand in pairs of int16, which SMLABB and SMLATB take half by half;
a single pixel is the input itself. The functions with the DSP extension are written in assembler: gcc 12 takes 14
instructions for a weight and four pixels, these ten.
"""

from __future__ import annotations

from itertools import product

from edgecompress.compile import c_dsp, c_text
from edgecompress.compile.c_dsp import Ending

ENDINGS = tuple(Ending(scales_up=up, clamps=clamps) for up, clamps in product((False, True), repeat=2))
PIXELS = (1, 4, 8)
"""How many pixels are multiplied at a time."""
LARGEST_STEP = 255
"""The largest distance of two weights; a zero stands between those that are further apart."""

_SUMS = tuple(f"r{4 + i}" for i in range(8))


def multiply_name(pixels: int, ending: Ending) -> str:
    """The function that multiplies so many columns."""
    return f"sparse_multiply_{pixels}{ending.suffix}"


def definitions(text: str) -> str:
    """Define the functions that the text calls. They call functions of c_dsp."""
    return c_text.definitions(FUNCTIONS, text)


def _spread(pixels: int) -> str:
    four = "".join(f"    column[{i * pixels}] = values[{i}];\n" for i in range(4))
    return f"""\
/* Write a run of values to a column, one of {pixels} that lie side by side. */
static __attribute__((noinline)) void sparse_spread_{pixels}(int16_t *column, const int8_t *values, int32_t count) {{
  for (; count >= 4; count -= 4) {{
{four}    values += 4;
    column += {4 * pixels};
  }}
  for (; count > 0; --count, column += {pixels}) {{
    *column = *values++;
  }}
}}
"""


def _fill(pixels: int) -> str:
    return f"""\
/* Write one value to a run of a column, one of {pixels} that lie side by side. */
static __attribute__((noinline)) void sparse_fill_{pixels}(int16_t *column, int32_t value, int32_t count) {{
  for (; count > 0; --count, column += {pixels}) {{
    *column = (int16_t)value;
  }}
}}
"""


def _multiply(pixels: int, ending: Ending) -> str:
    kind = "int8_t" if pixels == 1 else "int16_t"
    return f"""\
/* Multiply {pixels} column(s) with all output channels; a pixel of the output holds `outputs` bytes. An entry is the
 * distance from the weight before, and the weight. */
#if defined(__ARM_FEATURE_DSP)
__attribute__((naked, noinline))
#else
__attribute__((noinline))
#endif
static void {multiply_name(pixels, ending)}(
    const {kind} *columns, const uint8_t *entries, const uint16_t *counts, const int32_t *table, int8_t *output,
    int32_t outputs, {c_dsp.parameters(ending)}) {{
#if defined(__ARM_FEATURE_DSP)
  __asm__ volatile(
{_assembler(pixels, ending)});
#else
{_plain(pixels, ending)}#endif
}}
"""


def _plain(pixels: int, ending: Ending) -> str:
    kind, step = ("int8_t", "") if pixels == 1 else ("int16_t", f" * {pixels}")
    names = [f"s{i}" for i in range(pixels)]
    sums = "".join(f"      {name} += x[{i}] * weight;\n" for i, name in enumerate(names))
    ends = "".join(
        f"    output[{f'{i} * outputs + ' if i else ''}channel] = "
        f"dsp_requantise({name}, row, rounding, {c_dsp.bounds(ending)});\n"
        for i, name in enumerate(names)
    )
    return f"""\
  for (int32_t channel = 0; channel < outputs; ++channel) {{
    const {kind} *x = columns;
    int32_t {", ".join(f"{name} = 0" for name in names)};
    for (const uint8_t *end = entries + 2 * counts[channel]; entries < end; entries += 2) {{
      const int32_t weight = (int8_t)entries[1];
      x += entries[0]{step};
{sums}    }}
    const int32_t *row = table + channel * 3;
{ends}  }}
"""


def _assembler(pixels: int, ending: Ending) -> str:
    """r0: where the columns are; r1: entries; r4 …: sums. A channel a turn."""
    sums = _SUMS[:pixels]
    return c_dsp.assembler(
        [
            "push {r4-r11, lr}",
            "ldr r12, [sp, #40]",
            # [sp]: columns, counts, table, channels left, entries; [sp, #56]: output, outputs, rounding, bounds
            "sub sp, sp, #20",
            "strd r0, r2, [sp]",
            "strd r3, r12, [sp, #8]",
            "1:",
            "ldr r2, [sp, #4]",
            "ldrh r12, [r2], #2",
            "str r2, [sp, #4]",
            "ldr r0, [sp]",
            *(f"mov {total}, #0" for total in sums),
            *_repeat(_entry(pixels), 4 if pixels == 1 else 2),
            "str r1, [sp, #16]",
            "ldr r0, [sp, #8]",
            "ldmia r0!, {r2, r3, r12}",
            "str r0, [sp, #8]",
            "ldr lr, [sp, #64]",
            *c_dsp.requantise(sums, ("r2", "r3", "r12"), "lr", ("r0", "r1"), ending),
            *(["ldrd r2, r3, [sp, #68]", *c_dsp.clamp(sums, "r2", "r3")] if ending.clamps else []),
            *_store(pixels),
            "ldr r1, [sp, #16]",
            "ldr r2, [sp, #12]",
            "subs r2, r2, #1",
            "str r2, [sp, #12]",
            "bne 1b",
            "add sp, sp, #20",
            "pop {r4-r11, pc}",
        ]
    )


def _entry(pixels: int) -> list[str]:
    """Multiply a weight with its number in each column. r2, lr: two pixels each; r3: the weight."""
    if pixels == 1:
        return ["ldrb r2, [r1], #1", "ldrsb r3, [r1], #1", "add r0, r0, r2", "ldrsb r2, [r0]", "mla r4, r2, r3, r4"]
    lines = ["ldrb r2, [r1], #1", "ldrsb r3, [r1], #1", f"add r0, r0, r2, lsl #{pixels.bit_length()}"]
    for first in range(0, pixels, 4):
        a, b, c, d = _SUMS[first : first + 4]
        lines += [
            f"ldrd r2, lr, [r0, #{2 * first}]",
            f"smlabb {a}, r2, r3, {a}",
            f"smlatb {b}, r2, r3, {b}",
            f"smlabb {c}, lr, r3, {c}",
            f"smlatb {d}, lr, r3, {d}",
        ]
    return lines


def _repeat(entry: list[str], turns: int) -> list[str]:
    """Do r12 entries, `turns` in a turn of the loop: before it one if the number is odd, two if half of it is."""
    lines = ["lsrs r12, r12, #1", "bcc 2f", *entry, "2:"]
    if turns == 4:
        lines += ["lsrs r12, r12, #1", "bcc 3f", *entry, *entry, "3:"]
    return [*lines, "cmp r12, #0", "beq 5f", "4:", *(entry * turns), "subs r12, r12, #1", "bne 4b", "5:"]


def _store(pixels: int) -> list[str]:
    """Write a channel of every pixel, `outputs` bytes apart."""
    lines = ["ldrd r0, r2, [sp, #56]", "strb r4, [r0]"]
    if pixels > 1:
        lines += ["strb r5, [r0, r2]", "strb r6, [r0, r2, lsl #1]", "add r3, r2, r2, lsl #1", "strb r7, [r0, r3]"]
    if pixels == 8:
        lines += ["strb r8, [r0, r2, lsl #2]", "strb r10, [r0, r3, lsl #1]", "add r3, r2, r2, lsl #2"]
        lines += ["strb r9, [r0, r3]", "rsb r3, r2, r2, lsl #3", "strb r11, [r0, r3]"]
    return [*lines, "add r0, r0, #1", "str r0, [sp, #56]"]


FUNCTIONS = {
    **{f"sparse_spread_{pixels}": _spread(pixels) for pixels in PIXELS[1:]},
    **{f"sparse_fill_{pixels}": _fill(pixels) for pixels in PIXELS[1:]},
    **{multiply_name(pixels, ending): _multiply(pixels, ending) for pixels in PIXELS for ending in ENDINGS},
}
"""Name -> definition."""
