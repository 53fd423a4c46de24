// Random sizes, lengths and numbers for the programs that call the kernels, and a layer's pass on them: in buffers of
// exactly the size that is asked for, filled with NaN where the kernels are to write.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

#include "api.h"
#include "buffers.h"
#include "kernels.h"

namespace {

// Bytes that begin at a border of lines and end where the sanitizer looks.
struct Room {
  std::unique_ptr<char[]> data;
  char* start;
  explicit Room(int64_t bytes) : data(new char[bytes + 64]) {
    start = data.get() + 64;
    start -= reinterpret_cast<uintptr_t>(start) % 64;
  }
};

// gap: floats between the rows of what the kernels only read; ahead: weights are laid out in a call of their own;
// given: the input's share of the gates is there; need_x: the input's gradient is wanted.
struct Case {
  int64_t cell, half, hidden, output, input, batch, threads, directions, reverse, gap, bias_ih, bias_hh, ahead, given;
  int64_t need_x, elements = 0;
  std::vector<int64_t> sizes, starts;

  Case() {
    cell = draw(0, CELL_KINDS - 1), half = draw(0, 1), hidden = draw(0, 3) ? draw(1, 40) : draw(60, 200);
    if (draw(0, 31) == 0) hidden = draw(257, 300);  // more than one chunk of a sum
    output = cell == LSTM_PROJECTED ? draw(1, hidden) : hidden, input = draw(0, 5) ? draw(1, 40) : draw(60, 200);
    batch = draw(1, 15), threads = draw(1, 4), directions = draw(1, 2), reverse = draw(0, 1), gap = draw(0, 2);
    bias_ih = draw(0, 3) > 0, bias_hh = draw(0, 7) ? bias_ih : 1 - bias_ih;
    ahead = draw(0, 1), given = draw(0, 3) == 0, need_x = draw(0, 3) > 0;
    for (int64_t alive = batch; alive > 0 && sizes.size() < 12; alive -= draw(0, 3) ? 0 : draw(0, alive)) {
      sizes.push_back(alive), starts.push_back(elements), elements += alive;
    }
  }
  bool memory() const { return cell <= LSTM_COUPLED || projected(); }
  bool projected() const { return cell == LSTM_PROJECTED; }
  bool middle() const { return projected() || cell == GRU_CHO; }
  int64_t blocks() const {
    if (cell == ELMAN_TANH || cell == ELMAN_RELU) return 1;
    return memory() && cell != LSTM_COUPLED ? 4 : 3;
  }
  int64_t width() const { return cell == GRU ? 4 : blocks(); }
  int64_t depth() const { return blocks() * hidden; }
  int64_t wide() const { return width() * hidden; }
  bool backwards(int64_t direction) const { return directions == 2 ? direction == 1 : reverse; }
  // Floats from a row to the next one, and of all rows.
  int64_t stride(int64_t columns) const { return columns + gap; }
  int64_t spread(int64_t rows, int64_t columns) const { return (rows - 1) * stride(columns) + columns; }

  void print(const char* what) const {
    std::fprintf(stderr, "%s; cell %d, half %d, hidden %d, output %d, input %d, batch %d, steps %d, ", what, int(cell),
                 int(half), int(hidden), int(output), int(input), int(batch), int(sizes.size()));
    std::fprintf(stderr, "threads %d, directions %d, reverse %d, biases %d %d, ahead %d, given %d, need_x %d\n",
                 int(threads), int(directions), int(reverse), int(bias_ih), int(bias_hh), int(ahead), int(given),
                 int(need_x));
  }
};

// What goes into one direction of a layer. share: the input's of the gates, where that is given.
struct Inputs {
  float scale;  // of the weights, about as torch draws them
  Buffer x, ih, hh, hr, bias_ih, bias_hh, vectors, h0, c0, share, dh, dh_last, dc_last;

  explicit Inputs(const Case& c)
      : scale(1 / std::sqrt(3.0f * static_cast<float>(c.hidden))), x(Buffer::random(c.spread(c.elements, c.input))),
        ih(Buffer::random(c.spread(c.depth(), c.input), scale)),
        hh(Buffer::random(c.spread(c.depth(), c.output), scale)),
        hr(Buffer::random(c.spread(c.output, c.hidden), scale)), bias_ih(Buffer::random(c.depth())),
        bias_hh(Buffer::random(c.depth())), vectors(Buffer::random(3 * c.hidden)),
        h0(Buffer::random(c.batch * c.output)), c0(Buffer::random(c.batch * c.hidden)),
        share(Buffer::random(c.elements * c.wide())), dh(Buffer::random(c.spread(c.elements, c.output))),
        dh_last(Buffer::random(c.batch * c.output)), dc_last(Buffer::random(c.batch * c.hidden)) {}
};

// What one direction of a layer writes.
struct Direction {
  const Case& c;
  const Inputs& in;
  Buffer gates, cells, middle, last, state, dgates, dtotal, dh0, dc0, dih, dhh, dhr, dbias, dvectors;
  Room packed, back;

  Direction(const Case& c, const Inputs& in)
      : c(c), in(in), gates(c.elements * c.wide()), cells(c.elements * c.hidden), middle(c.elements * c.hidden),
        last(c.batch * c.output), state(c.batch * c.hidden), dgates(gates.size), dtotal(c.elements * c.output),
        dh0(c.batch * c.output), dc0(c.batch * c.hidden), dih(c.depth() * c.input), dhh(c.depth() * c.output),
        dhr(c.output * c.hidden), dbias(c.wide()), dvectors(3 * c.hidden),
        packed(unrolled_packed_size(c.cell, c.half, c.input, c.hidden, c.output, 0)),
        back(unrolled_packed_size(c.cell, c.half, c.input, c.hidden, c.output, 1)) {}

  // Without what only a pass back needs.
  Layer layer(bool reverse) const {
    Layer l = {};
    l.steps = static_cast<int64_t>(c.sizes.size()), l.batch = c.batch, l.hidden = c.hidden, l.output = c.output;
    l.input = c.input, l.reverse = reverse, l.sizes = c.sizes.data(), l.starts = c.starts.data(), l.given = c.given;
    l.x = in.x, l.x_stride = c.stride(c.input), l.ih = in.ih, l.ih_stride = c.stride(c.input);
    l.hh = in.hh, l.hh_stride = c.stride(c.output);
    if (c.projected()) l.hr = in.hr, l.hr_stride = c.stride(c.hidden);
    l.bias_ih = c.bias_ih ? in.bias_ih.data.get() : nullptr, l.bias_hh = c.bias_hh ? in.bias_hh.data.get() : nullptr;
    l.vectors = c.cell == LSTM_PEEPHOLE ? in.vectors.data.get() : nullptr, l.packed = packed.start;
    l.gates = gates, l.gates_stride = c.wide(), l.middle = c.middle() ? middle.data.get() : nullptr;
    l.h0 = in.h0, l.c = c.memory() ? state.data.get() : nullptr, l.last = last;
    return l;
  }

  void go_back(Layer& l, const Buffer& dx) const {
    l.packed = back.start, l.ih = in.ih, l.c0 = c.memory() ? in.c0.data.get() : nullptr;
    l.dh = in.dh, l.dh_stride = c.stride(c.output), l.dgates = dgates;
    l.dh_carry = dh0, l.dc_carry = c.memory() ? dc0.data.get() : nullptr;
    if (!c.given && c.need_x) l.dx = dx, l.dx_stride = c.input;
    l.dih = c.given ? nullptr : dih.data.get(), l.dih_stride = c.input, l.dhh = dhh, l.dbias = dbias;
    if (c.projected()) l.dtotal = dtotal, l.dhr = dhr;
    if (c.cell == LSTM_PEEPHOLE) l.dvectors = dvectors;
    dh0.copy(in.dh_last), dc0.copy(in.dc_last);
  }
};

// A layer's pass: its directions' hidden states side by side, one gradient of the input.
struct Pass {
  const Case& c;
  int64_t threads, h_stride;
  std::vector<Direction> of;
  std::vector<Layer> layers;
  Buffer h, dx;

  Pass(const Case& c, const std::vector<Inputs>& in, int64_t threads)
      : c(c), threads(threads), h_stride(c.directions * c.output), h(c.elements * h_stride), dx(c.elements * c.input) {
    for (int64_t d = 0; d < c.directions; d++) {
      of.emplace_back(c, in[d]), layers.push_back(of[d].layer(c.backwards(d)));
      layers[d].h = h + d * c.output, layers[d].h_stride = h_stride;
    }
  }

  void forward(bool keep, bool ahead) {
    for (int64_t d = 0; d < c.directions; d++) {
      const Direction& one = of[d];
      one.state.copy(one.in.c0);
      if (c.given) one.gates.copy(one.in.share);
      layers[d].keep = keep, layers[d].cells = keep && c.memory() ? one.cells.data.get() : nullptr;
      if (ahead) unrolled_pack(c.cell, c.half, &layers[d], threads), layers[d].ih = nullptr;
    }
    unrolled_forward(c.cell, c.half, layers.data(), c.directions, threads);
  }

  void backward() {
    for (int64_t d = 0; d < c.directions; d++) of[d].go_back(layers[d], dx);
    unrolled_backward(c.cell, c.half, layers.data(), c.directions, threads);
  }
};

std::vector<Inputs> inputs(const Case& c) {
  std::vector<Inputs> made;
  for (int64_t d = 0; d < c.directions; d++) made.emplace_back(c);
  return made;
}

}  // namespace
