"""Sums of int8 products in the tiles of AMX as C, and the same without them.

A tile of the image has up to 16 pixels, a tile of weights 16 output channels, and their sums are a tile of int32. What
one tile multiplies is up to 64 bytes of the depth, for each of which four follow each other in the weights.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18; the kernel's
Documentation/arch/x86/xstate.rst for the permission that a process asks for.
"""

from __future__ import annotations

HAS_TILES = "defined(__AMX_INT8__) && defined(__x86_64__)"

_BEGIN = f"""\
/* Ask the kernel for the tiles, once, and give them this shape: 64 bytes as LDTILECFG reads them. */
static inline void tiles_begin(const uint8_t *shape) {{
#if {HAS_TILES}
  static bool asked = false;
  if (!asked) {{
    long result = 158; /* arch_prctl */
    const long request = 0x1023, tile_data = 18;
    __asm__ volatile("syscall" : "+a"(result) : "D"(request), "S"(tile_data) : "rcx", "r11", "memory");
    asked = true;
  }}
  _tile_loadconfig(shape);
#else
  (void)shape;
#endif
}}
"""

_END = f"""\
static inline void tiles_end(void) {{
#if {HAS_TILES}
  _tile_release();
#endif
}}
"""

_DEPTH = """\
/* What is summed up: `taps` runs `tap_step` bytes apart, each of `blocks` of `block_bytes`; pixels are `pixel_step`
 * bytes apart, and a tile has `pixels` of them. */
typedef struct {
  uint32_t taps, tap_step, more_taps, more_step, blocks, block_bytes, pixel_step, pixels;
} tile_depth;
"""


def _sums(pixel_tiles: int, channel_tiles: int) -> str:
    name = f"tile_sums_{pixel_tiles}_{channel_tiles}"
    tiles = [(p, c) for p in range(pixel_tiles) for c in range(channel_tiles)]
    begun = "".join(f"  _tile_loadd({2 * p + c}, biases + {c} * bias_step, 0);\n" for p, c in tiles)
    steps = (
        "        _tile_loadd(4, a, depth.pixel_step);\n        _tile_loadd(6, b, 64);\n        _tile_dpbssd(0, 4, 6);\n"
    )
    if channel_tiles > 1:
        steps += "        _tile_loadd(7, b + 16u * depth.block_bytes, 64);\n        _tile_dpbssd(1, 4, 7);\n"
    if pixel_tiles > 1:
        steps += "        _tile_loadd(5, a + other, depth.pixel_step);\n        _tile_dpbssd(2, 5, 6);\n"
    if pixel_tiles > 1 and channel_tiles > 1:
        steps += "        _tile_dpbssd(3, 5, 7);\n"
    width = 16 * channel_tiles
    places = {(p, c): f"sums + {p} * depth.pixels * {width}u + {16 * c}" for p, c in tiles}
    stored = "".join(f"  _tile_stored({2 * p + c}, {places[p, c]}, {4 * width});\n" for p, c in tiles)
    return f"""\
/* {pixel_tiles} x {channel_tiles} tiles of pixels x channels, to sums by pixel and channel. The second tile of pixels
 * is `other` bytes behind the first; a tile of channels has its biases `bias_step` numbers behind the one before. */
static inline void {name}(int32_t *sums, const int8_t *from, uint32_t other, const int8_t *b, const int32_t *biases,
                          uint32_t bias_step, tile_depth depth) {{
#if {HAS_TILES}
{begun}\
  for (uint32_t tap = 0; tap < depth.taps; ++tap) {{
    for (uint32_t more = 0; more < depth.more_taps; ++more) {{
      const int8_t *a = from + tap * depth.tap_step + more * depth.more_step;
      for (uint32_t block = 0; block < depth.blocks; ++block) {{
{steps}\
        a += depth.block_bytes;
        b += {16 * channel_tiles}u * depth.block_bytes;
      }}
    }}
  }}
{stored}\
#else
  tile_sums_plain(sums, from, other, b, biases, bias_step, depth, {pixel_tiles}, {channel_tiles});
#endif
}}
"""


_PLAIN = """\
/* The same without tiles. */
static inline void tile_sums_plain(int32_t *sums, const int8_t *from, uint32_t other, const int8_t *b,
                                   const int32_t *biases, uint32_t bias_step, tile_depth depth, uint32_t pixel_tiles,
                                   uint32_t channel_tiles) {
  const uint32_t channels = 16u * channel_tiles;
  for (uint32_t i = 0; i < pixel_tiles * depth.pixels * channels; ++i) {
    sums[i] = biases[i % channels / 16u * bias_step + i % 16u];
  }
  for (uint32_t tap = 0; tap < depth.taps * depth.more_taps; ++tap) {
    const int8_t *a = from + tap / depth.more_taps * depth.tap_step + tap % depth.more_taps * depth.more_step;
    for (uint32_t block = 0; block < depth.blocks; ++block) {
      for (uint32_t i = 0; i < pixel_tiles * depth.pixels * channel_tiles; ++i) {
        const uint32_t pixel = i / channel_tiles, tile = i % channel_tiles;
        const int8_t *const seen = a + pixel / depth.pixels * other + pixel % depth.pixels * depth.pixel_step;
        const int8_t *const weights = b + tile * 16u * depth.block_bytes;
        for (uint32_t k = 0; k < depth.block_bytes; k += 4u) {
          const int16_t x[4] = {seen[k], seen[k + 1u], seen[k + 2u], seen[k + 3u]};
          plain_fours(sums + 16u * i, x, weights + 16u * k, 16);
        }
      }
      a += depth.block_bytes;
      b += channels * depth.block_bytes;
    }
  }
}
"""

FUNCTIONS = {
    "tiles_begin": _BEGIN,
    "tiles_end": _END,
    "tile_sums_plain": _DEPTH + _PLAIN,
    **{f"tile_sums_{p}_{c}": _sums(p, c) for p in (1, 2) for c in (1, 2)},
}
"""Name -> definition; a function stands after those that it calls."""
