// The matrix products outside the recurrence: the input's share of the gates, and the gradients of input and weights.
//
// They are here, on the recurrence's own tiles, because the libraries that torch calls leave a part of the machine's
// speed unused on some processors, and because rows may be given by pointers: the hidden states before each element
// need not be gathered into a matrix of their own.
#pragma once

#include "gemm_types.h"
#include "panel.h"

namespace ISA {

constexpr Index DEPTH = 512;  // of a panel at a time
constexpr Index BLOCK = 96;   // rows at a time, at most: they stay in the second-level cache while all panels pass by

// Rows `from` to `to` of a product; `rows` says where row r's depth k begins.
template <class W, class F>
INLINE void multiply_rows(const Product& p, Index from, Index to, F source) {
  for (Index k = 0; k < p.depth || k == 0; k += DEPTH) {
    Index depth = lesser(DEPTH, p.depth - k);
    in_panels(p.columns, [&](Index first, Index width) {
      const W* panel = static_cast<const W*>(p.b) + first * padded<W>(p.depth) + k * width * L;
      in_tiles<W>(from, to, [&](Index row, Index height) {
        const W* rows[TALLEST<W>];
        Totals totals;
        for (Index m = 0; m < height; m++) {
          rows[m] = source(row + m) + k;
          // Asked for while the product is under way: most of it was not touched for long.
          for (Index v = 0; v < width; v++) __builtin_prefetch(p.c + (row + m) * p.c_stride + first + v * L, 1);
        }
        product(height, width, rows, panel, depth, totals);
        for (Index m = 0; m < height; m++) {
          for (Index v = 0; v < width; v++) {
            Index column = first + v * L, lanes = p.columns - column;
            float* place = p.c + (row + m) * p.c_stride + column;
            Vector total = Totals::at(totals, m * width + v);
            if (p.add || k) total += load(place, lanes);
            else if (p.bias) total += load(p.bias + column, lanes);
            store(place, total, lanes);
          }
        }
      });
    });
  }
}

// Halves of scratch that `multiply` needs for so many rows.
template <class W>
static Index multiply_scratch(Index depth, Index rows) {
  return sizeof(W) == sizeof(Half) ? lesser(rows, BLOCK) * even(depth) : 0;
}

static void multiply(const Product& p, Index from, Index to, float*) {
  in_parts(from, to, BLOCK, [&](Index start, Index height) {
    multiply_rows<float>(p, start, start + height, [&](Index row) { return p.a + row * p.a_stride; });
  });
}

// In bfloat16, a block of rows at a time is rounded to it.
static void multiply(const Product& p, Index from, Index to, Half* scratch) {
  Index stride = even(p.depth);
  in_parts(from, to, BLOCK, [&](Index start, Index height) {
    for (Index row = start; row < start + height; row++) {
      Half* half = scratch + (row - start) * stride;
      half[stride - 1] = 0;
      for (Index k = 0; k < p.depth; k += L) {
        store_halves(half + k, load(p.a + row * p.a_stride + k, p.depth - k), p.depth - k);
      }
    }
    multiply_rows<Half>(p, start, start + height, [&](Index row) { return scratch + (row - start) * stride; });
  });
}

// Numbers of scratch that `outer` needs.
template <class W>
static Index outer_scratch(Index columns, Index more_columns) {
  return DEPTH * BLOCK + packed_size<W>(DEPTH, columns) + packed_size<W>(DEPTH, more_columns);
}

INLINE void store_row(float* to, Vector x) { store(to, x); }
INLINE void store_row(Half* to, Vector x) { store_halves(to, x, L); }

// The columns of a (depth, rows) matrix as rows, DEPTH numbers apart; their sums are added to `total`, if given.
template <class W>
static void turn(const float* from, Index stride, Index depth, Index rows, W* to, float* total) {
  for (Index m = 0; m < rows; m += L) {
    Index lanes = lesser(L, rows - m);
    Vector sums{};
    for (Index k = 0; k < depth; k += L) {
      Vector block[L];
      load_block(from + k * stride + m, stride, depth - k, lanes, block);
      if (total) sums += sum_of(block);
      transpose(block);
      for (Index j = 0; j < lanes; j++) store_row(to + (m + j) * DEPTH + k, block[j]);
    }
    if (total) store(total + m, load(total + m, lanes) + sums, lanes);
  }
}

// Rows `from` to `to` of an outer product.
template <class W>
static void outer(const Outer& p, Index from, Index to, void* scratch) {
  W *block = static_cast<W*>(scratch), *panels = block + DEPTH * BLOCK;
  W* more = panels + packed_size<W>(DEPTH, p.columns);
  if (p.total) memset(p.total + from, 0, (to - from) * sizeof(float));
  for (Index k = 0; k < p.depth || k == 0; k += DEPTH) {
    Index depth = lesser(DEPTH, p.depth - k), add = p.add || k;
    pack_rows([&](Index j) { return p.b[k + j]; }, depth, p.columns, panels);
    if (p.more_columns) pack_rows([&](Index j) { return p.more_b[k + j]; }, depth, p.more_columns, more);
    for (Index start = from; start < to; start += BLOCK) {
      Index height = lesser(BLOCK, to - start);
      turn(p.a + k * p.a_stride + start, p.a_stride, depth, height, block, p.total ? p.total + start : nullptr);
      auto rows = [&](Index row) { return block + row * DEPTH; };
      float* c = p.c + start * p.c_stride;
      multiply_rows<W>({nullptr, 0, height, depth, p.columns, panels, nullptr, c, p.c_stride, add}, 0, height, rows);
      if (!p.more_columns) continue;
      c = p.more_c + start * p.more_stride;
      Product also = {nullptr, 0, height, depth, p.more_columns, more, nullptr, c, p.more_stride, add};
      multiply_rows<W>(also, 0, height, rows);
    }
  }
}

}  // namespace ISA
