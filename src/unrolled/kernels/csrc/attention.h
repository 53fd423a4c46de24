// A decoder that attends, Bahdanau, Cho & Bengio 2015, section 3.1 and appendix A.1.2: a query from the state before,
// additive scores of a memory's keys, the context, then a tick of the cell, which reads it.
//
// Rows do not meet, so that a slice of them runs from the first step to the last in one thread. The arguments of the
// scores' tanh, one for each element, place and unit, are not kept: the pass back computes them again, which costs less
// than to read them.
#pragma once

#include "attention_types.h"
#include "gemm.h"
#include "recurrence.h"

namespace ISA {

// Calls visit(k, lanes) for each vector of n floats.
template <class F>
INLINE void in_vectors(Index n, F visit) {
  Index k = 0;
  for (; k + L <= n; k += L) visit(k, L);
  if (k < n) visit(k, n - k);
}

// The weighted sum of `count` rows.
template <int V, class N, class R>
INLINE void mix_vectors(Index count, N number, R row, Index k, Index lanes, float* to) {
  Vector total[V] = {};
  for (Index j = 0; j < count; j++) {
    float weight = number(j);
    const float* from = row(j) + k;
    UNROLL for (int v = 0; v < V; v++) total[v] += weight * (V == 1 ? load(from, lanes) : load(from + v * L));
  }
  UNROLL for (int v = 0; v < V; v++) V == 1 ? store(to + k, total[v], lanes) : store(to + k + v * L, total[v]);
}

template <class N, class R>
INLINE void mix(Index count, N number, R row, Index n, float* to) {
  constexpr int wide = 8;
  Index k = 0;
  for (; k + wide * L <= n; k += wide * L) mix_vectors<wide>(count, number, row, k, L, to);
  for (; k < n; k += L) mix_vectors<1>(count, number, row, k, lesser(L, n - k), to);
}

INLINE float dot(const float* a, const float* b, Index n) {
  Vector total{}, more{};
  Index k = 0;
  for (; k + 2 * L <= n; k += 2 * L) total += load(a + k) * load(b + k), more += load(a + k + L) * load(b + k + L);
  for (; k < n; k += L) total += load(a + k, n - k) * load(b + k, n - k);
  return sum(total + more);
}

// Asks for what will be read next, a little with each step of other work: a memory lies beyond the second-level cache,
// and is read faster than it comes.
struct Ahead {
  const char *next, *end;
  INLINE Ahead of(const float* from, Index n) {
    return {reinterpret_cast<const char*>(from), reinterpret_cast<const char*>(from + n)};
  }
  INLINE void some(Ahead& a) {
    constexpr int lines = 2, line = 64;
    if (a.next >= a.end) return;
    UNROLL for (int k = 0; k < lines; k++) __builtin_prefetch(a.next + k * line, 0, 2);
    a.next += lines * line;
  }
};

INLINE float score(const float* key, const float* query, const float* value, Index units, Ahead& ahead) {
  Vector total{};
  in_vectors(units, [&](Index k, Index lanes) {
    Ahead::some(ahead);
    total += load(value + k, lanes) * tanh(load(key + k, lanes) + load(query + k, lanes));
  });
  return sum(total);
}

static void to_weights(float* x, Index n) {
  float most = x[0];
  for (Index k = 1; k < n; k++) most = x[k] > most ? x[k] : most;
  Vector total{};
  in_vectors(n, [&](Index k, Index lanes) {
    store(x + k, exponential(load(x + k, lanes) - most), lanes);
    total += load(x + k, lanes);  // zeros behind the last
  });
  float scale = 1.0f / sum(total);
  in_vectors(n, [&](Index k, Index lanes) { store(x + k, load(x + k, lanes) * scale, lanes); });
}

// Where one element, its row's memory and keys are.
struct Look {
  const Attention& a;
  Index element, places;
  const float *memory, *keys, *query;
  float* weights;

  INLINE Look at(const Attention& a, Index element, Index row) {
    return {a, element, a.lengths[row], a.memory + a.first[row] * a.features, a.keys + a.first[row] * a.units,
            a.queries + element * a.units, a.weights + element * a.source};
  }
};

// One element's weights and context.
static void look(const Attention& a, Index element, Index row) {
  Look x = Look::at(a, element, row);
  Ahead ahead = Ahead::of(x.memory, x.places * a.features);
  for (Index j = 0; j < x.places; j++) {
    const float* key = x.keys + j * a.units;
    x.weights[j] = a.value ? score(key, x.query, a.value, a.units, ahead) : dot(key, x.query, a.units);
  }
  to_weights(x.weights, x.places);
  memset(x.weights + x.places, 0, (a.source - x.places) * sizeof(float));
  mix(x.places, [&](Index j) { return x.weights[j]; }, [&](Index j) { return x.memory + j * a.features; }, a.features,
      a.contexts + element * a.features);
}

// Of some units of one element: the gradients of the keys, of the query and of what weighs the units.
template <int V>
INLINE void units_back(const Look& x, const float* dscores, float* dkeys, Index unit, Index lanes, float* dvalue,
                       Ahead& ahead) {
  const Attention& a = x.a;
  Vector query[V], value[V], dquery[V] = {}, dv[V] = {};
  UNROLL for (int v = 0; v < V; v++) {
    query[v] = load(x.query + unit + v * L, lanes), value[v] = load(a.value + unit + v * L, lanes);
  }
  for (Index j = 0; j < x.places; j++) {
    const float* key = x.keys + j * a.units + unit;
    float *dkey = dkeys + j * a.units + unit, dscore = dscores[j];
    UNROLL for (int v = 0; v < V; v++) {
      Ahead::some(ahead);
      Vector shown = tanh(load(key + v * L, lanes) + query[v]), d = dscore * value[v] * (1.0f - shown * shown);
      store(dkey + v * L, load(dkey + v * L, lanes) + d, lanes);
      dquery[v] += d, dv[v] += dscore * shown;
    }
  }
  UNROLL for (int v = 0; v < V; v++) {
    store(a.dqueries + x.element * a.units + unit + v * L, dquery[v], lanes);
    store(dvalue + unit + v * L, load(dvalue + unit + v * L, lanes) + dv[v], lanes);
  }
}

// The same for inner products: there is nothing that weighs the units.
template <int V>
INLINE void products_back(const Look& x, const float* dscores, float* dkeys, Index unit, Index lanes) {
  const Attention& a = x.a;
  Vector query[V], dquery[V] = {};
  UNROLL for (int v = 0; v < V; v++) query[v] = load(x.query + unit + v * L, lanes);
  for (Index j = 0; j < x.places; j++) {
    const float* key = x.keys + j * a.units + unit;
    float *dkey = dkeys + j * a.units + unit, dscore = dscores[j];
    UNROLL for (int v = 0; v < V; v++) {
      store(dkey + v * L, load(dkey + v * L, lanes) + dscore * query[v], lanes);
      dquery[v] += dscore * load(key + v * L, lanes);
    }
  }
  UNROLL for (int v = 0; v < V; v++) store(a.dqueries + x.element * a.units + unit + v * L, dquery[v], lanes);
}

// One element: from the gradients of its weights and of its context to those of its query and of the keys.
static void look_back(const Attention& a, Index element, Index row, Index after, float* dscores, float* dvalue) {
  Look x = Look::at(a, element, row);
  const float *dcontext = a.dcontexts + element * a.features, *dweights = a.dweights + element * a.source;
  float *dkeys = a.dkeys + a.first[row] * a.units, mean = 0;
  for (Index j = 0; j < x.places; j++) {
    dscores[j] = dweights[j] + dot(dcontext, x.memory + j * a.features, a.features);
    mean += x.weights[j] * dscores[j];
  }
  for (Index j = 0; j < x.places; j++) dscores[j] = x.weights[j] * (dscores[j] - mean);
  Ahead ahead = Ahead::of(a.memory + a.first[after] * a.features, a.lengths[after] * a.features);
  constexpr int wide = 2;
  Index unit = 0;
  if (!a.value) {
    for (; unit + wide * L <= a.units; unit += wide * L) products_back<wide>(x, dscores, dkeys, unit, L);
    for (; unit < a.units; unit += L) products_back<1>(x, dscores, dkeys, unit, lesser(L, a.units - unit));
    return;
  }
  for (; unit + wide * L <= a.units; unit += wide * L) units_back<wide>(x, dscores, dkeys, unit, L, dvalue, ahead);
  for (; unit < a.units; unit += L) units_back<1>(x, dscores, dkeys, unit, lesser(L, a.units - unit), dvalue, ahead);
}

// The gradient of each place of a row's memory: of its weight in each context. All steps at once, so that it is written
// once, and not read and written again in every step.
static void memory_back(const Layer& l, const Attention& a, Index row) {
  Index steps = 0;
  while (steps < l.steps && l.sizes[steps] > row) steps++;
  for (Index j = 0; j < a.lengths[row]; j++) {
    mix(steps, [&](Index t) { return a.weights[(l.starts[t] + row) * a.source + j]; },
        [&](Index t) { return a.dcontexts + (l.starts[t] + row) * a.features; }, a.features,
        a.dmemory + (a.first[row] + j) * a.features);
  }
}

// Some rows' elements at one time, from `row` on: from the gradients of weights and contexts to those of queries and
// keys. First the sum of one step, then that of all: the error of a sum grows with its terms.
static void look_back_all(const Attending& w, Index first, Index end) {
  const Attention& a = *w.attention;
  float *dscores = w.room, *dvalue = w.room + a.source;
  memset(dvalue, 0, a.units * sizeof(float));
  for (Index row = w.rows.from; row < end; row++) {
    look_back(a, first + row, row, lesser(row + 1, end - 1), dscores, dvalue);
  }
  in_vectors(a.units, [&](Index k, Index lanes) {
    store(w.dvalue + k, load(w.dvalue + k, lanes) + load(dvalue + k, lanes), lanes);
  });
}

// Nothing yet of what a slice sums up.
static void clear(const Attending& w) {
  const Attention& a = *w.attention;
  memset(w.dvalue, 0, a.units * sizeof(float));
  for (Index row = w.rows.from; row < w.rows.to; row++) {
    memset(a.dkeys + a.first[row] * a.units, 0, a.lengths[row] * a.units * sizeof(float));
  }
}

// Queries that wait for nothing: all of a slice's elements.
static void look_all(const Attending& w) {
  const Layer& l = *w.rows.layer;
  for (Index row = w.rows.from; row < w.rows.to; row++) {
    for (Index t = 0; t < l.steps && l.sizes[t] > row; t++) look(*w.attention, l.starts[t] + row, row);
  }
}

static void look_all_back(const Attending& w) {
  const Layer& l = *w.rows.layer;
  clear(w);
  for (Index row = w.rows.from; row < w.rows.to; row++) {
    Attending one = w;
    one.rows.from = row;
    for (Index t = 0; t < l.steps && l.sizes[t] > row; t++) look_back_all(one, l.starts[t], row + 1);
    memory_back(l, *w.attention, row);
  }
}

// Halves for the recurrence of so many rows, in either pass.
template <class Cell, class W>
INLINE Index recurrent_room(const Layer& l, Index rows) {
  return greater(room<Cell, W>(l, rows, 0), room<Cell, W>(l, rows, 1));
}

// Where the products round their rows to bfloat16: behind what the recurrence does the same with.
template <class Cell, class W>
INLINE W* product_room(const Slice& s) {
  return reinterpret_cast<W*>(s.halves + recurrent_room<Cell, W>(*s.layer, s.to - s.from));
}

// Halves that a slice of so many rows needs, in either pass.
template <class Cell, class W>
static Index attention_room(const Layer& l, const Attention& a, Index rows) {
  Index depth = greater(Cell::width * l.hidden, greater(a.features, a.units));
  return recurrent_room<Cell, W>(l, rows) + multiply_scratch<W>(depth, rows);
}

template <class Cell, class W>
static void attend(const Attending& w) {
  const Attention& a = *w.attention;
  const Slice& s = w.rows;
  const Layer& l = *s.layer;
  W* halves = product_room<Cell, W>(s);
  if (sizeof(W) == sizeof(Half)) begin(s);
  for (Index t = 0; t < l.steps; t++) {
    Index end = lesser(s.to, l.sizes[t]);
    if (end <= s.from) break;
    Product query = {t ? l.h + l.starts[t - 1] * l.h_stride : l.h0, t ? l.h_stride : l.hidden, end, l.hidden, a.units,
                     a.query, a.bias, a.queries + l.starts[t] * a.units, a.units, 0};
    multiply(query, s.from, end, halves);
    for (Index row = s.from; row < end; row++) look(a, l.starts[t] + row, row);
    for (Index k = 0; k < a.blocks; k++) {
      Product context = {a.contexts + l.starts[t] * a.features, a.features, end, a.features, a.columns[k], a.context[k],
                         nullptr, l.gates + l.starts[t] * l.gates_stride + a.at[k], l.gates_stride, 1};
      multiply(context, s.from, end, halves);
    }
    for (Index unit = 0; unit < l.hidden; unit += units_wide<Cell> * L) {
      in_tiles<W>(s.from, end, [&](Index row, Index height) { tick<Cell, W>(s, t, row, height, unit); });
    }
  }
}

// All of a slice's elements at time t, whose gates' gradients are there.
template <class Cell, class W>
static void attention_back(const Attending& w, Index t, Index end) {
  const Attention& a = *w.attention;
  const Slice& s = w.rows;
  const Layer& l = *s.layer;
  for (Index k = 0; k < a.blocks; k++) {
    Product context = {l.dgates + l.starts[t] * l.gates_stride + a.at[k], l.gates_stride, end, a.columns[k], a.features,
                       a.context[k], nullptr, a.dcontexts + l.starts[t] * a.features, a.features, 1};
    multiply(context, s.from, end, product_room<Cell, W>(s));
  }
  look_back_all(w, l.starts[t], end);
}

// The query's part of the gradient of the state before time t.
template <class Cell, class W>
static void query_back(const Attending& w, Index t, Index end) {
  const Attention& a = *w.attention;
  const Layer& l = *w.rows.layer;
  Product query = {a.dqueries + l.starts[t] * a.units, a.units, end, a.units, l.hidden, a.query, nullptr,
                   t ? a.dh + l.starts[t - 1] * l.dh_stride : l.dh_carry, t ? l.dh_stride : l.hidden, 1};
  multiply(query, w.rows.from, end, product_room<Cell, W>(w.rows));
}

template <class Cell, class W>
static void attend_back(const Attending& w) {
  const Attention& a = *w.attention;
  const Slice& s = w.rows;
  const Layer& l = *s.layer;
  clear(w);
  if (sizeof(W) == sizeof(Half)) memset(s.halves, 0, room<Cell, W>(l, s.to - s.from, 1) * sizeof(Half));
  for (Index t = l.steps - 1; t >= 0; t--) {
    Index end = lesser(s.to, l.sizes[t]);
    if (end <= s.from) continue;
    Index linked = t + 1 < l.steps ? greater(lesser(end, l.sizes[t + 1]), s.from) : s.from;
    rows_back<Cell, W, true>(s, t, s.from, linked);
    rows_back<Cell, W, false>(s, t, linked, end);
    attention_back<Cell, W>(w, t, end);
    if (t) query_back<Cell, W>(w, t, end);
  }
  initial_gradient<Cell, W>(s, 0, s.from, s.to);
  query_back<Cell, W>(w, 0, s.to);
  for (Index row = s.from; row < s.to; row++) memory_back(l, a, row);
}

}  // namespace ISA
