// Products of bfloat16 in the tiles of Intel's AMX: 16 rows of 32 numbers times 32 rows of 16 numbers, in one
// instruction of 16 cycles. ("Intel Architecture Instruction Set Extensions Programming Reference", chapter 3.)
//
// The panels are as the other kernels have them: two of the depth beside each other is what a tile's right side wants.
// Every product configures the tiles for its own height and the last of its depth, and gives them back: so nothing is
// left behind in a thread, whatever else multiplies there, and a thread that is not running keeps no state. That is a
// tenth of a microsecond, of one for a common product.
//
// The instructions are written out, and not the compiler's own: those of GCC 12 do not say that they touch memory.
#pragma once

#include "simd.h"

namespace ISA {
namespace grid {

constexpr Index TALL = 16;  // rows of a tile
constexpr Index DEEP = 32;  // halves of its row
constexpr Index FEW = 2;    // so many rows are multiplied sooner without tiles

struct alignas(64) Config {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t bytes[16] = {};
  uint8_t rows[16] = {};
};

#define LOAD_TILE(tile, place, stride) \
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile : : "r"(place), "r"(static_cast<Index>(stride)) : "memory")
#define STORE_TILE(tile, place, stride) \
  __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" : : "r"(place), "r"(static_cast<Index>(stride)) : "memory")
#define MULTIPLY_TILES(to, left, right) __asm__ volatile("tdpbf16ps %tmm" #right ", %tmm" #left ", %tmm" #to)
#define CLEAR_TILE(tile) __asm__ volatile("tilezero %tmm" #tile)

// Tiles 0 to 3 are sums; 4 and 5 left and right; 6 and 7 these of the last, shorter part of the depth.
INLINE void configure(Index height, Index last) {
  Config config;
  for (int tile = 0; tile < 6; tile++) config.bytes[tile] = 64, config.rows[tile] = static_cast<uint8_t>(height);
  config.rows[5] = TALL;
  if (last) {
    config.bytes[6] = static_cast<uint16_t>(2 * last), config.rows[6] = static_cast<uint8_t>(height);
    config.bytes[7] = 64, config.rows[7] = static_cast<uint8_t>(last / 2);
  }
  __asm__ volatile("ldtilecfg %0" : : "m"(config));
}

INLINE void release() { __asm__ volatile("tilerelease"); }

// Rows from `a` on, `stride` bytes apart, times a panel of V vectors.
template <int V>
INLINE void rows_times(const Half* a, Index stride, const Half* panel, Index depth, float* to) {
  constexpr Index width = 64 * V;  // bytes of a row of the panel, of two of the depth, and of one of the sums
  CLEAR_TILE(0);
  if (V > 1) CLEAR_TILE(1);
  if (V > 2) CLEAR_TILE(2);
  if (V > 3) CLEAR_TILE(3);
#define STEP(left, right) \
  LOAD_TILE(left, a, stride); \
  LOAD_TILE(right, panel, width); \
  MULTIPLY_TILES(0, left, right); \
  if (V > 1) { LOAD_TILE(right, panel + 32, width); MULTIPLY_TILES(1, left, right); } \
  if (V > 2) { LOAD_TILE(right, panel + 64, width); MULTIPLY_TILES(2, left, right); } \
  if (V > 3) { LOAD_TILE(right, panel + 96, width); MULTIPLY_TILES(3, left, right); }
  for (; depth >= DEEP; depth -= DEEP, a += DEEP, panel += DEEP * V * L) {
    STEP(4, 5)
  }
  if (depth) {
    STEP(6, 7)
  }
#undef STEP
  STORE_TILE(0, to, width);
  if (V > 1) STORE_TILE(1, to + L, width);
  if (V > 2) STORE_TILE(2, to + 2 * L, width);
  if (V > 3) STORE_TILE(3, to + 3 * L, width);
}

// Where there are more rows than a tile has, two tiles of equal height share them; a row in the middle may be in both.
template <int V>
static void tile(const Half* a, Index stride, Index height, const Half* panel, Index depth, float* totals) {
  Index once = height > TALL ? (height + 1) / 2 : height, again = height - once;
  configure(once, depth % DEEP);
  rows_times<V>(a, 2 * stride, panel, depth, totals);
  if (again) rows_times<V>(a + again * stride, 2 * stride, panel, depth, totals + again * V * L);
  release();
}

// Rows and totals as `product` of panel.h has them. Rows of bfloat16 stand evenly: they have been rounded into a room of
// their own.
INLINE void product(Index height, Index width, const Half* const* rows, const Half* panel, Index depth, float* totals) {
  constexpr decltype(&tile<1>) tiles[] = {tile<1>, tile<2>, tile<3>, tile<4>};
  tiles[width - 1](rows[0], height > 1 ? rows[1] - rows[0] : 0, height, panel, depth, totals);
}

#undef LOAD_TILE
#undef STORE_TILE
#undef MULTIPLY_TILES
#undef CLEAR_TILE

// Multiplications and additions of what is in tiles already; returns their number.
static Index spin(Index rounds) {
  configure(TALL, 0);
  for (Index round = 0; round < rounds; round++) {
    __asm__ volatile(
        "tdpbf16ps %tmm5, %tmm4, %tmm0\n\ttdpbf16ps %tmm5, %tmm4, %tmm1\n\t"
        "tdpbf16ps %tmm5, %tmm4, %tmm2\n\ttdpbf16ps %tmm5, %tmm4, %tmm3");
  }
  release();
  return 2 * 4 * TALL * DEEP * TALL * rounds;
}

}  // namespace grid
}  // namespace ISA
