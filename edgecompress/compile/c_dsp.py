"""Microkernels for the DSP extension of ARMv7E-M and ARMv8-M (Cortex-M4, M7, M33), as C functions.

SMLAD multiplies two pairs of int16 and adds both products. Activations are widened to int16 once ("columns"); weights
stay int8 and are packed for two output channels at a time, so that one SXTB16 serves four of them:

    a halfword of packed weights is 256 * second + first, as an int16; its low byte alone is `first`
    sum(x * first) comes of the sign-extended low bytes, sum(x * (256 * second + first)) of the halfwords as they are
    sum(x * second) is an arithmetic shift of their difference, exact while it fits 24 bits

A group is four steps of the sum; in words, the steps 0 and 2, then 1 and 3, as SXTB16 leaves them. Every function has a
definition in plain C too, which gives the same bytes on other processors.

Source of the instructions: Arm Cortex-M4 Devices Generic User Guide (DUI 0553), 3.5 to 3.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from edgecompress.compile import c_text

GROUP = 4
"""Steps of the sum that lie together in columns and packed weights."""

EXACT_BITS = 23
"""The second channel's sum must be below 2**EXACT_BITS in magnitude."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How sums become int8.

    `scales_up`: some factor is 1/2 or more. `shared`: all channels have one factor, a parameter, and the table holds
    biases only. `clamps`: to less than int8 holds.
    """

    scales_up: bool = False
    shared: bool = False
    clamps: bool = False

    @property
    def suffix(self) -> str:
        """What it adds to a name."""
        words = {"up": self.scales_up, "shared": self.shared, "clamped": self.clamps}
        return "".join(f"_{word}" for word, holds in words.items() if holds)

    @property
    def scalars(self) -> tuple[str, ...]:
        """The parameters that end a microkernel's list."""
        factor = ("multiplier", "shifts") if self.shared else ()
        return ("rounding", *factor, *(("low", "high") if self.clamps else ()))

    @property
    def columns(self) -> int:
        """Words of the table for each channel."""
        return 1 if self.shared else 3

    @property
    def row(self) -> str:
        """The row of `channel` in C."""
        return "(const int32_t[]){table[channel], multiplier, shifts}" if self.shared else "table + channel * 3"


ENDINGS = tuple(
    Ending(scales_up=up, shared=shared, clamps=clamps) for up, shared, clamps in product((False, True), repeat=3)
)


def assembler(lines: Sequence[str]) -> str:
    """A function body that is all assembler: lines of it as C strings."""
    return "\n".join(f'      "{line}\\n"' for line in lines)


def requantise(
    totals: Sequence[str],
    row: Sequence[str],
    rounding: str,
    spare: Sequence[str],
    ending: Ending,
    *,
    high: bool = False,
) -> list[str]:
    """Bring sums of one channel to int8, as dsp_requantise does, on registers. `row` is bias, multiplier, shifts.

    `high` sums stand eight bits too high.
    """
    bias, multiplier, shifts = row
    before, after = spare
    lines = [f"lsr {before}, {shifts}, #8", f"lsr {after}, {shifts}, #16"] if ending.scales_up else []
    for total in totals:
        lines += [
            f"add {total}, {bias}, {total}, {'asr #7' if high else 'lsl #1'}",
            *([f"lsl {total}, {total}, {before}"] if ending.scales_up else []),
            f"smmulr {total}, {total}, {multiplier}",
            *([f"lsl {total}, {total}, {after}"] if ending.scales_up else []),
            f"add {total}, {total}, {total}, asr #31",
            f"asr {total}, {total}, {shifts}",
            f"add {total}, {total}, {rounding}",
            f"ssat {total}, #8, {total}, asr #1",
        ]
    return lines


def clamp(totals: Sequence[str], low: str, high: str) -> list[str]:
    """Limit int8 values to what a fused activation leaves."""
    lines: list[str] = []
    for total in totals:
        lines += [f"cmp {total}, {low}", "it lt", f"movlt {total}, {low}"]
        lines += [f"cmp {total}, {high}", "it gt", f"movgt {total}, {high}"]
    return lines


def _repeat_groups(group: list[str], groups: str) -> list[str]:
    """Loop over the groups of a sum, four a turn; `groups` is where their number lies. r2 counts."""
    return [
        f"ldr r2, {groups}",
        "ands r2, r2, #3",
        "beq 3f",
        "2:",
        *group,
        "subs r2, r2, #1",
        "bne 2b",
        "3:",
        f"ldr r2, {groups}",
        "lsrs r2, r2, #2",
        "beq 5f",
        "4:",
        *(group * 4),
        "subs r2, r2, #1",
        "bne 4b",
        "5:",
    ]


def _rows(ending: Ending, factor: str) -> tuple[tuple[Sequence[str], Sequence[str]], list[str]]:
    """The registers of two rows of the table, and how they are loaded; `factor` is where a shared one lies."""
    if ending.shared:
        return (("r7", "r8", "r9"), ("r10", "r8", "r9")), ["ldrd r7, r10, [r0], #8", f"ldrd r8, r9, {factor}"]
    return (("r7", "r8", "r9"), ("r10", "r11", "r12")), ["ldmia r0!, {r7-r12}"]


def _clamp_all(ending: Ending, parameters: int) -> list[str]:
    """Limit all four results; `parameters` is where on the stack what follows `rounding` begins."""
    if not ending.clamps:
        return []
    return [f"ldrd r7, r8, [sp, #{parameters + 8 * ending.shared}]", *clamp(["r3", "r4", "r5", "r6"], "r7", "r8")]


def _multiply_two(ending: Ending) -> str:
    """Two pixels times two channels a turn. r3, r5: the pixels' sums of the first channel; r4, r6: of both."""
    group = [
        "ldmia r0!, {r7-r10}",  # steps 0 and 2, 1 and 3 of a pixel, then of the other
        "ldrd r11, r12, [r1], #8",
        "sxtb16 lr, r11",
        "smlad r3, r7, lr, r3",
        "smlad r5, r9, lr, r5",
        "smlad r4, r7, r11, r4",
        "smlad r6, r9, r11, r6",
        "sxtb16 lr, r12",
        "smlad r3, r8, lr, r3",
        "smlad r5, r10, lr, r5",
        "smlad r4, r8, r12, r4",
        "smlad r6, r10, r12, r6",
    ]
    (first, second), load = _rows(ending, "[sp, #64]")
    return assembler(
        [
            "push {r4-r11, lr}",
            "ldr r4, [sp, #40]",
            "add r4, r3, r4",
            "push {r0, r2-r4}",  # [sp]: columns, table, both pixels' outputs; [sp, #52]: groups, outputs, rounding
            "1:",
            "ldr r0, [sp]",
            *(f"mov r{register}, #0" for register in range(3, 7)),
            *_repeat_groups(group, "[sp, #52]"),
            "ldr r0, [sp, #4]",
            *load,
            "str r0, [sp, #4]",
            "ldr lr, [sp, #60]",
            "sub r4, r4, r3",
            "sub r6, r6, r5",
            *requantise(["r3", "r5"], first, "lr", ["r0", "r2"], ending),
            *requantise(["r4", "r6"], second, "lr", ["r0", "r2"], ending, high=True),
            *(
                [f"ldrd r7, r8, [sp, #{72 if ending.shared else 64}]", *clamp(["r3", "r4", "r5", "r6"], "r7", "r8")]
                if ending.clamps
                else []
            ),
            "ldrd r0, r2, [sp, #8]",
            "ldr r7, [sp, #56]",
            "subs r7, r7, #2",
            "str r7, [sp, #56]",
            "strb r3, [r0], #1",
            "strb r5, [r2], #1",
            "blt 6f",  # the last channel stands alone
            "strb r4, [r0], #1",
            "strb r6, [r2], #1",
            "strd r0, r2, [sp, #8]",
            "bgt 1b",
            "6:",
            "add sp, sp, #16",
            "pop {r4-r11, pc}",
        ]
    )


def _multiply_one(ending: Ending) -> str:
    """One pixel times four channels a turn. r3, r5: sums of channels 0 and 2; r4, r6: of 0 and 1, of 2 and 3."""
    group = [
        "ldrd r7, r8, [r0], #8",
        "ldmia r1!, {r9-r12}",
        "sxtb16 lr, r9",
        "smlad r3, r7, lr, r3",
        "smlad r4, r7, r9, r4",
        "sxtb16 lr, r10",
        "smlad r5, r7, lr, r5",
        "smlad r6, r7, r10, r6",
        "sxtb16 lr, r11",
        "smlad r3, r8, lr, r3",
        "smlad r4, r8, r11, r4",
        "sxtb16 lr, r12",
        "smlad r5, r8, lr, r5",
        "smlad r6, r8, r12, r6",
    ]
    (first, second), load = _rows(ending, "[sp, #60]")
    return assembler(
        [
            "push {r4-r11, lr}",
            "push {r0, r2, r3}",  # [sp]: columns, table, output; [sp, #48]: groups, outputs, rounding
            "1:",
            "ldr r0, [sp]",
            *(f"mov r{register}, #0" for register in range(3, 7)),
            *_repeat_groups(group, "[sp, #48]"),
            "ldr lr, [sp, #56]",
            "sub r4, r4, r3",
            "sub r6, r6, r5",
            "ldr r0, [sp, #4]",
            *load,
            "str r0, [sp, #4]",
            *requantise(["r3"], first, "lr", ["r0", "r2"], ending),
            *requantise(["r4"], second, "lr", ["r0", "r2"], ending, high=True),
            "ldr r0, [sp, #4]",
            *load,
            "str r0, [sp, #4]",
            *requantise(["r5"], first, "lr", ["r0", "r2"], ending),
            *requantise(["r6"], second, "lr", ["r0", "r2"], ending, high=True),
            *(
                [f"ldrd r7, r8, [sp, #{68 if ending.shared else 60}]", *clamp(["r3", "r4", "r5", "r6"], "r7", "r8")]
                if ending.clamps
                else []
            ),
            "ldr r0, [sp, #8]",
            "ldr r7, [sp, #52]",
            "strb r3, [r0], #1",
            "cmp r7, #2",
            "it ge",
            "strbge r4, [r0], #1",
            "cmp r7, #3",
            "it ge",
            "strbge r5, [r0], #1",
            "cmp r7, #4",
            "it ge",
            "strbge r6, [r0], #1",
            "str r0, [sp, #8]",
            "subs r7, r7, #4",
            "str r7, [sp, #52]",
            "bgt 1b",
            "add sp, sp, #12",
            "pop {r4-r11, pc}",
        ]
    )


_PLAIN_MULTIPLY = """\
  const int16_t *x = (const int16_t *)columns;
  const int16_t *w = (const int16_t *)weights;
  for (int32_t channel = 0; channel < outputs; ++channel) {{
    for (int32_t pixel = 0; pixel < {pixels}; ++pixel) {{
      int32_t sum = 0;
      for (int32_t i = 0; i < groups * 4; ++i) {{
        const int32_t both = w[{weight}];
        const int32_t first = (int8_t)both;
        sum += x[i / 4 * {pixels} * 4 + pixel * 4 + i % 4] * (channel % 2 == 0 ? first : (both - first) / 256);
      }}
      output[pixel * outputs + channel] = dsp_requantise(sum, {row}, rounding, {bounds});
    }}
  }}
"""

_PIXELS = {
    "one": (1, _multiply_one, "(channel / 4 * groups + i / 4) * 8 + i % 4 / 2 * 4 + channel % 4 / 2 * 2 + i % 2"),
    "two": (2, _multiply_two, "channel / 2 * groups * 4 + i"),
}


def _multiply(count: str, ending: Ending) -> str:
    pixels, body, weight = _PIXELS[count]
    return f"""\
/* Multiply {count} column(s) with all output channels; a pixel of the output holds `outputs` bytes. */
#if defined(__ARM_FEATURE_DSP)
__attribute__((naked, noinline))
#endif
static void {multiply_name(pixels, ending)}(
    const int32_t *columns, const int8_t *weights, const int32_t *table, int8_t *output, int32_t groups,
    int32_t outputs, {parameters(ending)}) {{
#if defined(__ARM_FEATURE_DSP)
  __asm__ volatile(
{body(ending)});
#else
{_PLAIN_MULTIPLY.format(pixels=pixels, weight=weight, row=ending.row, bounds=bounds(ending))}#endif
}}
"""


def multiply_name(pixels: int, ending: Ending) -> str:
    """The function that multiplies one column or two."""
    return f"dsp_multiply_{('one', 'two')[pixels - 1]}{ending.suffix}"


def parameters(ending: Ending) -> str:
    """Declare what ends a microkernel's list of parameters."""
    return ", ".join(f"int32_t {name}" for name in ending.scalars)


def bounds(ending: Ending) -> str:
    """The least and the largest result, in C."""
    return "low, high" if ending.clamps else "-128, 127"


FUNCTIONS = {
    "dsp_load": """\
/* Four bytes from any address. */
static inline int32_t dsp_load(const int8_t *values) {
  int32_t word;
  memcpy(&word, values, sizeof word);
  return word;
}
""",
    "dsp_even": """\
/* Bytes 0 and 2 as a pair of int16. */
static inline int32_t dsp_even(int32_t word) {
#if defined(__ARM_FEATURE_DSP)
  int32_t pair;
  __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(word));
  return pair;
#else
  return (int32_t)((uint32_t)(int8_t)(word >> 16) << 16 | (uint16_t)(int8_t)word);
#endif
}
""",
    "dsp_odd": """\
/* Bytes 1 and 3 as a pair of int16. */
static inline int32_t dsp_odd(int32_t word) {
#if defined(__ARM_FEATURE_DSP)
  int32_t pair;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
  return pair;
#else
  return (int32_t)((uint32_t)(int8_t)(word >> 24) << 16 | (uint16_t)(int8_t)(word >> 8));
#endif
}
""",
    "dsp_pair": """\
/* The lower halves of two words as a pair. */
static inline int32_t dsp_pair(int32_t first, int32_t second) {
#if defined(__ARM_FEATURE_DSP)
  int32_t pair;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(first), "r"(second));
  return pair;
#else
  return (int32_t)((uint32_t)second << 16 | (uint16_t)first);
#endif
}
""",
    "dsp_pair_upper": """\
/* The upper halves of two words as a pair. */
static inline int32_t dsp_pair_upper(int32_t first, int32_t second) {
#if defined(__ARM_FEATURE_DSP)
  int32_t pair;
  __asm__("pkhtb %0, %2, %1, asr #16" : "=r"(pair) : "r"(first), "r"(second));
  return pair;
#else
  return (int32_t)(((uint32_t)second & 0xffff0000u) | (uint32_t)first >> 16);
#endif
}
""",
    "dsp_widen_group": """\
static inline void dsp_widen_group(int32_t *column, const int8_t *values) {
  const int32_t word = dsp_load(values);
  column[0] = dsp_even(word);
  column[1] = dsp_odd(word);
}
""",
    "dsp_widen": """\
/* Write a run of values to a column, a group every `step` words; a last group that is not full ends in zeros. */
static __attribute__((noinline)) void dsp_widen(int32_t *column, const int8_t *values, int32_t count, int32_t step) {
  const int8_t *const end = values + (count & ~3);
  const int8_t *const whole = values + (count & ~15);
  for (; values < whole; values += 16) {
    dsp_widen_group(column, values);
    dsp_widen_group(column + step, values + 4);
    column += 2 * step;
    dsp_widen_group(column, values + 8);
    dsp_widen_group(column + step, values + 12);
    column += 2 * step;
  }
  for (; values < end; values += 4, column += step) {
    dsp_widen_group(column, values);
  }
  if ((count & 3) != 0) {
    int8_t rest[4] = {0};
    for (int32_t i = 0; i < (count & 3); ++i) {
      rest[i] = values[i];
    }
    dsp_widen_group(column, rest);
  }
}
""",
    "dsp_fill": """\
/* Write one value to a run of a column. */
static __attribute__((noinline)) void dsp_fill(int32_t *column, int32_t value, int32_t count, int32_t step) {
  const int32_t pair = (int32_t)((uint32_t)value << 16 | (uint16_t)value);
  for (int32_t left = count; left > 0; left -= 4) {
    column[0] = pair;
    column[1] = pair;
    column += step;
  }
}
""",
    "dsp_requantise": """\
/* (sum + bias) times a Q0.31 multiplier times a power of two, rounded twice as gemmlowp does. The table's row holds the
 * bias doubled, the multiplier, and bytes of shifts: to the right less 1, to the left before the product and after it;
 * `rounding` is twice the zero point and 1. */
static inline int8_t dsp_requantise(int32_t sum, const int32_t *row, int32_t rounding, int32_t low, int32_t high) {
  const int64_t doubled = (sum * 2 + row[0]) * (1 << (row[2] >> 8 & 31));
  const int32_t product = (int32_t)((doubled * row[1] + ((int64_t)1 << 31)) >> 32) * (1 << (row[2] >> 16));
  const int32_t scaled = (((product + (product >> 31)) >> (row[2] & 31)) + rounding) >> 1;
  return (int8_t)(scaled < low ? low : scaled > high ? high : scaled);
}
""",
    **{
        multiply_name(pixels, ending): _multiply(count, ending)
        for count, (pixels, *_) in _PIXELS.items()
        for ending in ENDINGS
    },
}
"""Name -> definition; a function stands after those that it calls."""


def definitions(text: str) -> str:
    """Return the definitions that the functions called in some C text need, in order."""
    return c_text.definitions(FUNCTIONS, text)
