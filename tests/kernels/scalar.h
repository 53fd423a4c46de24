// The cells by their equations, one number after the other: what the kernels are held against. T is double, or float to
// see what rounding alone does. In bfloat16 what is multiplied is rounded to it here as well. A tick's values and their
// gradients stand where the kernels keep them: `width` blocks of `hidden` for each element, in the order that `cells.h`
// of the kernels says.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "cases.h"

namespace {

template <class T>
T sigma(T x) {
  return 1 / (1 + std::exp(-x));
}

// The nearest bfloat16, of two as near the one whose last bit is 0.
template <class T>
T halved(T x) {
  float single = static_cast<float>(x);
  uint32_t bits;
  std::memcpy(&bits, &single, sizeof bits);
  bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
  std::memcpy(&single, &bits, sizeof bits);
  return single;
}

// One unit of one element, up to a second product. g: in, the input's share; out, the values; a: the recurrent product;
// v: peepholes, or the bias of a product that is kept apart; all a block of n apart. h: the state before. c: in place.
// Gives the state after, or, where there is a second product, what that multiplies.
template <class T>
T tick(int64_t cell, int64_t n, T* g, const T* a, const float* v, T h, T& c) {
  if (cell == LSTM || cell == LSTM_PEEPHOLE || cell == LSTM_PROJECTED) {
    T peep = cell == LSTM_PEEPHOLE ? 1 : 0;
    T i = sigma(g[0] + a[0] + peep * v[0] * c), f = sigma(g[n] + a[n] + peep * v[n] * c);
    T z = std::tanh(g[2 * n] + a[2 * n]);
    c = f * c + i * z;
    T o = sigma(g[3 * n] + a[3 * n] + peep * v[2 * n] * c);
    g[0] = i, g[n] = f, g[2 * n] = z, g[3 * n] = o;
    return o * std::tanh(c);
  }
  if (cell == LSTM_COUPLED) {
    T f = sigma(g[0] + a[0]), z = std::tanh(g[n] + a[n]), o = sigma(g[2 * n] + a[2 * n]);
    c = f * c + (1 - f) * z;
    g[0] = f, g[n] = z, g[2 * n] = o;
    return o * std::tanh(c);
  }
  if (cell == GRU) {
    T r = sigma(g[0] + a[0]), z = sigma(g[n] + a[n]), m = a[2 * n] + v[2 * n], x = std::tanh(g[3 * n] + r * m);
    g[0] = r, g[n] = z, g[2 * n] = m, g[3 * n] = x;
    return (1 - z) * x + z * h;
  }
  if (cell == GRU_CHO) {
    g[0] = sigma(g[0] + a[0]), g[n] = sigma(g[n] + a[n]);
    return g[0] * h;
  }
  T x = g[0] + a[0];
  return cell == ELMAN_TANH ? std::tanh(x) : x > 0 ? x : 0;
}

// The gradient of the gates' arguments, d, from that of what `tick` gave, and dc. dc becomes that of the state before;
// gives what dh passes on without the weights. shown: h after, as the kernels gave it: where a sum is near zero,
// rounding says on which side of ReLU's corner it falls.
template <class T>
T back(int64_t cell, int64_t n, const T* g, const float* v, T h, T shown, T c_before, T c, T dh, T& dc, T* d) {
  T t = std::tanh(c);
  if (cell == LSTM || cell == LSTM_PEEPHOLE || cell == LSTM_PROJECTED) {
    T i = g[0], f = g[n], z = g[2 * n], o = g[3 * n], peep = cell == LSTM_PEEPHOLE ? 1 : 0;
    d[3 * n] = dh * t * o * (1 - o);
    dc += dh * o * (1 - t * t) + peep * v[2 * n] * d[3 * n];
    d[0] = dc * z * i * (1 - i), d[n] = dc * c_before * f * (1 - f), d[2 * n] = dc * i * (1 - z * z);
    dc = dc * f + peep * (v[0] * d[0] + v[n] * d[n]);
    return 0;
  }
  if (cell == LSTM_COUPLED) {
    T f = g[0], z = g[n], o = g[2 * n];
    dc += dh * o * (1 - t * t);
    d[0] = dc * (c_before - z) * f * (1 - f), d[n] = dc * (1 - f) * (1 - z * z), d[2 * n] = dh * t * o * (1 - o);
    dc *= f;
    return 0;
  }
  if (cell == GRU) {
    T r = g[0], z = g[n], m = g[2 * n], x = g[3 * n];
    d[3 * n] = dh * (1 - z) * (1 - x * x), d[2 * n] = d[3 * n] * r;
    d[0] = d[3 * n] * m * r * (1 - r), d[n] = dh * (h - x) * z * (1 - z);
    return dh * z;
  }
  if (cell == GRU_CHO) {
    d[0] = dh * h * g[0] * (1 - g[0]);
    return dh * g[0];
  }
  d[0] = cell == ELMAN_TANH ? dh * (1 - shown * shown) : shown > 0 ? dh : 0;
  return 0;
}

template <class T>
struct Scalar {
  using Numbers = std::vector<T>;
  const Case& c;
  const Inputs& in;
  bool reverse;
  int64_t n, p, wide, recurrent;  // recurrent: rows of the product with the state before
  Numbers share, gates, h, cells, middle, last, c_last;
  Numbers dgates, dh0, dc0, dx, dih, dhh, dhr, dbias, dvectors;

  Scalar(const Case& c, const Inputs& in, bool reverse)
      : c(c), in(in), reverse(reverse), n(c.hidden), p(c.output), wide(c.wide()),
        recurrent(c.cell == GRU_CHO ? 2 * n : c.depth()), share(c.elements * wide, NAN), gates(share.size()),
        h(c.elements * p), cells(c.elements * n), middle(cells.size()), last(c.batch * p), c_last(c.batch * n) {}

  // As it is multiplied.
  T read(T x) const { return c.half ? halved(x) : x; }
  T ih(int64_t k, int64_t j) const { return read(in.ih[k * c.stride(c.input) + j]); }
  T hh(int64_t k, int64_t j) const { return read(in.hh[k * c.stride(p) + j]); }
  T hr(int64_t k, int64_t j) const { return read(in.hr[k * c.stride(n) + j]); }
  T x(int64_t e, int64_t j) const { return read(in.x[e * c.stride(c.input) + j]); }

  // The elements of a row, in the order of reading.
  std::vector<int64_t> order(int64_t row) const {
    std::vector<int64_t> found;
    for (std::size_t t = 0; t < c.sizes.size() && row < c.sizes[t]; t++) found.push_back(c.starts[t] + row);
    return reverse ? std::vector<int64_t>(found.rbegin(), found.rend()) : found;
  }

  // Where the input's share of a row of the weights stands: the GRU keeps that of its candidate in a block of its own.
  bool apart(int64_t k) const { return c.cell == GRU && k >= 2 * n; }
  int64_t place(int64_t k) const { return apart(k) ? k + n : k; }

  // Peepholes, or the biases of the recurrent product.
  std::vector<float> vectors() const {
    if (c.cell == LSTM_PEEPHOLE) return {in.vectors.data.get(), in.vectors.data.get() + 3 * n};
    std::vector<float> found(4 * n, 0.0f);
    for (int64_t k = 0; k < c.depth() && c.bias_hh; k++) found[k] = in.bias_hh[k];
    return found;
  }

  void read_input(int64_t e) {
    for (int64_t k = 0; k < c.depth(); k++) {
      T total = (c.bias_ih ? in.bias_ih[k] : T(0)) + (c.bias_hh && !apart(k) ? in.bias_hh[k] : T(0));
      for (int64_t j = 0; j < c.input; j++) total += ih(k, j) * x(e, j);
      share[e * wide + place(k)] = gates[e * wide + place(k)] = total;
    }
  }

  void second_product(const T* between, T* g, Numbers& state) const {
    for (int64_t k = 0; k < p; k++) {
      T total = 0;
      for (int64_t j = 0; j < n; j++) total += (c.projected() ? hr(k, j) : hh(2 * n + k, j)) * read(between[j]);
      if (c.projected()) {
        state[k] = total;
      } else {
        T z = g[n + k], x = std::tanh(g[2 * n + k] + total);
        g[2 * n + k] = x, state[k] = z * state[k] + (1 - z) * x;
      }
    }
  }

  void forward() {
    std::vector<float> v = vectors();
    for (int64_t row = 0; row < c.batch; row++) {
      Numbers state(in.h0 + row * p, in.h0 + (row + 1) * p), memory(in.c0 + row * n, in.c0 + (row + 1) * n);
      Numbers a(recurrent), after(n);
      for (int64_t e : order(row)) {
        T* g = &gates[e * wide];
        read_input(e);
        for (int64_t k = 0; k < recurrent; k++) {
          a[k] = 0;
          for (int64_t j = 0; j < p; j++) a[k] += hh(k, j) * read(state[j]);
        }
        for (int64_t u = 0; u < n; u++) {
          after[u] = tick(c.cell, n, g + u, &a[u], &v[u], c.projected() ? T(0) : state[u], memory[u]);
          middle[e * n + u] = after[u], cells[e * n + u] = memory[u];
        }
        if (c.middle()) second_product(&middle[e * n], g, state);
        else state = after;
        std::copy(state.begin(), state.end(), &h[e * p]);
      }
      std::copy(state.begin(), state.end(), &last[row * p]), std::copy(memory.begin(), memory.end(), &c_last[row * n]);
    }
  }

  // The gradient of what stands in the middle, from that of the state after; passed: what goes on to the one before.
  Numbers second_back(int64_t e, const T* before, const Numbers& dh, T* d, Numbers& passed) {
    Numbers found(n);
    const T* g = &gates[e * wide];
    for (int64_t k = 0; k < p; k++) {
      T by = dh[k];
      if (!c.projected()) {
        T z = g[n + k], x = g[2 * n + k];
        d[n + k] = dh[k] * (before[k] - x) * z * (1 - z), by = d[2 * n + k] = dh[k] * (1 - z) * (1 - x * x);
        passed[k] += dh[k] * z;
      }
      T* to = c.projected() ? &dhr[k * n] : &dhh[(2 * n + k) * n];
      for (int64_t j = 0; j < n; j++) {
        found[j] += read(by) * (c.projected() ? hr(k, j) : hh(2 * n + k, j));
        to[j] += read(by) * read(middle[e * n + j]);
      }
    }
    return found;
  }

  // What the gradients of an element's gates add to those of the weights, the input and the state before.
  void products_back(int64_t e, const T* before, const T* c_before, const T* d, Numbers& passed) {
    for (int64_t k = 0; k < c.depth(); k++) {
      T by_state = read(d[k]), by_input = read(d[place(k)]);
      for (int64_t j = 0; j < p && k < recurrent; j++) {
        passed[j] += by_state * hh(k, j), dhh[k * p + j] += by_state * read(before[j]);
      }
      for (int64_t j = 0; j < c.input; j++) {
        dx[e * c.input + j] += by_input * ih(k, j), dih[k * c.input + j] += by_input * x(e, j);
      }
    }
    for (int64_t k = 0; k < wide; k++) dbias[k] += d[k];
    for (int64_t u = 0; u < n && c.cell == LSTM_PEEPHOLE; u++) {
      dvectors[u] += d[u] * c_before[u], dvectors[n + u] += d[n + u] * c_before[u];
      dvectors[2 * n + u] += d[3 * n + u] * cells[e * n + u];
    }
  }

  void begin_back() {
    dgates.assign(gates.size(), 0), dh0.assign(last.size(), 0), dc0.assign(c_last.size(), 0);
    dx.assign(c.elements * c.input, 0), dih.assign(c.depth() * c.input, 0), dhh.assign(c.depth() * p, 0);
    dhr.assign(p * n, 0), dbias.assign(wide, 0), dvectors.assign(3 * n, 0);
  }

  // shown: the hidden states as the kernels gave them, the next element's `stride` floats on.
  void backward(const float* shown, int64_t stride) {
    std::vector<float> v = vectors();
    begin_back();
    for (int64_t row = 0; row < c.batch; row++) {
      std::vector<int64_t> elements = order(row);
      Numbers from_next(in.dh_last + row * p, in.dh_last + (row + 1) * p);
      Numbers dc(in.dc_last + row * n, in.dc_last + (row + 1) * n);
      for (std::size_t step = elements.size(); step-- > 0;) {
        int64_t e = elements[step];
        T* d = &dgates[e * wide];
        Numbers before(in.h0 + row * p, in.h0 + (row + 1) * p), memory(in.c0 + row * n, in.c0 + (row + 1) * n);
        if (step) before.assign(&h[elements[step - 1] * p], &h[elements[step - 1] * p] + p);
        if (step) memory.assign(&cells[elements[step - 1] * n], &cells[elements[step - 1] * n] + n);
        Numbers dh = from_next, passed(p);
        for (int64_t u = 0; u < p; u++) dh[u] += in.dh[e * c.stride(p) + u];
        if (c.middle()) dh = second_back(e, before.data(), dh, d, passed);
        for (int64_t u = 0; u < n; u++) {
          T h_before = c.projected() ? T(0) : before[u], h_after = c.projected() ? T(0) : T(shown[e * stride + u]);
          T more = back<T>(c.cell, n, &gates[e * wide + u], &v[u], h_before, h_after, memory[u], cells[e * n + u],
                           dh[u], dc[u], d + u);
          if (!c.projected()) passed[u] += more;
        }
        products_back(e, before.data(), memory.data(), d, passed);
        from_next = passed;
      }
      std::copy(from_next.begin(), from_next.end(), &dh0[row * p]), std::copy(dc.begin(), dc.end(), &dc0[row * n]);
    }
  }
};

}  // namespace
