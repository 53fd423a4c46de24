// A decoder that attends behind its cell and reads, at each step, what it showed at the step before: the input feeding of
// Luong, Pham & Manning 2015, section 3.3.
//
//     h_t = cell([x_t, r_{t-1}], h_{t-1})     c_t = attend(h_t)     r_t = tanh(what the words give + V h_t + W c_t)
//
// Rows do not meet, so that a slice of them runs from the first step to the last in one thread. The words' shares of the
// gates and of what is shown are there beforehand.
#pragma once

#include "attention.h"

namespace ISA {

// Halves that a slice of so many rows needs, in either pass.
template <class Cell, class W>
static Index feeding_room(const Layer& l, const Feeding& f, Index rows) {
  const Attention& a = *f.attention;
  Index depth = greater(greater(Cell::width * l.hidden, f.shown), greater(a.features, a.units));
  return recurrent_room<Cell, W>(l, rows) + multiply_scratch<W>(depth, rows);
}

// What the step at time t reads of what was shown before, rows `shown` apart.
INLINE float* before(const Layer& l, float* all, const float* first, Index shown, Index t) {
  return t ? all + l.starts[t - 1] * shown : const_cast<float*>(first);
}

template <class Cell, class W>
static void feed(const Fed& w) {
  const Feeding& f = *w.feeding;
  const Attention& a = *f.attention;
  const Slice& s = w.at.rows;
  const Layer& l = *s.layer;
  W* halves = product_room<Cell, W>(s);
  if (sizeof(W) == sizeof(Half)) begin(s);
  for (Index t = 0; t < l.steps; t++) {
    Index end = lesser(s.to, l.sizes[t]), at = l.starts[t];
    if (end <= s.from) break;
    for (Index k = 0; k < a.blocks; k++) {
      Product read = {before(l, f.shows, f.first, f.shown, t), f.shown, end, f.shown, a.columns[k], a.context[k],
                      nullptr, l.gates + at * l.gates_stride + a.at[k], l.gates_stride, 1};
      multiply(read, s.from, end, halves);
    }
    for (Index unit = 0; unit < l.hidden; unit += units_wide<Cell> * L) {
      in_tiles<W>(s.from, end, [&](Index row, Index height) { tick<Cell, W>(s, t, row, height, unit); });
    }
    const float* h = l.h + at * l.h_stride;
    Product query = {h, l.h_stride, end, l.hidden, a.units, a.query, a.bias, a.queries + at * a.units, a.units, 0};
    if (a.query) multiply(query, s.from, end, halves);
    for (Index row = s.from; row < end; row++) look(a, at + row, row);
    float* shows = f.shows + at * f.shown;
    Product of_state = {h, l.h_stride, end, l.hidden, f.shown, f.of_state, nullptr, shows, f.shown, 1};
    multiply(of_state, s.from, end, halves);
    Product of_context = {a.contexts + at * a.features, a.features, end, a.features, f.shown, f.of_context,
                          nullptr, shows, f.shown, 1};
    multiply(of_context, s.from, end, halves);
    float* from = shows + s.from * f.shown;
    in_vectors((end - s.from) * f.shown, [&](Index k, Index lanes) {
      store(from + k, tanh(load(from + k, lanes)), lanes);
    });
  }
}

// From the gradient of what is shown at time t to those of the state and of the query.
template <class Cell, class W>
static void shown_back(const Fed& w, Index t, Index end) {
  const Feeding& f = *w.feeding;
  const Attention& a = *f.attention;
  const Slice& s = w.at.rows;
  const Layer& l = *s.layer;
  W* halves = product_room<Cell, W>(s);
  Index at = l.starts[t], first = (at + s.from) * f.shown;
  in_vectors((end - s.from) * f.shown, [&](Index k, Index lanes) {
    Vector shown = load(f.shows + first + k, lanes);
    store(f.dshows + first + k, load(f.dshows + first + k, lanes) * (1.0f - shown * shown), lanes);
  });
  const float* d = f.dshows + at * f.shown;
  float* dh = a.dh + at * l.dh_stride;
  Product of_context = {d, f.shown, end, f.shown, a.features, f.of_context, nullptr, a.dcontexts + at * a.features,
                        a.features, 1};
  multiply(of_context, s.from, end, halves);
  Product of_state = {d, f.shown, end, f.shown, l.hidden, f.of_state, nullptr, dh, l.dh_stride, 1};
  multiply(of_state, s.from, end, halves);
  look_back_all(w.at, at, end);
  Product query = {a.dqueries + at * a.units, a.units, end, a.units, l.hidden, a.query, nullptr, dh, l.dh_stride, 1};
  if (a.query) return multiply(query, s.from, end, halves);
  for (Index row = s.from; row < end; row++) {
    const float* dquery = a.dqueries + (at + row) * a.units;
    float* to = dh + row * l.dh_stride;
    in_vectors(l.hidden, [&](Index k, Index lanes) {
      store(to + k, load(to + k, lanes) + load(dquery + k, lanes), lanes);
    });
  }
}

template <class Cell, class W>
static void feed_back(const Fed& w) {
  const Feeding& f = *w.feeding;
  const Attention& a = *f.attention;
  const Slice& s = w.at.rows;
  const Layer& l = *s.layer;
  clear(w.at);
  memset(f.dfirst + s.from * f.shown, 0, (s.to - s.from) * f.shown * sizeof(float));
  if (sizeof(W) == sizeof(Half)) memset(s.halves, 0, room<Cell, W>(l, s.to - s.from, 1) * sizeof(Half));
  for (Index t = l.steps - 1; t >= 0; t--) {
    Index end = lesser(s.to, l.sizes[t]);
    if (end <= s.from) continue;
    shown_back<Cell, W>(w, t, end);
    Index linked = t + 1 < l.steps ? greater(lesser(end, l.sizes[t + 1]), s.from) : s.from;
    rows_back<Cell, W, true>(s, t, s.from, linked);
    rows_back<Cell, W, false>(s, t, linked, end);
    for (Index k = 0; k < a.blocks; k++) {
      Product read = {l.dgates + l.starts[t] * l.gates_stride + a.at[k], l.gates_stride, end, a.columns[k], f.shown,
                      a.context[k], nullptr, before(l, f.dshows, f.dfirst, f.shown, t), f.shown, 1};
      multiply(read, s.from, end, product_room<Cell, W>(s));
    }
  }
  initial_gradient<Cell, W>(s, 0, s.from, s.to);
  for (Index row = s.from; row < s.to; row++) memory_back(l, a, row);
}

}  // namespace ISA
