// Running a cell over time, forwards and back: a loop over time, over panels of units, over tiles of rows.
//
// Forwards a panel holds all gates of some units, so that a tile's product ends with what a tick of these units needs,
// in registers. Backwards it holds some units of the state before, and its depth is that of all gates: the product with
// the gradient of the gates of the step after is the recurrent part of dL/dh. Those panels are of the weights as they
// are. Some cells have a second product in each tick, which needs all units of the first.
#pragma once

#include "cells.h"

namespace ISA {

// Vectors of units side by side in a panel of all gates, so that a tile has enough columns.
template <class Cell>
constexpr int units_wide = MOST / Cell::gates ? MOST / Cell::gates : 1;

// A slice's part of `columns`, in whole panels of `width`.
struct Columns {
  Index from, to;
  INLINE Columns of(const Slice& s, Index columns, Index width) {
    Index panels = (columns + width - 1) / width;
    return {panels * s.part / s.parts * width, lesser(columns, panels * (s.part + 1) / s.parts * width)};
  }
};

INLINE void wait(const Slice& s) {
  if (s.parts > 1) s.wait(s.team);
}

// Where the rows stand that a product multiplies: in the tensors themselves, or, where the weights are bfloat16, in
// rows beside. Of what the next step multiplies there are two steps of rows, turn about; of what the second product of
// the same step multiplies, one.
template <class W>
struct Rows {
  INLINE const float* state(const Slice& s, Index t, Index row) { return h_before(*s.layer, t, row); }
  INLINE const float* gates(const Slice& s, Index t, Index row, Index) {
    return s.layer->dgates + (s.layer->starts[t] + row) * s.layer->gates_stride;
  }
  INLINE const float* among(const Slice& s, const float* base, Index width, Index t, Index row, Index) {
    return base + (s.layer->starts[t] + row) * width;
  }
  INLINE Half* beside(const Slice&, Index, Index, Index) { return nullptr; }
  INLINE Half* between(const Slice&, Index, Index, Index) { return nullptr; }
};

template <>
struct Rows<Half> {
  INLINE Half* beside(const Slice& s, Index t, Index row, Index width) {
    return s.halves + ((t & 1) * (s.to - s.from) + row - s.from) * even(width);
  }
  // Behind the two steps of rows of width `first`.
  INLINE Half* between(const Slice& s, Index row, Index first, Index width) {
    return s.halves + 2 * (s.to - s.from) * even(first) + (row - s.from) * even(width);
  }
  INLINE const Half* state(const Slice& s, Index t, Index row) {
    return beside(s, s.layer->reverse ? t + 1 : t - 1, row, s.layer->output);
  }
  INLINE const Half* gates(const Slice& s, Index t, Index row, Index width) { return beside(s, t, row, width); }
  INLINE const Half* among(const Slice& s, const float*, Index width, Index, Index row, Index first) {
    return between(s, row, first, width);
  }
};

// What other members have just written lies in their processors' caches: asked for line after line, when it is needed,
// it would be waited for each time.
template <class W>
INLINE void fetch(const W* row, Index count) {
  constexpr Index line = 64 / sizeof(W);
  for (Index k = 0; k < count; k += line) __builtin_prefetch(row + k, 0, 2);
}

// Before a row's first step stands its initial state, whichever of the two turns that is.
static void begin(const Slice& s) {
  const Layer& l = *s.layer;
  if (s.part == 0) {
    for (Index turn = 0; turn < 2; turn++) {
      for (Index row = s.from; row < s.to; row++) {
        Half* to = Rows<Half>::beside(s, turn, row, l.output);
        to[even(l.output) - 1] = 0;
        for (Index unit = 0; unit < l.output; unit += L) {
          store_halves(to + unit, load(l.h0 + row * l.output + unit, l.output - unit), l.output - unit);
        }
      }
    }
    for (Index row = s.from; row < s.to && l.middle; row++) {
      Rows<Half>::between(s, row, l.output, l.hidden)[even(l.hidden) - 1] = 0;
    }
  }
  wait(s);
}

template <class Cell, class W>
INLINE void tick(const Slice& s, Index t, Index row, Index height, Index unit) {
  constexpr int G = Cell::gates, U = units_wide<Cell>;
  const Layer& l = *s.layer;
  const W* rows[TALLEST<W>];
  Totals totals;
  for (Index m = 0; m < height; m++) {
    rows[m] = Rows<W>::state(s, t, row + m);
    for (Index u = 0; u < U; u++) Place::fetch(Place::at(l, t, row + m, unit + u * L, l.hidden), Cell::width);
  }
  const W* panel = static_cast<const W*>(l.weights) + unit * G * padded<W>(l.output);
  product(height, G * U, rows, panel, l.output, totals);
  for (Index m = 0; m < height; m++) {
    Half* halves = Cell::twice ? Rows<W>::between(s, row + m, l.output, l.hidden)
                               : Rows<W>::beside(s, t, row + m, l.output);
    for (Index u = 0; u < U && unit + u * L < l.hidden; u++) {
      Vector a[G];
      UNROLL for (int g = 0; g < G; g++) a[g] = Totals::at(totals, (m * G + g) * U + u);
      Cell::tick(Place::at(l, t, row + m, unit + u * L, l.hidden, halves), a);
    }
  }
}

// The second product, of what the first left in the middle.
template <class Cell, class W>
INLINE void tick_again(const Slice& s, Index t, Index end) {
  const Layer& l = *s.layer;
  Columns mine = Columns::of(s, l.output, MOST * L);
  in_panels(mine.from, mine.to, [&](Index unit, Index width) {
    const W* panel = static_cast<const W*>(l.second) + unit * padded<W>(l.hidden);
    in_tiles<W>(s.from, end, [&](Index row, Index height) {
      const W* rows[TALLEST<W>];
      Totals totals;
      for (Index m = 0; m < height; m++) rows[m] = Rows<W>::among(s, l.middle, l.hidden, t, row + m, l.output);
      product(height, width, rows, panel, l.hidden, totals);
      for (Index m = 0; m < height; m++) {
        Half* halves = Rows<W>::beside(s, t, row + m, l.output);
        for (Index v = 0; v < width; v++) {
          Place p = Place::at(l, t, row + m, unit + v * L, l.output, halves);
          Cell::tick_again(p, Totals::at(totals, m * width + v));
        }
      }
    });
  });
}

template <class Cell, class W>
static void forward(const Slice& s) {
  const Layer& l = *s.layer;
  constexpr Index wide = units_wide<Cell> * L;
  if (sizeof(W) == sizeof(Half)) begin(s);
  Columns mine = Columns::of(s, l.hidden, wide);
  for (Index step = 0; step < l.steps; step++) {
    Index t = l.reverse ? l.steps - 1 - step : step, end = lesser(s.to, l.sizes[t]);
    for (Index row = s.from; row < end && s.parts > 1; row++) fetch(Rows<W>::state(s, t, row), l.output);
    for (Index unit = mine.from; unit < mine.to; unit += wide) {
      in_tiles<W>(s.from, end, [&](Index row, Index height) { tick<Cell, W>(s, t, row, height, unit); });
    }
    wait(s);
    if constexpr (Cell::twice) {
      tick_again<Cell, W>(s, t, end);
      wait(s);
    }
  }
}

// Numbers of `pack_forward`'s panels.
template <class Cell, class W>
static Index forward_size(Index hidden, Index depth) {
  constexpr Index wide = units_wide<Cell> * L;
  return (hidden + wide - 1) / wide * wide * Cell::gates * padded<W>(depth);
}

// The units `from`, where a panel begins, up to `to`. weights: (gates * hidden, depth), rows `stride` apart.
template <class Cell, class W>
static void pack_forward(const float* weights, Index stride, Index hidden, Index depth, Index from, Index to,
                         void* packed) {
  constexpr int G = Cell::gates, U = units_wide<Cell>, lane = sizeof(W) == sizeof(Half) ? 2 : 1;
  for (Index unit = from; unit < to; unit += U * L) {
    W* panel = static_cast<W*>(packed) + unit * G * padded<W>(depth);
    for (int g = 0; g < G; g++) {
      for (int u = 0; u < U; u++) {
        Index first = unit + u * L;
        const float* row = weights + (g * hidden + first) * stride;
        pack_column(row, stride, hidden - first, depth, panel + (g * U + u) * L * lane, G * U);
      }
    }
  }
}

// The recurrent part of the gradient of h before: of these rows' gates at time t, times the weights.
template <class Cell, class W>
INLINE void product_back(const Slice& s, Index t, Index row, Index height, Index unit, Index width, Totals& totals) {
  const Layer& l = *s.layer;
  Index depth = Cell::gates * l.hidden;
  const W* rows[TALLEST<W>];
  for (Index m = 0; m < height; m++) rows[m] = Rows<W>::gates(s, t, row + m, Cell::width * l.hidden);
  product(height, width, rows, static_cast<const W*>(l.weights) + unit * padded<W>(depth), depth, totals);
}

// Rows at time t, where `Linked` says that the step after gives a part of their gradient.
template <class Cell, class W, bool Linked>
INLINE void rows_back(const Slice& s, Index t, Index from, Index to) {
  const Layer& l = *s.layer;
  Columns mine = Columns::of(s, l.output, MOST * L);
  in_panels(mine.from, mine.to, [&](Index unit, Index width) {
    in_tiles<W>(from, to, [&](Index row, Index height) {
      Totals totals;
      for (Index m = 0; m < height; m++) {
        for (Index v = 0; v < width; v++) {
          Place::fetch_back(Place::at(l, t, row + m, unit + v * L, l.output), Cell::width);
        }
      }
      if (Linked) product_back<Cell, W>(s, l.reverse ? t - 1 : t + 1, row, height, unit, width, totals);
      for (Index m = 0; m < height; m++) {
        Half* halves = Rows<W>::beside(s, t, row + m, Cell::width * l.hidden);
        if (Cell::twice && l.dtotal) halves = Rows<W>::between(s, row + m, Cell::width * l.hidden, l.output);
        for (Index v = 0; v < width; v++) {
          Place p = Place::at(l, t, row + m, unit + v * L, l.output, halves);
          Vector dh = p.dh();
          if (Linked) dh += Totals::at(totals, m * width + v);
          if (Cell::carries || !Linked) dh += p.dh_carried();
          if constexpr (Cell::twice) Cell::back_first(p, dh);
          else Cell::back(p, dh);
        }
      }
    });
  });
}

// Back through the second product: of the gradient of what was projected, or of the last block of the gates.
template <class Cell, class W>
INLINE void rows_back_again(const Slice& s, Index t, Index end) {
  const Layer& l = *s.layer;
  Index depth = l.output, last = (Cell::width - 1) * l.hidden, all = Cell::width * l.hidden;
  Columns mine = Columns::of(s, l.hidden, MOST * L);
  in_panels(mine.from, mine.to, [&](Index unit, Index width) {
    const W* panel = static_cast<const W*>(l.second) + unit * padded<W>(depth);
    in_tiles<W>(s.from, end, [&](Index row, Index height) {
      const W* rows[TALLEST<W>];
      Totals totals;
      for (Index m = 0; m < height; m++) {
        rows[m] = l.dtotal ? Rows<W>::among(s, l.dtotal, l.output, t, row + m, all)
                           : Rows<W>::gates(s, t, row + m, all) + last;
      }
      product(height, width, rows, panel, depth, totals);
      for (Index m = 0; m < height; m++) {
        Half* halves = Rows<W>::beside(s, t, row + m, all);
        for (Index v = 0; v < width; v++) {
          Cell::back(Place::at(l, t, row + m, unit + v * L, l.hidden, halves), Totals::at(totals, m * width + v));
        }
      }
    });
  });
}

// The gradient of the initial hidden state of the rows whose first tick was at time t.
template <class Cell, class W>
static void initial_gradient(const Slice& s, Index t, Index from, Index to) {
  const Layer& l = *s.layer;
  Columns mine = Columns::of(s, l.output, MOST * L);
  in_panels(mine.from, mine.to, [&](Index unit, Index width) {
    in_tiles<W>(from, to, [&](Index row, Index height) {
      Totals totals;
      product_back<Cell, W>(s, t, row, height, unit, width, totals);
      for (Index m = 0; m < height; m++) {
        for (Index v = 0; v < width; v++) {
          Place p = Place::at(l, t, row + m, unit + v * L, l.output);
          Vector dh = Totals::at(totals, m * width + v);
          p.carry_dh(Cell::carries ? p.dh_carried() + dh : dh);
        }
      }
    });
  });
}

// Halves that a slice of so many rows needs, in the pass forwards and in the one back.
template <class Cell, class W>
static Index room(const Layer& l, Index rows, Index backwards) {
  if (sizeof(W) != sizeof(Half)) return 0;
  Index turns = backwards ? Cell::width * l.hidden : l.output, once = backwards ? l.output : l.hidden;
  return rows * (2 * even(turns) + (Cell::twice ? even(once) : 0));
}

template <class Cell, class W>
static void backward(const Slice& s) {
  const Layer& l = *s.layer;
  if (sizeof(W) == sizeof(Half)) {
    if (s.part == 0) memset(s.halves, 0, room<Cell, W>(l, s.to - s.from, 1) * sizeof(Half));
    wait(s);
  }
  for (Index step = 0; step < l.steps; step++) {
    Index t = l.reverse ? step : l.steps - 1 - step, end = lesser(s.to, l.sizes[t]);
    if (end > s.from) {
      Index linked = l.reverse ? (t ? end : s.from) : (t + 1 < l.steps ? lesser(end, l.sizes[t + 1]) : s.from);
      linked = greater(linked, s.from);
      for (Index row = s.from; row < linked && s.parts > 1; row++) {
        fetch(Rows<W>::gates(s, l.reverse ? t - 1 : t + 1, row, Cell::width * l.hidden), Cell::gates * l.hidden);
      }
      rows_back<Cell, W, true>(s, t, s.from, linked);
      rows_back<Cell, W, false>(s, t, linked, end);
    }
    wait(s);
    if constexpr (Cell::twice) {
      rows_back_again<Cell, W>(s, t, end);
      wait(s);
    }
  }
  // Forwards all rows began at time 0; backwards each at its own last element.
  if (!l.reverse) return initial_gradient<Cell, W>(s, 0, s.from, s.to);
  for (Index t = 0; t < l.steps; t++) {
    Index longer = t + 1 < l.steps ? l.sizes[t + 1] : 0;
    initial_gradient<Cell, W>(s, t, greater(s.from, longer), lesser(s.to, l.sizes[t]));
  }
}

// The gradient of the peepholes of the units `from` to `to`.
static void peepholes_back(const Layer& l, Index from, Index to) {
  for (Index unit = from; unit < to; unit += L) {
    Vector total[3] = {};
    Index lanes = lesser(L, to - unit);
    for (Index t = 0; t < l.steps; t++) {
      for (Index row = 0; row < l.sizes[t]; row++) {
        Place p = Place::at(l, t, row, unit, to);
        Vector c = p.c_before();
        total[0] += load(p.block(l.dgates, 0), lanes) * c;
        total[1] += load(p.block(l.dgates, 1), lanes) * c;
        total[2] += load(p.block(l.dgates, 3), lanes) * p.c();
      }
    }
    for (Index k = 0; k < 3; k++) store(l.dvectors + k * l.hidden + unit, total[k], lanes);
  }
}

}  // namespace ISA
