// Element-wise linear recurrences, forwards and back: h_t = a_t * h_{t-1} + b_t.
//
// No channel looks at another, so that a vector holds channels and time is a plain loop. There is one multiplication
// for each three numbers that come and go: memory is the measure. Elements are gone through in the order in which they
// lie, each once; the state before is read where it was written, in the outputs, one time step ago.
#pragma once

#include "linear_types.h"
#include "simd.h"

namespace ISA {

// Some neighbouring channels of one element: f(channel, lanes) for each vector of them.
template <class F>
INLINE void in_vectors(const LinearSlice& s, F f) {
  Index unit = s.first;
  for (; unit + L <= s.end; unit += L) f(unit, L);
  if (unit < s.end) f(unit, s.end - unit);
}

// Rows alive at a time beside another; none where there is no such time.
INLINE Index alive(const Linear& l, Index t) { return t < 0 || t >= l.steps ? 0 : l.sizes[t]; }

INLINE const float* state_before(const Linear& l, Index t, Index row) {
  Index before = l.reverse ? t + 1 : t - 1;
  return row < alive(l, before) ? l.h + (l.starts[before] + row) * l.h_stride : l.h0 + row * l.hidden;
}

INLINE void row_forward(const LinearSlice& s, Index t, Index row) {
  const Linear& l = *s.linear;
  Index element = l.starts[t] + row, after = l.reverse ? t - 1 : t + 1;
  const float *a = l.a + element * l.a_stride, *b = l.b + element * l.b_stride, *before = state_before(l, t, row);
  float* h = l.h + element * l.h_stride;
  in_vectors(s, [&](Index unit, Index lanes) {
    store(h + unit, load(a + unit, lanes) * load(before + unit, lanes) + load(b + unit, lanes), lanes);
  });
  if (row < alive(l, after)) return;
  float* last = l.last + row * l.hidden;
  in_vectors(s, [&](Index unit, Index lanes) { store(last + unit, load(h + unit, lanes), lanes); });
}

static void linear_forward(const LinearSlice& s) {
  const Linear& l = *s.linear;
  for (Index step = 0; step < l.steps; step++) {
    Index t = l.reverse ? l.steps - 1 - step : step, end = lesser(s.to, l.sizes[t]);
    for (Index row = s.from; row < end; row++) row_forward(s, t, row);
  }
}

// With g the gradient of a state by all ways, of which `carry` brings what came after and takes on what came before:
//   g_t = dh_t + carry    db_t = g_t    da_t = g_t h_{t-1}    carry = a_t g_t
INLINE void row_backward(const LinearSlice& s, Index t, Index row) {
  const Linear& l = *s.linear;
  Index element = l.starts[t] + row;
  const float *a = l.a + element * l.a_stride, *dh = l.dh + element * l.dh_stride, *before = state_before(l, t, row);
  float *da = l.da ? l.da + element * l.hidden : nullptr, *db = l.db + element * l.hidden;
  float* carry = l.dh_carry + row * l.hidden;
  in_vectors(s, [&](Index unit, Index lanes) {
    Vector g = load(dh + unit, lanes) + load(carry + unit, lanes);
    store(db + unit, g, lanes);
    if (da) store(da + unit, g * load(before + unit, lanes), lanes);
    store(carry + unit, load(a + unit, lanes) * g, lanes);
  });
}

static void linear_backward(const LinearSlice& s) {
  const Linear& l = *s.linear;
  for (Index step = 0; step < l.steps; step++) {
    Index t = l.reverse ? step : l.steps - 1 - step, end = lesser(s.to, l.sizes[t]);
    for (Index row = s.from; row < end; row++) row_backward(s, t, row);
  }
}

}  // namespace ISA
