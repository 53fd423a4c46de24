// The cells by their equations, one number after the other: what the kernels are held against. T is double, or float to
// see what rounding alone does. In bfloat16 what is multiplied is rounded to it here as well. A tick's values and their gradients stand where the kernels keep them: `width` blocks of
// `hidden` for each element, in the order that `cells.h` of the kernels says.
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

// One unit of one element. g: in, the input's share; out, the values; a: the recurrent product; v: the further weights;
// all a block of n apart. h: the state before; gives the one after; c likewise, in place.
template <class T>
T tick(int64_t cell, int64_t n, T* g, const T* a, const float* v, T h, T& c) {
  if (cell < 2) {
    T peep = cell == 1 ? 1 : 0, i = sigma(g[0] + a[0] + peep * v[0] * c), f = sigma(g[n] + a[n] + peep * v[n] * c);
    T z = std::tanh(g[2 * n] + a[2 * n]);
    c = f * c + i * z;
    T o = sigma(g[3 * n] + a[3 * n] + peep * v[2 * n] * c);
    g[0] = i, g[n] = f, g[2 * n] = z, g[3 * n] = o;
    return o * std::tanh(c);
  }
  if (cell == 2) {
    T f = sigma(g[0] + a[0]), z = std::tanh(g[n] + a[n]), o = sigma(g[2 * n] + a[2 * n]);
    c = f * c + (1 - f) * z;
    g[0] = f, g[n] = z, g[2 * n] = o;
    return o * std::tanh(c);
  }
  if (cell == 3) {
    T r = sigma(g[0] + a[0]), z = sigma(g[n] + a[n]), m = a[2 * n] + v[0], x = std::tanh(g[3 * n] + r * m);
    g[0] = r, g[n] = z, g[2 * n] = m, g[3 * n] = x;
    return (1 - z) * x + z * h;
  }
  T x = g[0] + a[0];
  return cell == 4 ? std::tanh(x) : x > 0 ? x : 0;
}

// The gradient of the gates' arguments, d, from that of the state after, dh and dc. dc becomes that of the state before;
// gives what dh passes on without the weights. shown: h after, as the kernels gave it: where a sum is near zero, rounding
// says on which side of ReLU's corner it falls.
template <class T>
T back(int64_t cell, int64_t n, const T* g, const float* v, T h, T shown, T c_before, T c, T dh, T& dc, T* d) {
  T t = std::tanh(c);
  if (cell < 2) {
    T i = g[0], f = g[n], z = g[2 * n], o = g[3 * n], peep = cell == 1 ? 1 : 0;
    d[3 * n] = dh * t * o * (1 - o);
    dc += dh * o * (1 - t * t) + peep * v[2 * n] * d[3 * n];
    d[0] = dc * z * i * (1 - i), d[n] = dc * c_before * f * (1 - f), d[2 * n] = dc * i * (1 - z * z);
    dc = dc * f + peep * (v[0] * d[0] + v[n] * d[n]);
    return 0;
  }
  if (cell == 2) {
    T f = g[0], z = g[n], o = g[2 * n];
    dc += dh * o * (1 - t * t);
    d[0] = dc * (c_before - z) * f * (1 - f), d[n] = dc * (1 - f) * (1 - z * z), d[2 * n] = dh * t * o * (1 - o);
    dc *= f;
    return 0;
  }
  if (cell == 3) {
    T r = g[0], z = g[n], m = g[2 * n], x = g[3 * n];
    d[3 * n] = dh * (1 - z) * (1 - x * x), d[2 * n] = d[3 * n] * r;
    d[0] = d[3 * n] * m * r * (1 - r), d[n] = dh * (h - x) * z * (1 - z);
    return dh * z;
  }
  d[0] = cell == 4 ? dh * (1 - shown * shown) : shown > 0 ? dh : 0;
  return 0;
}

// What goes into a layer, beside the case's sizes.
struct Inputs {
  Buffer x, ih, hh, bias, vectors, h0, c0, dh, dh_last, dc_last;
};

template <class T>
struct Scalar {
  using Numbers = std::vector<T>;
  const Case& c;
  const Inputs& in;
  Numbers gates, h, cells, last, c_last, dgates, dh0, dc0, dx, d_ih, d_hh, sums;

  Scalar(const Case& c, const Inputs& in)
      : c(c), in(in), gates(c.elements * c.width() * c.hidden), h(c.elements * c.hidden), cells(h.size()),
        last(c.batch * c.hidden), c_last(last.size()), dgates(gates.size()), dh0(last.size()), dc0(last.size()),
        dx(c.elements * c.input), d_ih(c.blocks() * c.hidden * c.input), d_hh(c.blocks() * c.hidden * c.hidden),
        sums(c.width() * c.hidden) {}

  // As it is multiplied.
  T read(T x) const { return c.half ? halved(x) : x; }

  // The elements of a row, in the order of reading.
  std::vector<int64_t> order(int64_t row) const {
    std::vector<int64_t> found;
    for (std::size_t t = 0; t < c.sizes.size() && row < c.sizes[t]; t++) found.push_back(c.starts[t] + row);
    return c.reverse ? std::vector<int64_t>(found.rbegin(), found.rend()) : found;
  }

  // Where the input's share of a row of the weights stands: the GRU keeps that of its candidate in a block of its own.
  int64_t place(int64_t k) const { return c.cell == 3 && k >= 2 * c.hidden ? k + c.hidden : k; }

  void forward() {
    int64_t n = c.hidden, depth = c.blocks() * n, wide = c.width() * n;
    for (int64_t row = 0; row < c.batch; row++) {
      Numbers state(in.h0 + row * n, in.h0 + (row + 1) * n), memory(in.c0 + row * n, in.c0 + (row + 1) * n), a(depth);
      for (int64_t e : order(row)) {
        T* g = &gates[e * wide];
        for (int64_t k = 0; k < depth; k++) {
          T input = in.bias[k], recurrent = 0;
          for (int64_t j = 0; j < c.input; j++) input += read(in.ih[k * c.input + j]) * read(in.x[e * c.input + j]);
          for (int64_t j = 0; j < n; j++) recurrent += read(in.hh[k * n + j]) * read(state[j]);
          g[place(k)] = input, a[k] = recurrent;
        }
        for (int64_t u = 0; u < n; u++) {
          state[u] = tick(c.cell, n, g + u, &a[u], in.vectors + u, state[u], memory[u]);
          h[e * n + u] = state[u], cells[e * n + u] = memory[u];
        }
      }
      for (int64_t u = 0; u < n; u++) last[row * n + u] = state[u], c_last[row * n + u] = memory[u];
    }
  }

  // shown: the hidden states as the kernels gave them.
  void backward(const float* shown) {
    int64_t n = c.hidden, depth = c.blocks() * n, wide = c.width() * n;
    for (int64_t row = 0; row < c.batch; row++) {
      std::vector<int64_t> elements = order(row);
      Numbers from_next(in.dh_last + row * n, in.dh_last + (row + 1) * n);
      Numbers dc(in.dc_last + row * n, in.dc_last + (row + 1) * n);
      for (std::size_t step = elements.size(); step-- > 0;) {
        int64_t e = elements[step];
        T *d = &dgates[e * wide], *cell_now = &cells[e * n];
        Numbers before(n), memory(n), passed(n);
        for (int64_t u = 0; u < n; u++) {
          before[u] = step ? h[elements[step - 1] * n + u] : in.h0[row * n + u];
          memory[u] = step ? cells[elements[step - 1] * n + u] : in.c0[row * n + u];
          T dh = in.dh[e * n + u] + from_next[u];
          passed[u] = back<T>(c.cell, n, &gates[e * wide + u], in.vectors + u, before[u], shown[e * n + u], memory[u],
                              cell_now[u], dh, dc[u], d + u);
        }
        for (int64_t k = 0; k < depth; k++) {
          T by_state = read(d[k]), by_input = read(d[place(k)]);
          for (int64_t j = 0; j < n; j++) {
            passed[j] += by_state * read(in.hh[k * n + j]);
            d_hh[k * n + j] += by_state * read(before[j]);
          }
          for (int64_t j = 0; j < c.input; j++) {
            dx[e * c.input + j] += by_input * read(in.ih[k * c.input + j]);
            d_ih[k * c.input + j] += by_input * read(in.x[e * c.input + j]);
          }
        }
        for (int64_t k = 0; k < wide; k++) sums[k] += d[k];
        from_next = passed;
      }
      for (int64_t u = 0; u < n; u++) dh0[row * n + u] = from_next[u], dc0[row * n + u] = dc[u];
    }
  }
};

}  // namespace
