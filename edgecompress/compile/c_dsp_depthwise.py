"""Microkernels for depthwise convolution with the DSP extension, written for each kernel's extents.

The rows that a row of output sees are spread out: int16, one channel after the other, so that two neighbours make a
pair for SMLAD. For outputs at even columns the weights are paired as (w0, w1), (w2, 0); at odd columns, whose first
neighbour lies in the middle of a pair, as (0, w0), (w1, w2): two phases.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgecompress.compile import c_dsp, c_text
from edgecompress.compile.c_dsp import Ending

BLOCK = 4
"""Channels that are spread out and computed at a time."""

_REGISTERS = [*(f"r{number}" for number in range(3, 13)), "lr"]
_NAME = re.compile(r"\bdsp_depthwise_(\d+)x(\d+)_s(\d)_p(\d)_f(\d)(_up)?(_clamped)?\(")


FUNCTIONS = {
    "dsp_pair_weights": """\
/* Widen rows of weights and pair them for each phase. */
static __attribute__((noinline)) void dsp_pair_weights(
    int32_t *paired, const int8_t *weights, int32_t rows, int32_t columns, int32_t pairs, int32_t phases) {
  for (int32_t row = 0; row < rows; ++row, weights += columns) {
    for (int32_t tap = 0; tap < 2 * pairs; tap += 2) {
      const int32_t before = tap > 0 ? weights[tap - 1] : 0;
      const int32_t first = tap < columns ? weights[tap] : 0;
      const int32_t second = tap + 1 < columns ? weights[tap + 1] : 0;
      *paired++ = dsp_pair(first, second);
      if (phases == 2) {
        *paired++ = dsp_pair(before, first);
      }
    }
  }
}
""",
    "dsp_store": """\
/* A pair at any address. */
static inline void dsp_store(int16_t *place, int32_t pair) {
  memcpy(place, &pair, sizeof pair);
}
""",
    "dsp_spread": """\
/* Spread four channels of a row of pixels: from column `first` on, channels `step` columns apart, and everything again
 * `copy` columns further. The pair of a last single pixel is filled up with `zero`. */
static __attribute__((noinline)) void dsp_spread(
    int32_t *rows, int32_t first, const int8_t *values, int32_t count, int32_t channels, int32_t step, int32_t copy,
    int32_t zero) {
  int16_t *row = (int16_t *)rows + first;
  for (int32_t left = count; left > 0; left -= 2) {
    const int32_t pixel = dsp_load(values);
    const int32_t next = left > 1 ? dsp_load(values + channels) : (int32_t)((uint32_t)(zero & 255) * 0x01010101u);
    const int32_t even = dsp_even(pixel), next_even = dsp_even(next);
    const int32_t odd = dsp_odd(pixel), next_odd = dsp_odd(next);
    const int32_t pairs[4] = {dsp_pair(even, next_even), dsp_pair(odd, next_odd), dsp_pair_upper(even, next_even),
                              dsp_pair_upper(odd, next_odd)};
    for (int32_t channel = 0; channel < 4; ++channel) {
      dsp_store(row + channel * step, pairs[channel]);
      dsp_store(row + channel * step + copy, pairs[channel]);
    }
    row += 2;
    values += 2 * channels;
  }
}
""",
}
"""Name -> definition; a function stands after those that it calls. They call functions of c_dsp."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """`pixels` neighbouring outputs of one channel, `stride` columns apart, of a kernel of `rows` x `columns`."""

    rows: int
    columns: int
    stride: int
    pixels: int
    phases: int
    ending: Ending

    @property
    def name(self) -> str:
        """The C function's name."""
        size = f"{self.rows}x{self.columns}_s{self.stride}_p{self.pixels}_f{self.phases}"
        return f"dsp_depthwise_{size}{self.ending.suffix}"

    @property
    def pairs(self) -> int:
        """Pairs of weights in a row of the kernel, for each phase."""
        return pairs(self.columns, self.phases)

    @property
    def words(self) -> int:
        """Pairs of values in a row that the tile sees at one step: the first pair of every pixel."""
        return (self.pixels - 1) * self.stride // 2 + 1

    @property
    def reach(self) -> int:
        """Columns that the tile reads."""
        return 2 * (self.words + self.pairs - 1)

    def uses(self, pixel: int, step: int) -> bool:
        """True when a pixel has weights other than zero at a step; the last pair of an even row may have none."""
        return 2 * step - pixel * self.stride % 2 < self.columns


def pairs(columns: int, phases: int) -> int:
    """Pairs of weights in a row of the kernel, for each phase."""
    return -(-(columns + phases - 1) // 2)


def definitions(text: str) -> str:
    """Define the microkernels that some C text calls; they call functions of c_dsp."""
    tiles = [
        Tile(
            rows=int(found[0]),
            columns=int(found[1]),
            stride=int(found[2]),
            pixels=int(found[3]),
            phases=int(found[4]),
            ending=Ending(scales_up=bool(found[5]), clamps=bool(found[6])),
        )
        for found in dict.fromkeys(_NAME.findall(text))
    ]
    return c_text.definitions(FUNCTIONS, text) + "".join(f"{_definition(tile)}\n" for tile in tiles)


def _definition(tile: Tile) -> str:
    return f"""\
/* {tile.pixels} neighbouring pixels of four channels. Rows lie `row_step` bytes apart, channels `channel_step`; a pixel
 * of the output has `outputs` bytes. */
#if defined(__ARM_FEATURE_DSP)
__attribute__((naked, noinline))
#endif
static void {tile.name}(
    const int32_t *rows, const int32_t *weights, const int32_t *table, int8_t *output, int32_t row_step,
    int32_t channel_step, int32_t outputs, {c_dsp.parameters(tile.ending)}) {{
#if defined(__ARM_FEATURE_DSP)
  __asm__ volatile(
{c_dsp.assembler(_assembler_lines(tile))});
#else
  const int16_t *w = (const int16_t *)weights;
  for (int32_t channel = 0; channel < {BLOCK}; ++channel, w += {tile.rows * tile.pairs * tile.phases * 2}) {{
    for (int32_t pixel = 0; pixel < {tile.pixels}; ++pixel) {{
      const int32_t phase = pixel * {tile.stride} % 2;
      int32_t sum = 0;
      for (int32_t i = 0; i < {tile.rows * tile.pairs}; ++i) {{
        const int16_t *x = (const int16_t *)rows + (channel * channel_step + i / {tile.pairs} * row_step) / 2;
        x += pixel * {tile.stride} - phase + i % {tile.pairs} * 2;
        sum += x[0] * w[(i * {tile.phases} + phase) * 2] + x[1] * w[(i * {tile.phases} + phase) * 2 + 1];
      }}
      output[pixel * outputs + channel] =
          dsp_requantise(sum, table + channel * 3, rounding, {c_dsp.bounds(tile.ending)});
    }}
  }}
#endif
}}
"""


def _assembler_lines(tile: Tile) -> list[str]:
    """One channel a turn: its sums, then the ending."""
    totals = _REGISTERS[: tile.pixels]
    clamping = ["ldrd r9, r10, [sp, #68]", *c_dsp.clamp(totals, "r9", "r10")] if tile.ending.clamps else []
    return [
        "push {r4-r11, lr}",
        f"mov r4, #{BLOCK}",
        "push {r0, r2-r4}",  # [sp]: rows, table, output, channels left; [sp, #52]: the parameters from row_step on
        "1:",
        "ldr r2, [sp, #52]",
        *_sum_lines(tile),
        "ldr r0, [sp, #4]",
        "ldmia r0!, {r9-r11}",
        "str r0, [sp, #4]",
        "ldr r12, [sp, #64]",
        *c_dsp.requantise(totals, ("r9", "r10", "r11"), "r12", ("r0", "r2"), tile.ending),
        *clamping,
        "ldr r0, [sp, #8]",
        "ldr r2, [sp, #60]",
        "add r9, r0, r2",
        *(f"strb {total}, {place}" for total, place in zip(totals, _PLACES, strict=False)),
        "add r0, r0, #1",
        "str r0, [sp, #8]",
        "ldr r0, [sp]",
        "ldr r2, [sp, #56]",
        "add r0, r0, r2",
        "str r0, [sp]",
        "ldr r2, [sp, #12]",
        "subs r2, r2, #1",
        "str r2, [sp, #12]",
        "bne 1b",
        "add sp, sp, #16",
        "pop {r4-r11, pc}",
    ]


_PLACES = ("[r0]", "[r9]", "[r0, r2, lsl #1]", "[r9, r2, lsl #1]", "[r0, r2, lsl #2]", "[r9, r2, lsl #2]")
"""Where each pixel of a tile goes: r2 bytes apart, the first at r0, the second at r9."""


def _sum_lines(tile: Tile) -> list[str]:
    """Sum the products. r0: the row, r1: weights, r2: bytes between rows; a ring of registers holds the row's pairs."""
    totals, rest = _REGISTERS[: tile.pixels], _REGISTERS[tile.pixels :]
    ring, weights = rest[: tile.words], rest[tile.words : tile.words + tile.phases]
    load = f"ldrd {weights[0]}, {weights[-1]}, [r1], #8" if tile.phases == 2 else f"ldr {weights[0]}, [r1], #4"
    lines: list[str] = []
    started: set[int] = set()
    for row in range(tile.rows):
        lines += [f"ldmia r0, {{{', '.join(ring)}}}"]
        for step in range(tile.pairs):
            if step > 0:
                word = step + tile.words - 1
                lines += [f"ldr {ring[word % tile.words]}, [r0, #{4 * word}]"]
            lines += [load]
            for pixel in range(tile.pixels):
                if not tile.uses(pixel, step):
                    continue
                value = ring[(step + pixel * tile.stride // 2) % tile.words]
                weight = weights[pixel * tile.stride % 2]
                more = f", {totals[pixel]}" if pixel in started else ""
                lines += [f"{'smlad' if more else 'smuad'} {totals[pixel]}, {value}, {weight}{more}"]
                started.add(pixel)
        if row + 1 < tile.rows:
            lines += ["add r0, r0, r2"]
    return lines
