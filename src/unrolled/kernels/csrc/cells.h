// One tick of each cell, forwards and back, for a tile of M rows. Equations and letters are those of `cells/*.py`.
//
// A cell says: `gates`, the blocks of `hidden` columns that its product with the state has; `width`, the blocks of
// `hidden` floats that each element has in `Layer::gates` and `Layer::dgates`, of which the first `gates` have a
// gradient by way of that product; `blocks`, those of its weights; `carries`, whether a part of the gradient goes to
// the state before without passing the weights; `twice`, whether a tick has a second product, of what stands in
// `middle` then. `shares` says which blocks of the gates come from which blocks of the weights. Inference and training
// run the same code, so that they give the same bits.
#pragma once

#include "layer.h"
#include "panel.h"

namespace ISA {

// The element before this one in the direction of reading; -1: there is none, the initial state is before it.
INLINE Index before(const Layer& l, Index t, Index row) {
  if (!l.reverse) return t ? l.starts[t - 1] + row : -1;
  return t + 1 < l.steps && row < l.sizes[t + 1] ? l.starts[t + 1] + row : -1;
}

INLINE const float* h_before(const Layer& l, Index t, Index row) {
  Index e = before(l, t, row);
  return e < 0 ? l.h0 + row * l.output : l.h + e * l.h_stride;
}

INLINE const float* c_before(const Layer& l, Index t, Index row) {
  Index e = before(l, t, row);
  return e < 0 ? l.c0 + row * l.hidden : l.cells + e * l.hidden;
}

// Where a vector of units of one element stands, and how many of its lanes exist.
struct Place {
  const Layer& l;
  Index t, row, unit, element, lanes;
  Half* halves;  // the row, in bfloat16, of what the next product multiplies with such weights; or none

  // Of `columns` units: those of the hidden state, or of what is projected.
  INLINE Place at(const Layer& l, Index t, Index row, Index unit, Index columns, Half* halves = nullptr) {
    return {l, t, row, unit, l.starts[t] + row, lesser(L, columns - unit), halves};
  }
  float* block(float* base, Index k) const { return base + element * l.gates_stride + k * l.hidden + unit; }
  Vector gate(Index k) const { return load(block(l.gates, k), lanes); }
  void keep(Index k, Vector x) const { store(block(l.gates, k), x, lanes); }
  void gradient(Index k, Vector x) const {
    store(block(l.dgates, k), x, lanes);
    if (halves) store_halves(halves + k * l.hidden + unit, x, lanes);
  }
  Vector vector(Index k) const { return load(l.added + k * l.hidden + unit, lanes); }
  Vector carried(const float* base) const { return load(base + row * l.hidden + unit, lanes); }
  void carry(float* base, Vector x) const { store(base + row * l.hidden + unit, x, lanes); }
  Vector dh_carried() const { return load(l.dh_carry + row * l.output + unit, lanes); }
  void carry_dh(Vector x) const { store(l.dh_carry + row * l.output + unit, x, lanes); }
  Vector c() const { return load(l.cells + element * l.hidden + unit, lanes); }
  Vector c_before() const { return load(ISA::c_before(l, t, row) + unit, lanes); }
  Vector h() const { return load(l.h + element * l.h_stride + unit, lanes); }
  Vector h_before() const { return load(ISA::h_before(l, t, row) + unit, lanes); }
  Vector dh() const { return load(l.dh + element * l.dh_stride + unit, lanes); }
  void put_h(Vector x) const {
    store(l.h + element * l.h_stride + unit, x, lanes);
    if (halves) store_halves(halves + unit, x, lanes);
  }
  void put_middle(Vector x) const {
    store(l.middle + element * l.hidden + unit, x, lanes);
    if (halves) store_halves(halves + unit, x, lanes);
  }
  void put_c(Vector x) const { store(l.cells + element * l.hidden + unit, x, lanes); }

  // Ask for what a tick will touch, while the product before it is under way: it lies too far apart for the processor
  // to guess.
  INLINE void fetch(const Place& p, int width) {
    for (int k = 0; k < width; k++) __builtin_prefetch(p.block(p.l.gates, k), 1);
    if (p.l.middle) __builtin_prefetch(p.l.middle + p.element * p.l.hidden + p.unit, 1);
    else __builtin_prefetch(p.l.h + p.element * p.l.h_stride + p.unit, 1);
    if (p.l.cells) __builtin_prefetch(p.l.cells + p.element * p.l.hidden + p.unit, 1);
  }
  INLINE void fetch_back(const Place& p, int width) {
    for (int k = 0; k < width; k++) {
      __builtin_prefetch(p.block(p.l.gates, k));
      __builtin_prefetch(p.block(p.l.dgates, k), 1);
    }
    if (!p.l.dtotal) __builtin_prefetch(p.l.dh + p.element * p.l.dh_stride + p.unit);
    if (p.l.cells) {
      __builtin_prefetch(p.l.cells + p.element * p.l.hidden + p.unit);
      __builtin_prefetch(ISA::c_before(p.l, p.t, p.row) + p.unit);
    } else {
      __builtin_prefetch(ISA::h_before(p.l, p.t, p.row) + p.unit);
    }
  }
};

template <bool Peepholes, bool Projected>
struct LSTMs {
  static constexpr int gates = 4, width = 4, blocks = 4;
  static constexpr bool carries = false, twice = Projected, peepholes = Peepholes;
  static constexpr Share shares[] = {{0, 4, 0, 0, false}};

  INLINE void tick(const Place& p, const Vector (&a)[4]) {
    Vector c = p.carried(p.l.c), ai = p.gate(0) + a[0], af = p.gate(1) + a[1];
    if (Peepholes) ai += p.vector(0) * c, af += p.vector(1) * c;
    Vector i = sigmoid(ai), f = sigmoid(af), g = tanh(p.gate(2) + a[2]);
    c = f * c + i * g;
    Vector ao = p.gate(3) + a[3];
    if (Peepholes) ao += p.vector(2) * c;
    Vector o = sigmoid(ao);
    p.carry(p.l.c, c);
    if (Projected) p.put_middle(o * tanh(c));
    else p.put_h(o * tanh(c));
    if (p.l.keep) p.keep(0, i), p.keep(1, f), p.keep(2, g), p.keep(3, o), p.put_c(c);
  }

  INLINE void back(const Place& p, Vector dh) {
    Vector i = p.gate(0), f = p.gate(1), g = p.gate(2), o = p.gate(3), shown = tanh(p.c());
    Vector d_o = dh * shown * o * (1.0f - o);
    Vector dc = p.carried(p.l.dc_carry) + dh * o * (1.0f - shown * shown);
    if (Peepholes) dc += d_o * p.vector(2);
    Vector di = dc * g * i * (1.0f - i), df = dc * p.c_before() * f * (1.0f - f);
    p.gradient(0, di), p.gradient(1, df), p.gradient(2, dc * i * (1.0f - g * g)), p.gradient(3, d_o);
    dc *= f;
    if (Peepholes) dc += di * p.vector(0) + df * p.vector(1);
    p.carry(p.l.dc_carry, dc);
  }

  // The projection.
  INLINE void tick_again(const Place& p, Vector a) { p.put_h(a); }
  INLINE void back_first(const Place& p, Vector dh) {
    store(p.l.dtotal + p.element * p.l.output + p.unit, dh, p.lanes);
    if (p.halves) store_halves(p.halves + p.unit, dh, p.lanes);
  }
};

struct LSTMCoupled {
  static constexpr int gates = 3, width = 3, blocks = 3;
  static constexpr bool carries = false, twice = false, peepholes = false;
  static constexpr Share shares[] = {{0, 3, 0, 0, false}};

  INLINE void tick(const Place& p, const Vector (&a)[3]) {
    Vector f = sigmoid(p.gate(0) + a[0]), g = tanh(p.gate(1) + a[1]), o = sigmoid(p.gate(2) + a[2]);
    Vector c = f * (p.carried(p.l.c) - g) + g;
    p.carry(p.l.c, c);
    p.put_h(o * tanh(c));
    if (p.l.keep) p.keep(0, f), p.keep(1, g), p.keep(2, o), p.put_c(c);
  }

  INLINE void back(const Place& p, Vector dh) {
    Vector f = p.gate(0), g = p.gate(1), o = p.gate(2), shown = tanh(p.c());
    Vector dc = p.carried(p.l.dc_carry) + dh * o * (1.0f - shown * shown);
    p.gradient(0, dc * (p.c_before() - g) * f * (1.0f - f));
    p.gradient(1, dc * (1.0f - f) * (1.0f - g * g));
    p.gradient(2, dh * shown * o * (1.0f - o));
    p.carry(p.l.dc_carry, dc * f);
  }
};

// torch's: the reset gate after the product. The blocks are r, z, the product of n, and n's share of the input.
struct GRU {
  static constexpr int gates = 3, width = 4, blocks = 3;
  static constexpr bool carries = true, twice = false, peepholes = false;
  static constexpr Share shares[] = {{0, 2, 0, 0, false}, {2, 1, -1, 2, false}, {3, 1, 2, -1, false}};

  INLINE void tick(const Place& p, const Vector (&a)[3]) {
    Vector r = sigmoid(p.gate(0) + a[0]), z = sigmoid(p.gate(1) + a[1]), m = a[2] + p.vector(0);
    Vector n = tanh(p.gate(3) + r * m);
    p.put_h(z * (p.h_before() - n) + n);
    if (p.l.keep) p.keep(0, r), p.keep(1, z), p.keep(2, m), p.keep(3, n);
  }

  INLINE void back(const Place& p, Vector dh) {
    Vector r = p.gate(0), z = p.gate(1), m = p.gate(2), n = p.gate(3);
    Vector dn = dh * (1.0f - z) * (1.0f - n * n);
    p.gradient(0, dn * m * r * (1.0f - r));
    p.gradient(1, dh * (p.h_before() - n) * z * (1.0f - z));
    p.gradient(2, dn * r), p.gradient(3, dn);
    p.carry_dh(dh * z);
  }
};

// That of Cho et al.: the reset gate before the product, which therefore is a second one, of r * h.
struct GRUCho {
  static constexpr int gates = 2, width = 3, blocks = 3;
  static constexpr bool carries = true, twice = true, peepholes = false;
  static constexpr Share shares[] = {{0, 2, 0, 0, false}, {2, 1, 2, 2, true}};

  INLINE void tick(const Place& p, const Vector (&a)[2]) {
    Vector r = sigmoid(p.gate(0) + a[0]);
    p.keep(1, sigmoid(p.gate(1) + a[1]));
    if (p.l.keep) p.keep(0, r);
    p.put_middle(r * p.h_before());
  }

  INLINE void tick_again(const Place& p, Vector a) {
    Vector z = p.gate(1), n = tanh(p.gate(2) + a);
    p.put_h(z * (p.h_before() - n) + n);
    if (p.l.keep) p.keep(2, n);
  }

  INLINE void back_first(const Place& p, Vector dh) {
    Vector z = p.gate(1), n = p.gate(2);
    p.gradient(1, dh * (p.h_before() - n) * z * (1.0f - z));
    p.gradient(2, dh * (1.0f - z) * (1.0f - n * n));
    p.carry_dh(dh * z);
  }

  // ds: the gradient of r * h.
  INLINE void back(const Place& p, Vector ds) {
    Vector r = p.gate(0);
    p.gradient(0, ds * p.h_before() * r * (1.0f - r));
    p.carry_dh(p.dh_carried() + ds * r);
  }
};

template <bool Relu>
struct Elman {
  static constexpr int gates = 1, width = 1, blocks = 1;
  static constexpr bool carries = false, twice = false, peepholes = false;
  static constexpr Share shares[] = {{0, 1, 0, 0, false}};

  INLINE void tick(const Place& p, const Vector (&a)[1]) {
    Vector x = p.gate(0) + a[0];
    p.put_h(Relu ? (x <= 0.0f ? Vector{} : x) : tanh(x));  // so put, NaN stays NaN
  }

  INLINE void back(const Place& p, Vector dh) {
    Vector h = p.h();
    p.gradient(0, Relu ? (h > 0.0f ? dh : Vector{}) : dh * (1.0f - h * h));
  }
};

}  // namespace ISA
