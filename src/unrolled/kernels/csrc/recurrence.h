// Running a cell over time, forwards and back: a loop over time, over panels of units, over tiles of rows.
//
// Forwards a panel holds all gates of some units, so that a tile's product ends with what a tick of these units needs,
// in registers. Backwards it holds some units of the state before, and its depth is that of all gates: the product with
// the gradient of the gates of the step after is the recurrent part of dL/dh.
#pragma once

#include "cells.h"

namespace ISA {

// Vectors of units side by side in a panel of all gates, so that a tile has enough columns.
template <class Cell>
constexpr int units_wide = MOST / Cell::gates ? MOST / Cell::gates : 1;

template <class Cell, bool Keep>
INLINE void tick(const Layer& l, Index t, Index row, Index height, Index unit) {
  constexpr int G = Cell::gates, U = units_wide<Cell>;
  const float* rows[ROWS];
  Totals totals;
  for (Index m = 0; m < height; m++) {
    rows[m] = h_before(l, t, row + m);
    for (Index u = 0; u < U; u++) Place::fetch(Place::at(l, t, row + m, unit + u * L), Cell::width);
  }
  product(height, G * U, rows, l.weights + unit * G * l.hidden, l.hidden, totals);
  for (Index m = 0; m < height; m++) {
    for (Index u = 0; u < U && unit + u * L < l.hidden; u++) {
      Vector a[G];
      UNROLL for (int g = 0; g < G; g++) a[g] = Totals::at(totals, (m * G + g) * U + u);
      Cell::template tick<Keep>(Place::at(l, t, row + m, unit + u * L), a);
    }
  }
}

template <class Cell, bool Keep>
static void forward(const Slice& slice) {
  const Layer& l = *slice.layer;
  for (Index s = 0; s < l.steps; s++) {
    Index t = l.reverse ? l.steps - 1 - s : s, end = lesser(slice.to, l.sizes[t]);
    for (Index unit = 0; unit < l.hidden; unit += units_wide<Cell> * L) {
      in_tiles(slice.from, end, [&](Index row, Index height) { tick<Cell, Keep>(l, t, row, height, unit); });
    }
  }
}

// Floats of `pack_forward`'s panels.
template <class Cell>
static Index forward_size(Index hidden) {
  constexpr Index wide = units_wide<Cell> * L;
  return (hidden + wide - 1) / wide * wide * Cell::gates * hidden;
}

// weights: (gates * hidden, hidden), the next row `stride` floats on.
template <class Cell>
static void pack_forward(const float* weights, Index stride, Index hidden, float* packed) {
  constexpr int G = Cell::gates, U = units_wide<Cell>;
  for (Index unit = 0; unit < hidden; unit += U * L) {
    float* panel = packed + unit * G * hidden;
    for (int g = 0; g < G; g++) for (int u = 0; u < U; u++) {
      Index first = unit + u * L;
      const float* from = weights + (g * hidden + first) * stride;
      pack_column(from, stride, greater(0, hidden - first), hidden, panel + (g * U + u) * L, G * U * L);
    }
  }
}

// The recurrent part of the gradient of h before: of these rows' gates at time t, times the weights.
template <class Cell>
INLINE void product_back(const Layer& l, Index t, Index row, Index height, Index unit, Index width, Totals& totals) {
  const float* rows[ROWS];
  for (Index m = 0; m < height; m++) rows[m] = l.dgates + (l.starts[t] + row + m) * l.gates_stride;
  product(height, width, rows, l.weights + unit * Cell::gates * l.hidden, Cell::gates * l.hidden, totals);
}

// Rows at time t, where `Linked` says that the step after gives a part of their gradient.
template <class Cell, bool Linked>
INLINE void rows_back(const Layer& l, Index t, Index from, Index to) {
  in_panels(l.hidden, [&](Index unit, Index width) {
    in_tiles(from, to, [&](Index row, Index height) {
      Totals totals;
      for (Index m = 0; m < height; m++) {
        for (Index v = 0; v < width; v++) Place::fetch_back(Place::at(l, t, row + m, unit + v * L), Cell::width);
      }
      if (Linked) product_back<Cell>(l, l.reverse ? t - 1 : t + 1, row, height, unit, width, totals);
      for (Index m = 0; m < height; m++) {
        for (Index v = 0; v < width; v++) {
          Place p = Place::at(l, t, row + m, unit + v * L);
          Vector dh = p.dh();
          if (Linked) dh += Totals::at(totals, m * width + v);
          if (Cell::carries || !Linked) dh += p.carried(l.dh_carry);
          Cell::back(p, dh);
        }
      }
    });
  });
}

// The gradient of the initial hidden state of the rows whose first tick was at time t.
template <class Cell>
static void initial_gradient(const Layer& l, Index t, Index from, Index to) {
  in_panels(l.hidden, [&](Index unit, Index width) {
    in_tiles(from, to, [&](Index row, Index height) {
      Totals totals;
      product_back<Cell>(l, t, row, height, unit, width, totals);
      for (Index m = 0; m < height; m++) {
        for (Index v = 0; v < width; v++) {
          Place p = Place::at(l, t, row + m, unit + v * L);
          Vector dh = Totals::at(totals, m * width + v);
          p.carry(l.dh_carry, Cell::carries ? p.carried(l.dh_carry) + dh : dh);
        }
      }
    });
  });
}

template <class Cell>
static void backward(const Slice& slice) {
  const Layer& l = *slice.layer;
  for (Index s = 0; s < l.steps; s++) {
    Index t = l.reverse ? s : l.steps - 1 - s, end = lesser(slice.to, l.sizes[t]);
    if (end <= slice.from) continue;
    Index linked = l.reverse ? (t ? end : slice.from) : (t + 1 < l.steps ? lesser(end, l.sizes[t + 1]) : slice.from);
    linked = greater(linked, slice.from);
    rows_back<Cell, true>(l, t, slice.from, linked);
    rows_back<Cell, false>(l, t, linked, end);
  }
  // Forwards all rows began at time 0; backwards each at its own last element.
  if (!l.reverse) return initial_gradient<Cell>(l, 0, slice.from, slice.to);
  for (Index t = 0; t < l.steps; t++) {
    Index longer = t + 1 < l.steps ? l.sizes[t + 1] : 0;
    initial_gradient<Cell>(l, t, greater(slice.from, longer), lesser(slice.to, l.sizes[t]));
  }
}

template <class Cell>
static Index backward_size(Index hidden) {
  return packed_size(Cell::gates * hidden, hidden);
}

template <class Cell>
static void pack_backward(const float* weights, Index stride, Index hidden, float* packed) {
  pack_rows([&](Index k) { return weights + k * stride; }, Cell::gates * hidden, hidden, packed);
}

}  // namespace ISA
