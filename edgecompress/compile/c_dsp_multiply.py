"""Microkernels that multiply columns of int16 with packed int8 weights, with the DSP extension.

SMLAD multiplies two pairs of int16 and adds both products. Activations are widened to int16 once ("columns"); weights
stay int8 and are packed for two output channels at a time, so that one SXTB16 serves four of them:

    a halfword of packed weights is 256 * second + first, as an int16; its low byte alone is `first`
    sum(x * first) comes of the sign-extended low bytes, sum(x * (256 * second + first)) of the halfwords as they are
    sum(x * second) is an arithmetic shift of their difference, exact while it fits 24 bits

A group is four steps of the sum; in words, the steps 0 and 2, then 1 and 3, as SXTB16 leaves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from edgecompress.compile import c_dsp, c_text
from edgecompress.compile.c_dsp import Ending

GROUP = 4
"""Steps of the sum that lie together in columns and packed weights."""

EXACT_BITS = 23
"""The second channel's sum must be below 2**EXACT_BITS in magnitude."""

ENDINGS = tuple(
    Ending(scales_up=up, shared=shared, clamps=clamps) for up, shared, clamps in product((False, True), repeat=3)
)


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
    return [f"ldrd r7, r8, [sp, #{parameters + 8 * ending.shared}]", *c_dsp.clamp(["r3", "r4", "r5", "r6"], "r7", "r8")]


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
    return c_dsp.assembler(
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
            *c_dsp.requantise(["r3", "r5"], first, "lr", ["r0", "r2"], ending),
            *c_dsp.requantise(["r4", "r6"], second, "lr", ["r0", "r2"], ending, high=True),
            *_clamp_all(ending, 64),
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
    return c_dsp.assembler(
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
            *c_dsp.requantise(["r3"], first, "lr", ["r0", "r2"], ending),
            *c_dsp.requantise(["r4"], second, "lr", ["r0", "r2"], ending, high=True),
            "ldr r0, [sp, #4]",
            *load,
            "str r0, [sp, #4]",
            *c_dsp.requantise(["r5"], first, "lr", ["r0", "r2"], ending),
            *c_dsp.requantise(["r6"], second, "lr", ["r0", "r2"], ending, high=True),
            *_clamp_all(ending, 60),
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
    int32_t outputs, {c_dsp.parameters(ending)}) {{
#if defined(__ARM_FEATURE_DSP)
  __asm__ volatile(
{body(ending)});
#else
{_PLAIN_MULTIPLY.format(pixels=pixels, weight=weight, row=ending.row, bounds=c_dsp.bounds(ending))}#endif
}}
"""


def multiply_name(pixels: int, ending: Ending) -> str:
    """The function that multiplies one column or two."""
    return f"dsp_multiply_{('one', 'two')[pixels - 1]}{ending.suffix}"


FUNCTIONS = {
    multiply_name(pixels, ending): _multiply(count, ending)
    for count, (pixels, *_) in _PIXELS.items()
    for ending in ENDINGS
}
"""Name -> definition. They call functions of c_dsp."""


def definitions(text: str) -> str:
    """Return the definitions of the microkernels that some C text calls."""
    return c_text.definitions(FUNCTIONS, text)
