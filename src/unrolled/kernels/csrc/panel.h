// The matrix product that everything here stands on: a few rows times a panel of weights, held in registers.
//
// A panel is `width` vectors of columns, packed so that it is read from its first float to its last:
//
//     panel[k * width * L + v * L + lane]        depth k, vector v
//
// The rows are given by pointers, so that they may lie anywhere: in the step before, in the initial state.
#pragma once

#include "simd.h"

namespace ISA {

// What a product gives: `rows` times `width` vectors, row after row.
struct Totals {
  alignas(64) float values[ROWS * MOST * L];
  INLINE Vector at(const Totals& totals, Index vector) { return load(totals.values + vector * L); }
};

constexpr Index CHUNK = 256;  // terms of a sum that are added one to the other; the error grows with their number

// From depth `start` on; the first chunk of a product begins its totals, the others add to them.
template <int M, int V>
static void tile(const float* const* rows, const float* panel, Index start, Index depth, Totals& totals) {
  const float* a[M];
  Vector total[M][V] = {};
  UNROLL for (int m = 0; m < M; m++) a[m] = rows[m] + start;
  if (M * V < 8) {  // too few sums to fill the pipeline: two for each, of even and odd depth
    Vector odd[M][V] = {};
    for (; depth >= 2; depth -= 2, panel += 2 * V * L) {
      UNROLL for (int m = 0; m < M; m++) {
        UNROLL for (int v = 0; v < V; v++) total[m][v] += a[m][0] * load(panel + v * L);
        UNROLL for (int v = 0; v < V; v++) odd[m][v] += a[m][1] * load(panel + (V + v) * L);
        a[m] += 2;
      }
    }
    UNROLL for (int m = 0; m < M; m++) UNROLL for (int v = 0; v < V; v++) total[m][v] += odd[m][v];
  }
  for (Index k = 0; k < depth; k++, panel += V * L) {
    Vector b[V];
    UNROLL for (int v = 0; v < V; v++) b[v] = load(panel + v * L);
    UNROLL for (int m = 0; m < M; m++) UNROLL for (int v = 0; v < V; v++) total[m][v] += a[m][k] * b[v];
  }
  UNROLL for (int m = 0; m < M; m++) UNROLL for (int v = 0; v < V; v++) {
    float* place = totals.values + (m * V + v) * L;
    store(place, start ? total[m][v] + load(place) : total[m][v]);
  }
}

using Tile = void (*)(const float* const* rows, const float* panel, Index start, Index depth, Totals& totals);

#define TILES(M) {tile<M, 1>, tile<M, 2>, tile<M, 3>, tile<M, 4>}
static constexpr Tile tiles[][MOST] = {
    TILES(1), TILES(2), TILES(3),
#if !defined(NARROW)
    TILES(4), TILES(5), TILES(6),
#endif
};
#undef TILES

INLINE void product(Index height, Index width, const float* const* rows, const float* panel, Index depth, Totals& totals) {
  Tile one = tiles[height - 1][width - 1];
  for (Index start = 0; start < depth || start == 0; start += CHUNK) {
    one(rows, panel + start * width * L, start, lesser(CHUNK, depth - start), totals);
  }
}

// Calls visit(row, height) for tiles of near-equal height from row `from` up to row `to`.
template <class F>
INLINE void in_tiles(Index from, Index to, F visit) {
  if (from >= to) return;
  Index count = (to - from + ROWS - 1) / ROWS, each = (to - from) / count, more = (to - from) % count;
  for (Index k = 0; k < count; k++) {
    Index height = each + (k < more);
    visit(from, height);
    from += height;
  }
}

// Calls visit(column, width) for panels of MOST vectors, the last one of as many as the columns need.
template <class F>
INLINE void in_panels(Index columns, F visit) {
  for (Index first = 0; first < columns; first += MOST * L) visit(first, lesser(MOST, (columns - first + L - 1) / L));
}

// Floats that a matrix of `columns` columns takes in panels.
static Index packed_size(Index depth, Index columns) { return depth * ((columns + L - 1) / L) * L; }

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

// A block of at most L x L floats, its columns as vectors: lane j of vector k is from[j * stride + k].
INLINE void load_transposed(const float* from, Index stride, Index rows, Index columns, Vector (&block)[L]) {
  UNROLL for (Index j = 0; j < L; j++) block[j] = j < rows ? load(from + j * stride, columns) : Vector{};
  transpose(block);
}

// One vector of a panel, from weights of which each column of the panel is a row: lane j is from[j * stride + k].
static void pack_column(const float* from, Index stride, Index lanes, Index depth, float* panel, Index step) {
  for (Index k = 0; k < depth; k += L) {
    Vector block[L];
    load_transposed(from + k, stride, lanes, depth - k, block);
    for (Index j = 0; j < lesser(L, depth - k); j++) store(panel + (k + j) * step, block[j]);
  }
}

// Panels of a matrix that is given transposed: column j is the row from + j * stride.
static void pack_transposed(const float* from, Index stride, Index depth, Index columns, float* packed) {
  in_panels(columns, [&](Index first, Index width) {
    for (Index v = 0; v < width; v++) {
      Index column = first + v * L;
      pack_column(from + column * stride, stride, columns - column, depth, packed + first * depth + v * L, width * L);
    }
  });
}

}  // namespace ISA
