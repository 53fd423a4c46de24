// The second time through the columns: the gradients of the logits, and what is multiplied with them.
#pragma once

#include "softmax.h"

namespace ISA {
namespace words {

// ------------------------------------------------------------------------------------------------ weights

template <int M, int V>
INLINE void multiply_down(const float* a, const float* b, Vector (&total)[M][V]) {
  Vector row[V];
  UNROLL for (int v = 0; v < V; v++) row[v] = load(b + v * L);
  UNROLL for (int m = 0; m < M; m++) UNROLL for (int v = 0; v < V; v++) total[m][v] += a[m] * row[v];
}

template <int M, int V>
INLINE void multiply_down(const uint32_t* a, const Half* b, Vector (&total)[M][V]) {
  Pairs rows[V];
  UNROLL for (int v = 0; v < V; v++) memcpy(&rows[v], b + 2 * v * L, sizeof rows[v]);
  UNROLL for (int m = 0; m < M; m++) {
    UNROLL for (int v = 0; v < V; v++) add_products(total[m][v], a[m] - Pairs{}, rows[v]);
  }
}

// What a column is read as: numbers, or in bfloat16 those of two rows at once.
template <class W> struct Column { typedef float Type; static constexpr Index once = 1; };
template <> struct Column<Half> { typedef uint32_t Type; static constexpr Index once = 2; };

// Rows of c = a^T b, or with `add` += a^T b: M columns of `a`, which lie side by side, and a panel of b. Nothing is
// turned over beforehand: a column's numbers are read from where they are.
template <class W, int M, int V>
static void down(const typename Column<W>::Type* a, Index stride, const W* panel, Index depth, float* c, Index c_stride,
                 Index lanes, bool add) {
  constexpr Index once = Column<W>::once;
  Vector total[M][V] = {};
  UNROLL for (int m = 0; m < M; m++) UNROLL for (int v = 0; v < V; v++) {
    __builtin_prefetch(c + m * c_stride + v * L, 1);
  }
  for (Index k = 0; k < depth; k += once, a += stride, panel += once * V * L) multiply_down<M, V>(a, panel, total);
  UNROLL for (int m = 0; m < M; m++) UNROLL for (int v = 0; v < V; v++) {
    float* place = c + m * c_stride + v * L;
    Index left = v + 1 < V ? L : lanes;
    store(place, add ? total[m][v] + load(place, left) : total[m][v], left);
  }
}

template <class W>
using Down = void (*)(const typename Column<W>::Type* a, Index stride, const W* panel, Index depth, float* c,
                      Index c_stride, Index lanes, bool add);

#define TILES(M) {down<W, M, 1>, down<W, M, 2>, down<W, M, 3>, down<W, M, 4>}
template <class W>
static constexpr Down<W> downs[][MOST] = {
    TILES(1), TILES(2), TILES(3),
#if !defined(NARROW)
    TILES(4), TILES(5), TILES(6),
#endif
};
#undef TILES

#if defined(AMX)
// The gradient of a block's weights as a product of whole rows, in tiles. a: a row of bfloat16 for each column.
static void weights_gradient(const Chunk& c, const Block& block, const uint32_t* a, Index stride, const Half* x) {
  const Softmax& s = *c.of;
  in_panels(s.hidden, [&](Index first, Index width) {
    in_tiles<Half>(0, block.columns, [&](Index column, Index height) {
      const Half* rows[TALLEST<Half>];
      Totals totals;
      for (Index m = 0; m < height; m++) rows[m] = reinterpret_cast<const Half*>(a + (column + m) * stride);
      product(height, width, rows, x + first * even(c.rows), c.rows, totals);
      for (Index m = 0; m < height; m++) {
        for (Index v = 0; v < width; v++) {
          Index at = first + v * L, lanes = s.hidden - at;
          float* place = s.dweight + (block.first + column + m) * s.hidden + at;
          Vector total = Totals::at(totals, m * width + v);
          store(place, c.start ? total + load(place, lanes) : total, lanes);
        }
      }
    });
  });
}
#endif

// The gradient of a block's weights. x: panels of the chunk's rows; a: (rows, stride) or pairs of rows.
template <class W>
static void weights_gradient(const Chunk& c, const Block& block, const typename Column<W>::Type* a, Index stride,
                             const W* x) {
  const Softmax& s = *c.of;
  in_panels(s.hidden, [&](Index first, Index width) {
    for (Index k = 0; k < c.rows; k += CHUNK) {
      const W* panel = x + first * padded<W>(c.rows) + k * width * L;
      in_tiles<W>(0, block.columns, [&](Index column, Index height) {
        float* place = s.dweight + (block.first + column) * s.hidden + first;
        downs<W>[height - 1][width - 1](a + k / Column<W>::once * stride + column, stride, panel,
                                        lesser(CHUNK, c.rows - k), place, s.hidden,
                                        s.hidden - first - (width - 1) * L, c.start || k);
      });
    }
  });
}

// ------------------------------------------------------------------------------------------------ x

// What a block adds to the gradient of x. panels: of the block's weights; dx: (rows, hidden).
template <class W>
static void x_gradient(const Chunk& c, const Block& block, Index to, const W* panels, float* dx, bool add) {
  const Softmax& s = *c.of;
  Index next = block.first + SPAN, tall = whole(s.hidden, PANEL) / PANEL * c.rows;
  const W* a = static_cast<const W*>(block.powers);
  in_panels(s.hidden, [&](Index first, Index width) {
    const W* panel = panels + first * padded<W>(block.columns);
    in_tiles<W>(0, c.rows, [&](Index row, Index height) {
      const W* rows[TALLEST<W>];
      Totals totals;
      ask_for(s, next, lesser(SPAN, to - next), first / PANEL * c.rows + row, height, tall);
      for (Index m = 0; m < height; m++) rows[m] = a + (row + m) * block.stride;
      product(height, width, rows, panel, block.columns, totals);
      for (Index m = 0; m < height; m++) {
        for (Index v = 0; v < width; v++) {
          Index column = first + v * L, lanes = s.hidden - column;
          float* place = dx + (row + m) * s.hidden + column;
          Vector total = Totals::at(totals, m * width + v);
          store(place, add ? total + load(place, lanes) : total, lanes);
        }
      }
    });
  });
}

// ------------------------------------------------------------------------------------------------ logits

INLINE Vector power_at(const float* p) { return load(p); }
INLINE Vector power_at(const Half* p) {
  HalvesAnywhere halves = *reinterpret_cast<const HalvesAnywhere*>(p);
  return (Vector)(__builtin_convertvector((Halves)halves, Pairs) << 16);
}

// One row of a panel from powers to gradients, which are added to the columns' sums. scale: makes probabilities.
template <class W, int V>
INLINE void to_gradient(const Chunk& c, Index row, Index column, float scale, W* powers, Vector (&sums)[V]) {
  const Softmax& s = *c.of;
  alignas(64) float gradient[V * L];
  float smoothed = static_cast<float>(-s.factors[c.start + row] * s.smoothing / s.words);
  UNROLL for (int v = 0; v < V; v++) store(gradient + v * L, power_at(powers + v * L) * scale + smoothed);
  Index at = target_in(c, row, column);
  if (at >= 0 && at < V * L) gradient[at] = c.hit[row];
  UNROLL for (int v = 0; v < V; v++) {
    sums[v] += load(gradient + v * L);
    keep(powers + v * L, load(gradient + v * L));
  }
}

INLINE Pairs bits_at(const Half* p) {
  return __builtin_convertvector((Halves)*reinterpret_cast<const HalvesAnywhere*>(p), Pairs);
}

// The numbers of two rows beside each other, zeros where there are none.
INLINE Pairs pairs_at(const Half* from, Index stride, Index row, Index rows) {
  if (row >= rows) return Pairs{};
  const Half* place = from + row * stride;
  return bits_at(place) | (row + 1 < rows ? bits_at(place + stride) << 16 : Pairs{});
}

// The same panel, from column `place` of its block on, as `weights_gradient` reads it: `to` is the whole block's room.
#if defined(AMX)
static void lay_out(const Half* from, Index from_stride, Index rows, Index place, Index width, uint32_t* to,
                    Index stride) {
  for (Index row = 0; row < rows; row += 2 * L) {
    for (Index v = 0; v < width * L; v += L) {
      Vector block[L];
      UNROLL for (Index j = 0; j < L; j++) block[j] = (Vector)pairs_at(from + v, from_stride, row + 2 * j, rows);
      transpose(block);
      for (Index j = 0; j < L; j++) memcpy(to + (place + v + j) * stride + row / 2, &block[j], sizeof block[j]);
    }
  }
}
#else
static void lay_out(const Half* from, Index from_stride, Index rows, Index place, Index width, uint32_t* to,
                    Index stride) {
  for (Index row = 0; row < rows; row += 2) {
    for (Index v = 0; v < width * L; v += L) {
      Pairs both = pairs_at(from + v, from_stride, row, rows);
      memcpy(to + row / 2 * stride + place + v, &both, sizeof both);
    }
  }
}
#endif

static void lay_out(const float*, Index, Index, Index, Index, float*, Index) {}

// A panel of a block. scales: room for a float a row.
template <class W, int V>
static void panel_gradient(const Chunk& c, const Block& block, Index place, float* scales) {
  const Softmax& s = *c.of;
  Index column = block.first + place;
  const float* tops = c.tops + column / PANEL * c.stride;
  for (Index row = 0; row < c.rows; row += L) {
    store(scales + row, load(c.scale + row) * exponential(load(tops + row) - load(c.top + row)));
  }
  Vector sums[V] = {};
  for (Index row = 0; row < c.rows; row++) {
    W* powers = static_cast<W*>(block.powers) + row * block.stride + place;
    to_gradient<W, V>(c, row, column, scales[row], powers, sums);
  }
  if (!s.dbias) return;
  UNROLL for (int v = 0; v < V; v++) {
    float* to = s.dbias + column + v * L;
    Index lanes = s.words - column - v * L;
    store(to, c.start ? sums[v] + load(to, lanes) : sums[v], lanes);
  }
}

template <class W>
INLINE typename Column<W>::Type* columns_of(const Chunk& c, const Block& block, W* pairs, Index& stride) {
  if constexpr (sizeof(W) == sizeof(Half)) {
#if defined(AMX)
    stride = whole(c.rows, 2 * L) / 2;
#else
    static_cast<void>(c);
    stride = SPAN;
#endif
    return reinterpret_cast<uint32_t*>(pairs);
  } else {
    stride = block.stride;
    return static_cast<float*>(block.powers);
  }
}

// The second time through columns `from` to `to`, which are part `part` of all.
template <class W>
static void back(const Chunk& c, Index part, Index from, Index to, void* scratch) {
  constexpr decltype(&panel_gradient<W, 1>) gradient[] = {panel_gradient<W, 1>, panel_gradient<W, 2>,
                                                          panel_gradient<W, 3>, panel_gradient<W, 4>};
  const Softmax& s = *c.of;
  float* scales = static_cast<float*>(scratch);
  W* x = reinterpret_cast<W*>(scales + whole(c.rows, 16));
  W* weights = x + whole(packed_size<W>(c.rows, s.hidden), 16);
  W* pairs = weights + packed_size<W>(SPAN, s.hidden);
  float* dx = s.dx ? c.partial + part * c.rows * s.hidden : nullptr;
  if (s.dweight) pack_rows([&](Index k) { return s.x + (c.start + k) * s.x_stride; }, c.rows, s.hidden, x);
  in_blocks<W>(c, from, to, [&](const Block& block) {
    Index stride = 0;
    auto* columns = columns_of<W>(c, block, pairs, stride);
    in_panels(block.columns, [&](Index place, Index width) {
      gradient[width - 1](c, block, place, scales);
      lay_out(static_cast<W*>(block.powers) + place, block.stride, c.rows, place, width, columns, stride);
    });
    if (s.dx) {
      auto row = [&](Index k) { return s.weight + (block.first + k) * s.weight_stride; };
      pack_rows(row, block.columns, s.hidden, weights);
      x_gradient(c, block, to, weights, dx, block.first != from);
    }
    if (s.dweight) weights_gradient(c, block, columns, stride, x);
  });
}

}  // namespace words
}  // namespace ISA
