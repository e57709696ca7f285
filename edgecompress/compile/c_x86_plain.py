"""What a register tile of VNNI computes, as plain loops for a machine without it: soon compiled, easy to follow."""

from __future__ import annotations

from edgecompress.compile.c_x86_isa import HAS_DOT

GUARD = HAS_DOT[16]
"""What the preprocessor says where the tiles themselves are compiled."""

_ENDING = """\
/* A tile of `pixels` results of `vectors` registers of `lanes` channels; `last` channels of them are stored, `outputs`
 * bytes behind those of the pixel before. The table has `columns` words a channel. What one result sums up is `taps`
 * runs `tap_step` bytes apart, or `more_taps` in each, of `words` of four bytes; pixels are `pixel_step` apart. */
typedef struct {
  uint32_t pixels, vectors, lanes, last, outputs, columns;
  uint32_t taps, tap_step, more_taps, more_step, words, pixel_step;
} plain_tile;

static int32_t plain_scaled(int32_t sum, const int32_t *table, uint32_t lane, plain_tile tile, int32_t zero) {
  const uint32_t lanes = tile.lanes;
  const uint32_t multiplier = (uint32_t)table[lanes + lane];
  if (tile.columns == 4u) {
    const int32_t left = table[2u * lanes + lane], right = table[3u * lanes + lane];
    const int64_t shifted = (int64_t)(int32_t)((uint32_t)sum << left);
    const int64_t high = (shifted * (int64_t)multiplier + (1 << 30)) >> 31;
    const int64_t half = right > 0 ? ((int64_t)1 << (right - 1)) - (high < 0) : 0;
    return (int32_t)((high + half) >> right) + zero;
  }
  const uint32_t place = 2u * lanes + lane % 2u * lanes + lane / 2u * 2u;
  const uint64_t constant = (uint64_t)(uint32_t)table[place + 1u] << 32 | (uint32_t)table[place];
  const int32_t high = (int32_t)(uint32_t)(((uint64_t)(uint32_t)sum * multiplier + constant) >> 32);
  const int32_t shift = table[4u * lanes + lane];
  return tile.columns == 5u ? high >> shift : (high - (high < 0) + table[5u * lanes + lane]) >> shift;
}

/* Sums by pixel, register and channel to int8; registers are stored by fours, twos and ones. */
static void plain_ending(int8_t *to, const int32_t *sums, const int32_t *table, plain_tile tile, int32_t zero,
                         int32_t low, int32_t high) {
  uint32_t size = 4;
  for (uint32_t first = 0; first < tile.vectors; first += size) {
    while (size > tile.vectors - first) {
      size /= 2u;
    }
    for (uint32_t i = 0; i < tile.pixels * size * tile.lanes; ++i) {
      const uint32_t lane = i % tile.lanes, vector = i / tile.lanes % size, pixel = i / tile.lanes / size;
      const uint32_t channel = first * tile.lanes + lane / 4u * 4u * size + 4u * vector + lane % 4u;
      const uint32_t number = first + vector;
      const int32_t sum = sums[(pixel * tile.vectors + number) * tile.lanes + lane];
      const int32_t *const columns = table + number * tile.columns * tile.lanes;
      const int32_t value = plain_scaled(sum, columns, lane, tile, zero);
      if (channel < tile.last) {
        to[pixel * tile.outputs + channel] = (int8_t)(value < low ? low : value > high ? high : value);
      }
    }
  }
}

static void plain_biases(int32_t *sums, const int32_t *table, plain_tile tile) {
  const uint32_t width = tile.vectors * tile.lanes;
  for (uint32_t i = 0; i < tile.pixels * width; ++i) {
    sums[i] = table[i % width / tile.lanes * tile.columns * tile.lanes + i % tile.lanes];
  }
}
"""

_FOURS = """\
/* To each sum, the products of four numbers and four weights; the count is a multiple of 4. */
static void plain_fours(int32_t *restrict sums, const int16_t *restrict x, const int8_t *restrict b, uint32_t count) {
  for (uint32_t i = 0; i < count; i += 4u) {
#if defined(__AVX2__)
    int64_t fours;
    memcpy(&fours, x, sizeof fours);
    const __m256i weights = _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)(b + 4u * i)));
    const __m256i pairs = _mm256_madd_epi16(weights, _mm256_set1_epi64x(fours));
    const __m128i products = _mm_hadd_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
    _mm_storeu_si128((void *)(sums + i), _mm_add_epi32(_mm_loadu_si128((const void *)(sums + i)), products));
#else
    for (uint32_t j = i; j < i + 4u; ++j) {
      sums[j] += x[0] * b[4u * j] + x[1] * b[4u * j + 1u] + x[2] * b[4u * j + 2u] + x[3] * b[4u * j + 3u];
    }
#endif
  }
}
"""

_TILE = """\
static void plain_convolution(int8_t *to, const int8_t *from, const int8_t *b, const int32_t *table, plain_tile tile,
                              int32_t zero, int32_t low, int32_t high) {
  const uint32_t width = tile.vectors * tile.lanes;
  int32_t sums[512];
  plain_biases(sums, table, tile);
  for (uint32_t tap = 0; tap < tile.taps * tile.more_taps; ++tap) {
    const int8_t *const a = from + tap / tile.more_taps * tile.tap_step + tap % tile.more_taps * tile.more_step;
    for (uint32_t k = 0; k < tile.words; ++k) {
      for (uint32_t pixel = 0; pixel < tile.pixels; ++pixel) {
        const uint8_t *const seen = (const uint8_t *)a + pixel * tile.pixel_step + 4u * k;
        const int16_t x[4] = {seen[0], seen[1], seen[2], seen[3]};
        plain_fours(sums + pixel * width, x, b, width);
      }
      b += 4u * width;
    }
  }
  plain_ending(to, sums, table, tile, zero, low, high);
}
"""

_DEPTHWISE = """\
/* Taps are rows here, `more_taps` columns; weights lie by column, four rows, register, channel and row of the four. */
static void plain_depthwise(int8_t *to, const int8_t *from, const int8_t *b, const int32_t *table, plain_tile tile,
                            int32_t zero, int32_t low, int32_t high) {
  const uint32_t width = 4u * tile.lanes;
  int32_t sums[512];
  plain_biases(sums, table, tile);
  for (uint32_t column = 0; column < tile.more_taps; ++column) {
    for (uint32_t row = 0; row < tile.taps; ++row) {
      const int8_t *const a = from + row * tile.tap_step + column * tile.more_step;
      const int8_t *const weights = b + (column * ((tile.taps + 3u) / 4u) + row / 4u) * 4u * width + row % 4u;
      for (uint32_t i = 0; i < tile.pixels * width; ++i) {
        const uint32_t lane = i % tile.lanes, vector = i / tile.lanes % 4u;
        const uint32_t channel = lane / 4u * 16u + 4u * vector + lane % 4u;
        sums[i] += (uint8_t)a[i / width * tile.pixel_step + channel] * weights[4u * (i % width)];
      }
    }
  }
  plain_ending(to, sums, table, tile, zero, low, high);
}
"""

FUNCTIONS = {"plain_fours": _FOURS, "plain_ending": _ENDING, "plain_convolution": _TILE, "plain_depthwise": _DEPTHWISE}
"""Name -> definition; a function stands after those that it calls."""
