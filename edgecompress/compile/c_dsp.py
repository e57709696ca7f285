"""C functions for the DSP extension of ARMv7E-M and ARMv8-M (Cortex-M4, M7, M33), and how sums end there.

Every function has a definition in plain C too, which gives the same bytes on other processors. c_dsp_multiply and
c_dsp_depthwise are the microkernels; they are written in assembler, of the pieces here.

Source of the instructions: Arm Cortex-M4 Devices Generic User Guide (DUI 0553), 3.5 to 3.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgecompress.compile import c_text


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
}
"""Name -> definition; a function stands after those that it calls."""


def definitions(text: str) -> str:
    """Return the definitions that the functions called in some C text need, in order."""
    return c_text.definitions(FUNCTIONS, text)
