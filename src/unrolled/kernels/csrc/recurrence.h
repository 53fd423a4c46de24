// Running a cell over time, forwards and back: a loop over time, over panels of units, over tiles of rows.
//
// Forwards a panel holds all gates of some units, so that a tile's product ends with what a tick of these units needs,
// in registers. Backwards it holds some units of the state before, and its depth is that of all gates: the product with
// the gradient of the gates of the step after is the recurrent part of dL/dh. Those panels are of the weights as they are.
#pragma once

#include "cells.h"

namespace ISA {

// Vectors of units side by side in a panel of all gates, so that a tile has enough columns.
template <class Cell>
constexpr int units_wide = MOST / Cell::gates ? MOST / Cell::gates : 1;

// Where the rows stand that a product multiplies: in the tensors themselves, or, where the weights are bfloat16, in two
// steps of rows beside, turn about.
template <class W>
struct Rows {
  INLINE const float* state(const Slice& s, Index t, Index row) { return h_before(*s.layer, t, row); }
  INLINE const float* gates(const Slice& s, Index t, Index row, Index) {
    return s.layer->dgates + (s.layer->starts[t] + row) * s.layer->gates_stride;
  }
  INLINE Half* beside(const Slice&, Index, Index, Index) { return nullptr; }
};

template <>
struct Rows<Half> {
  INLINE Half* beside(const Slice& s, Index t, Index row, Index width) {
    return s.halves + ((t & 1) * (s.to - s.from) + row - s.from) * even(width);
  }
  INLINE const Half* state(const Slice& s, Index t, Index row) {
    return beside(s, s.layer->reverse ? t + 1 : t - 1, row, s.layer->hidden);
  }
  INLINE const Half* gates(const Slice& s, Index t, Index row, Index width) { return beside(s, t, row, width); }
};

// Before a row's first step stands its initial state, whichever of the two turns that is.
static void begin(const Slice& s) {
  const Layer& l = *s.layer;
  Index stride = even(l.hidden);
  for (Index turn = 0; turn < 2; turn++) {
    for (Index row = s.from; row < s.to; row++) {
      Half* to = Rows<Half>::beside(s, turn, row, l.hidden);
      to[stride - 1] = 0;
      for (Index unit = 0; unit < l.hidden; unit += L) {
        store_halves(to + unit, load(l.h0 + row * l.hidden + unit, l.hidden - unit), l.hidden - unit);
      }
    }
  }
}

template <class Cell, class W>
INLINE void tick(const Slice& s, Index t, Index row, Index height, Index unit) {
  constexpr int G = Cell::gates, U = units_wide<Cell>;
  const Layer& l = *s.layer;
  const W* rows[ROWS];
  Totals totals;
  for (Index m = 0; m < height; m++) {
    rows[m] = Rows<W>::state(s, t, row + m);
    for (Index u = 0; u < U; u++) Place::fetch(Place::at(l, t, row + m, unit + u * L), Cell::width);
  }
  const W* panel = static_cast<const W*>(l.weights) + unit * G * padded<W>(l.hidden);
  product(height, G * U, rows, panel, l.hidden, totals);
  for (Index m = 0; m < height; m++) {
    Half* halves = Rows<W>::beside(s, t, row + m, l.hidden);
    for (Index u = 0; u < U && unit + u * L < l.hidden; u++) {
      Vector a[G];
      UNROLL for (int g = 0; g < G; g++) a[g] = Totals::at(totals, (m * G + g) * U + u);
      Cell::tick(Place::at(l, t, row + m, unit + u * L, halves), a);
    }
  }
}

template <class Cell, class W>
static void forward(const Slice& s) {
  const Layer& l = *s.layer;
  if (sizeof(W) == sizeof(Half)) begin(s);
  for (Index step = 0; step < l.steps; step++) {
    Index t = l.reverse ? l.steps - 1 - step : step, end = lesser(s.to, l.sizes[t]);
    for (Index unit = 0; unit < l.hidden; unit += units_wide<Cell> * L) {
      in_tiles(s.from, end, [&](Index row, Index height) { tick<Cell, W>(s, t, row, height, unit); });
    }
  }
}

// Numbers of `pack_forward`'s panels.
template <class Cell, class W>
static Index forward_size(Index hidden) {
  constexpr Index wide = units_wide<Cell> * L;
  return (hidden + wide - 1) / wide * wide * Cell::gates * padded<W>(hidden);
}

// weights: (gates * hidden, hidden), the next row `stride` floats on.
template <class Cell, class W>
static void pack_forward(const float* weights, Index stride, Index hidden, void* packed) {
  constexpr int G = Cell::gates, U = units_wide<Cell>, lane = sizeof(W) == sizeof(Half) ? 2 : 1;
  for (Index unit = 0; unit < hidden; unit += U * L) {
    W* panel = static_cast<W*>(packed) + unit * G * padded<W>(hidden);
    for (int g = 0; g < G; g++) {
      for (int u = 0; u < U; u++) {
        Index first = unit + u * L;
        const float* from = weights + (g * hidden + first) * stride;
        pack_column(from, stride, hidden - first, hidden, panel + (g * U + u) * L * lane, G * U);
      }
    }
  }
}

// The recurrent part of the gradient of h before: of these rows' gates at time t, times the weights.
template <class Cell, class W>
INLINE void product_back(const Slice& s, Index t, Index row, Index height, Index unit, Index width, Totals& totals) {
  const Layer& l = *s.layer;
  Index depth = Cell::gates * l.hidden;
  const W* rows[ROWS];
  for (Index m = 0; m < height; m++) rows[m] = Rows<W>::gates(s, t, row + m, Cell::width * l.hidden);
  product(height, width, rows, static_cast<const W*>(l.weights) + unit * padded<W>(depth), depth, totals);
}

// Rows at time t, where `Linked` says that the step after gives a part of their gradient.
template <class Cell, class W, bool Linked>
INLINE void rows_back(const Slice& s, Index t, Index from, Index to) {
  const Layer& l = *s.layer;
  in_panels(l.hidden, [&](Index unit, Index width) {
    in_tiles(from, to, [&](Index row, Index height) {
      Totals totals;
      for (Index m = 0; m < height; m++) {
        for (Index v = 0; v < width; v++) Place::fetch_back(Place::at(l, t, row + m, unit + v * L), Cell::width);
      }
      if (Linked) product_back<Cell, W>(s, l.reverse ? t - 1 : t + 1, row, height, unit, width, totals);
      for (Index m = 0; m < height; m++) {
        Half* halves = Rows<W>::beside(s, t, row + m, Cell::width * l.hidden);
        for (Index v = 0; v < width; v++) {
          Place p = Place::at(l, t, row + m, unit + v * L, halves);
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
template <class Cell, class W>
static void initial_gradient(const Slice& s, Index t, Index from, Index to) {
  const Layer& l = *s.layer;
  in_panels(l.hidden, [&](Index unit, Index width) {
    in_tiles(from, to, [&](Index row, Index height) {
      Totals totals;
      product_back<Cell, W>(s, t, row, height, unit, width, totals);
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

template <class Cell, class W>
static void backward(const Slice& s) {
  const Layer& l = *s.layer;
  if (sizeof(W) == sizeof(Half)) {
    memset(s.halves, 0, 2 * (s.to - s.from) * even(Cell::width * l.hidden) * sizeof(Half));
  }
  for (Index step = 0; step < l.steps; step++) {
    Index t = l.reverse ? step : l.steps - 1 - step, end = lesser(s.to, l.sizes[t]);
    if (end <= s.from) continue;
    Index linked = l.reverse ? (t ? end : s.from) : (t + 1 < l.steps ? lesser(end, l.sizes[t + 1]) : s.from);
    linked = greater(linked, s.from);
    rows_back<Cell, W, true>(s, t, s.from, linked);
    rows_back<Cell, W, false>(s, t, linked, end);
  }
  // Forwards all rows began at time 0; backwards each at its own last element.
  if (!l.reverse) return initial_gradient<Cell, W>(s, 0, s.from, s.to);
  for (Index t = 0; t < l.steps; t++) {
    Index longer = t + 1 < l.steps ? l.sizes[t + 1] : 0;
    initial_gradient<Cell, W>(s, t, greater(s.from, longer), lesser(s.to, l.sizes[t]));
  }
}

// Halves that a slice of so many rows needs.
template <class Cell, class W>
static Index room(Index hidden, Index rows) {
  return sizeof(W) == sizeof(Half) ? 2 * rows * even(Cell::width * hidden) : 0;
}

}  // namespace ISA
