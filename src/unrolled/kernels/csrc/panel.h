// The matrix product that everything here stands on: a few rows times a panel of weights, held in registers.
//
// A panel is `width` vectors of columns, packed so that it is read from its first number to its last:
//
//     panel[(k * width + v) * L + lane]                     float: depth k, vector v
//     panel[((k / 2 * width + v) * L + lane) * 2 + k % 2]   bfloat16: two of the depth beside each other
//
// The rows are given by pointers, so that they may lie anywhere: in the step before, in the initial state. Sums are of
// floats in either case. In bfloat16 the depth is made even: what the weights lack there are zeros.
#pragma once

#include "simd.h"

#if defined(AMX)
#include "amx.h"
#endif

namespace ISA {

// Rows of a product, at most.
#if defined(AMX)
template <class W>
constexpr Index TALLEST = sizeof(W) == sizeof(Half) ? 2 * grid::TALL : ROWS;
#else
template <class W>
constexpr Index TALLEST = ROWS;
#endif

// What a product gives: `rows` times `width` vectors, row after row.
struct Totals {
  alignas(64) float values[TALLEST<Half> * MOST * L];
  INLINE Vector at(const Totals& totals, Index vector) { return load(totals.values + vector * L); }
};

INLINE Index even(Index n) { return n + (n & 1); }

// Numbers of a row, or of a panel's column, of this depth.
template <class W>
INLINE Index padded(Index depth) {
  return sizeof(W) == sizeof(Half) ? even(depth) : depth;
}

// Four terms a turn: where other work shares the core, what counts is how few instructions there are.
#define FOUR_A_TURN _Pragma("GCC unroll 4")

template <int M, int V>
INLINE void multiply_add(const float* const (&a)[M], const float* panel, Index depth, Vector (&total)[M][V]) {
  FOUR_A_TURN for (Index k = 0; k < depth; k++, panel += V * L) {
    Vector b[V];
    UNROLL for (int v = 0; v < V; v++) b[v] = load(panel + v * L);
    UNROLL for (int m = 0; m < M; m++) UNROLL for (int v = 0; v < V; v++) total[m][v] += a[m][k] * b[v];
  }
}

template <int M, int V>
INLINE void multiply_add(const Half* const (&a)[M], const Half* panel, Index depth, Vector (&total)[M][V]) {
  FOUR_A_TURN for (Index k = 0; k < depth; k += 2, panel += 2 * V * L) {
    Pairs b[V];
    UNROLL for (int v = 0; v < V; v++) memcpy(&b[v], panel + 2 * v * L, sizeof b[v]);
    UNROLL for (int m = 0; m < M; m++) {
      uint32_t both;
      memcpy(&both, a[m] + k, sizeof both);
      UNROLL for (int v = 0; v < V; v++) add_products(total[m][v], both - Pairs{}, b[v]);
    }
  }
}

constexpr Index CHUNK = 256;  // terms of a sum that are added one to the other; the error grows with their number

// From depth `start` on; the first chunk of a product begins its totals, the others add to them.
template <class W, int M, int V>
static void tile(const W* const* rows, const W* panel, Index start, Index depth, Totals& totals) {
  const W* a[M];
  Vector total[M][V] = {};
  UNROLL for (int m = 0; m < M; m++) a[m] = rows[m] + start;
  if (M * V < 8) {  // too few sums to fill the pipeline: two for each, turn about
    constexpr Index once = sizeof(W) == sizeof(Half) ? 2 : 1;
    Vector more[M][V] = {};
    for (; depth >= 2 * once; depth -= 2 * once, panel += 2 * once * V * L) {
      const W* next[M];
      UNROLL for (int m = 0; m < M; m++) next[m] = a[m] + once;
      multiply_add<M, V>(a, panel, once, total);
      multiply_add<M, V>(next, panel + once * V * L, once, more);
      UNROLL for (int m = 0; m < M; m++) a[m] += 2 * once;
    }
    UNROLL for (int m = 0; m < M; m++) UNROLL for (int v = 0; v < V; v++) total[m][v] += more[m][v];
  }
  multiply_add<M, V>(a, panel, depth, total);
  UNROLL for (int m = 0; m < M; m++) UNROLL for (int v = 0; v < V; v++) {
    float* place = totals.values + (m * V + v) * L;
    store(place, start ? total[m][v] + load(place) : total[m][v]);
  }
}

template <class W>
using Tile = void (*)(const W* const* rows, const W* panel, Index start, Index depth, Totals& totals);

#define TILES(M) {tile<W, M, 1>, tile<W, M, 2>, tile<W, M, 3>, tile<W, M, 4>}
template <class W>
static constexpr Tile<W> tiles[][MOST] = {
    TILES(1), TILES(2), TILES(3),
#if !defined(NARROW)
    TILES(4), TILES(5), TILES(6),
#endif
};
#undef TILES

template <class W>
INLINE void product(Index height, Index width, const W* const* rows, const W* panel, Index depth, Totals& totals) {
#if defined(AMX)
  if constexpr (sizeof(W) == sizeof(Half)) {
    if (height > grid::FEW) return grid::product(height, width, rows, panel, even(depth), totals.values);
  }
#endif
  Tile<W> one = tiles<W>[height - 1][width - 1];
  for (Index start = 0; start < depth || start == 0; start += CHUNK) {
    one(rows, panel + start * width * L, start, lesser(CHUNK, depth - start), totals);
  }
}

// Calls visit(row, height) for parts of near-equal height, at most `most`, from row `from` up to row `to`.
template <class F>
INLINE void in_parts(Index from, Index to, Index most, F visit) {
  if (from >= to) return;
  Index count = (to - from + most - 1) / most, each = (to - from) / count, more = (to - from) % count;
  for (Index k = 0; k < count; k++) {
    Index height = each + (k < more);
    visit(from, height);
    from += height;
  }
}

// The same for tiles.
template <class W, class F>
INLINE void in_tiles(Index from, Index to, F visit) {
  in_parts(from, to, TALLEST<W>, visit);
}

// Calls visit(column, width) for panels of MOST vectors, the last one of as many as the columns need.
template <class F>
INLINE void in_panels(Index columns, F visit) {
  for (Index first = 0; first < columns; first += MOST * L) visit(first, lesser(MOST, (columns - first + L - 1) / L));
}

// The panels of the columns `from`, where one begins, up to `to`.
template <class F>
INLINE void in_panels(Index from, Index to, F visit) {
  in_panels(to - from, [&](Index first, Index width) { visit(from + first, width); });
}

// Numbers that a matrix of `columns` columns takes in panels.
template <class W>
static Index packed_size(Index depth, Index columns) {
  return padded<W>(depth) * ((columns + L - 1) / L) * L;
}

// Vectors of two rows, depths k and k + 1, into a panel of bfloat16.
INLINE void store_pair(Half* to, Vector first, Vector second) {
  Pairs both = paired(first, second);
  memcpy(to, &both, sizeof both);
}

// Panels of a matrix whose row of depth k begins at source(k). columns may be any number.
template <class F>
INLINE void pack_rows(F source, Index depth, Index columns, float* packed) {
  in_panels(columns, [&](Index first, Index width) {
    float* panel = packed + first * depth;
    for (Index k = 0; k < depth; k++) {
      const float* row = source(k);
      for (Index v = first; v < first + width * L; v += L, panel += L) store(panel, load(row + v, columns - v));
    }
  });
}

template <class F>
INLINE void pack_rows(F source, Index depth, Index columns, Half* packed) {
  in_panels(columns, [&](Index first, Index width) {
    Half* panel = packed + first * even(depth);
    for (Index k = 0; k < depth; k += 2) {
      const float *row = source(k), *next = k + 1 < depth ? source(k + 1) : nullptr;
      for (Index v = first; v < first + width * L; v += L, panel += 2 * L) {
        store_pair(panel, load(row + v, columns - v), next ? load(next + v, columns - v) : Vector{});
      }
    }
  });
}

// A block of at most L x L floats, zeros around them.
INLINE void load_block(const float* from, Index stride, Index rows, Index columns, Vector (&block)[L]) {
  UNROLL for (Index j = 0; j < L; j++) block[j] = j < rows ? load(from + j * stride, columns) : Vector{};
}

INLINE Vector sum_of(const Vector (&block)[L]) {
  Vector total = block[0];
  UNROLL for (Index j = 1; j < L; j++) total += block[j];
  return total;
}

// Its columns as vectors: lane j of vector k is from[j * stride + k].
INLINE void load_transposed(const float* from, Index stride, Index rows, Index columns, Vector (&block)[L]) {
  load_block(from, stride, rows, columns, block);
  transpose(block);
}

// One vector of a panel, from weights of which each column of the panel is a row: lane j is from[j * stride + k]. In
// the panel `width` vectors stand beside each other.
static void pack_column(const float* from, Index stride, Index lanes, Index depth, float* panel, Index width) {
  for (Index k = 0; k < depth; k += L) {
    Vector block[L];
    load_transposed(from + k, stride, lanes, depth - k, block);
    for (Index j = 0; j < lesser(L, depth - k); j++) store(panel + (k + j) * width * L, block[j]);
  }
}

static void pack_column(const float* from, Index stride, Index lanes, Index depth, Half* panel, Index width) {
  for (Index k = 0; k < depth; k += L) {
    Vector block[L];
    load_transposed(from + k, stride, lanes, depth - k, block);  // zeros behind the last
    for (Index j = 0; j < lesser(L, depth - k); j += 2) store_pair(panel + (k + j) * width * L, block[j], block[j + 1]);
  }
}

// Panels of a matrix that is given transposed: column j is the row from + j * stride.
template <class W>
static void pack_transposed(const float* from, Index stride, Index depth, Index columns, W* packed) {
  in_panels(columns, [&](Index first, Index width) {
    for (Index v = 0; v < width; v++) {
      Index column = first + v * L;
      W* panel = packed + first * padded<W>(depth) + v * L * (sizeof(W) == sizeof(Half) ? 2 : 1);
      pack_column(from + column * stride, stride, columns - column, depth, panel, width);
    }
  });
}

}  // namespace ISA
