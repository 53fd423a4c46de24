// The matrix products outside the recurrence: the input's share of the gates, and the gradients of input and weights.
//
// They are here, on the recurrence's own tiles, because the libraries that torch calls leave a part of the machine's
// speed unused on some processors, and because rows may be given by pointers: the hidden states before each element
// need not be gathered into a matrix of their own.
#pragma once

#include "gemm_types.h"
#include "panel.h"

namespace ISA {

constexpr Index DEPTH = 512;  // of a panel at a time: it stays in the second-level cache while all rows pass by
constexpr Index BLOCK = 96;   // rows of a transposed block

// Rows `from` to `to` of a product; `rows` says where row r's depth k begins.
template <class W, class F>
INLINE void multiply_rows(const Product& p, Index from, Index to, F source) {
  for (Index k = 0; k < p.depth || k == 0; k += DEPTH) {
    Index depth = lesser(DEPTH, p.depth - k);
    in_panels(p.columns, [&](Index first, Index width) {
      const W* panel = static_cast<const W*>(p.b) + first * padded<W>(p.depth) + k * width * L;
      in_tiles(from, to, [&](Index row, Index height) {
        const W* rows[ROWS];
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
  multiply_rows<float>(p, from, to, [&](Index row) { return p.a + row * p.a_stride; });
}

// In bfloat16, a block of rows at a time is rounded to it.
static void multiply(const Product& p, Index from, Index to, Half* scratch) {
  Index stride = even(p.depth);
  for (Index start = from; start < to; start += BLOCK) {
    Index stop = lesser(to, start + BLOCK);
    for (Index row = start; row < stop; row++) {
      Half* half = scratch + (row - start) * stride;
      half[stride - 1] = 0;
      for (Index k = 0; k < p.depth; k += L) {
        store_halves(half + k, load(p.a + row * p.a_stride + k, p.depth - k), p.depth - k);
      }
    }
    multiply_rows<Half>(p, start, stop, [&](Index row) { return scratch + (row - start) * stride; });
  }
}

// Numbers of scratch that `outer` needs.
template <class W>
static Index outer_scratch(Index columns) {
  return DEPTH * BLOCK + packed_size<W>(DEPTH, columns);
}

INLINE void store_row(float* to, Vector x) { store(to, x); }
INLINE void store_row(Half* to, Vector x) { store_halves(to, x, L); }

// The columns of a (depth, rows) matrix as rows, DEPTH numbers apart.
template <class W>
static void turn(const float* from, Index stride, Index depth, Index rows, W* to) {
  for (Index k = 0; k < depth; k += L) {
    for (Index m = 0; m < rows; m += L) {
      Vector block[L];
      load_transposed(from + k * stride + m, stride, depth - k, rows - m, block);
      for (Index j = 0; j < lesser(L, rows - m); j++) store_row(to + (m + j) * DEPTH + k, block[j]);
    }
  }
}

// Rows `from` to `to` of an outer product.
template <class W>
static void outer(const Outer& p, Index from, Index to, void* scratch) {
  W *block = static_cast<W*>(scratch), *panels = block + DEPTH * BLOCK;
  for (Index k = 0; k < p.depth || k == 0; k += DEPTH) {
    Index depth = lesser(DEPTH, p.depth - k);
    pack_rows([&](Index j) { return p.b[k + j]; }, depth, p.columns, panels);
    for (Index start = from; start < to; start += BLOCK) {
      Index height = lesser(BLOCK, to - start);
      turn(p.a + k * p.a_stride + start, p.a_stride, depth, height, block);
      Product inner = {nullptr, 0,       height,                         depth,      p.columns,
                       panels,  nullptr, p.c + start * p.c_stride, p.c_stride, p.add || k};
      multiply_rows<W>(inner, 0, height, [&](Index row) { return block + row * DEPTH; });
    }
  }
}

// The sum of each column from `from` to `to`.
static void sums(const float* a, Index stride, Index rows, Index from, Index to, float* total) {
  for (Index column = from; column < to; column += L) {
    Index lanes = lesser(L, to - column);
    Vector even{}, odd{};
    Index row = 0;
    for (; row + 2 <= rows; row += 2) {
      even += load(a + row * stride + column, lanes);
      odd += load(a + (row + 1) * stride + column, lanes);
    }
    if (row < rows) even += load(a + row * stride + column, lanes);
    store(total + column, even + odd, lanes);
  }
}

}  // namespace ISA
