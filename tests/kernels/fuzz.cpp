// Runs the kernels on random sizes and lengths, in buffers of exactly the size that they say they need, filled with NaN
// where they are to write. Compiled with sanitizers, it ends with an error for any access beyond a buffer; by itself it
// looks that nothing is left unwritten or read before it was written: a NaN would come out.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "api.h"
#include "kernels.h"

namespace {

std::mt19937 source;

int64_t draw(int64_t from, int64_t to) { return std::uniform_int_distribution<int64_t>(from, to)(source); }

// Of exactly this size, in memory of its own, so that the sanitizer knows its end.
struct Buffer {
  std::unique_ptr<float[]> data;
  int64_t size;
  explicit Buffer(int64_t size) : data(new float[size]), size(size) {
    for (int64_t k = 0; k < size; k++) data[k] = NAN;
  }
  static Buffer random(int64_t size) {
    Buffer made(size);
    std::normal_distribution<float> normal(0, 0.5);
    for (int64_t k = 0; k < size; k++) made.data[k] = normal(source);
    return made;
  }
  operator float*() const { return data.get(); }
};

void must_be_written(const Buffer& buffer, const char* what) {
  for (int64_t k = 0; k < buffer.size; k++) {
    if (!std::isfinite(buffer[k])) {
      std::fprintf(stderr, "%s: number %lld of %lld is %f\n", what, (long long)k, (long long)buffer.size, buffer[k]);
      std::exit(1);
    }
  }
}

void must_equal(const Buffer& one, const Buffer& other, const char* what) {
  for (int64_t k = 0; k < one.size; k++) {
    if (one[k] != other[k]) std::fprintf(stderr, "%s\n", what), std::exit(1);
  }
}

struct Case {
  int64_t cell, half, hidden, output, input, batch, threads, directions;
  std::vector<int64_t> sizes, starts;
  int64_t elements = 0;

  Case() {
    cell = draw(0, CELL_KINDS - 1), half = draw(0, 1), hidden = draw(0, 3) ? draw(1, 40) : draw(60, 200);
    output = cell == LSTM_PROJECTED ? draw(1, hidden) : hidden, input = draw(0, 5) ? draw(1, 40) : draw(60, 200);
    batch = draw(1, 15), threads = draw(1, 4), directions = draw(1, 2);
    for (int64_t alive = batch; alive > 0 && sizes.size() < 12; alive -= draw(0, 3) ? 0 : draw(0, alive)) {
      sizes.push_back(alive), starts.push_back(elements), elements += alive;
    }
  }
  bool memory() const { return cell <= LSTM_COUPLED || cell == LSTM_PROJECTED; }
  bool middle() const { return cell == LSTM_PROJECTED || cell == GRU_CHO; }
  int64_t blocks() const { return cell == ELMAN_TANH || cell == ELMAN_RELU ? 1 : memory() && cell != LSTM_COUPLED ? 4 : 3; }
  int64_t width() const { return cell == GRU ? 4 : blocks(); }
};

// Bytes that begin at a border of lines and end where the sanitizer looks.
struct Room {
  std::unique_ptr<char[]> data;
  char* start;
  explicit Room(int64_t bytes) : data(new char[bytes + 64]) {
    start = data.get() + bytes + 64 - bytes;
    start -= reinterpret_cast<uintptr_t>(start) % 64;
  }
};

// One direction of a layer, with all that it reads and writes.
struct Direction {
  const Case& c;
  int64_t n, h, p, depth;
  Buffer x, ih, hh, hr, bias_ih, bias_hh, vectors, h0, c0, gates, cells, middle, out, again, last, state;
  Buffer dh, dgates, dtotal, first, memories, dx, dih, dhh, dhr, dbias, dvectors;
  Room packed, back;

  explicit Direction(const Case& c)
      : c(c), n(c.elements), h(c.hidden), p(c.output), depth(c.blocks() * h), x(Buffer::random(n * c.input)),
        ih(Buffer::random(depth * c.input)), hh(Buffer::random(depth * p)), hr(Buffer::random(p * h)),
        bias_ih(Buffer::random(depth)), bias_hh(Buffer::random(depth)), vectors(Buffer::random(3 * h)),
        h0(Buffer::random(c.batch * p)), c0(Buffer::random(c.batch * h)), gates(n * c.width() * h), cells(n * h),
        middle(n * h), out(n * p), again(n * p), last(c.batch * p), state(c.batch * h), dh(Buffer::random(n * p)),
        dgates(gates.size), dtotal(n * p), first(Buffer::random(c.batch * p)), memories(Buffer::random(c.batch * h)),
        dx(n * c.input), dih(ih.size), dhh(hh.size), dhr(hr.size), dbias(c.width() * h), dvectors(3 * h),
        packed(unrolled_packed_size(c.cell, c.half, c.input, h, p, 0)),
        back(unrolled_packed_size(c.cell, c.half, c.input, h, p, 1)) {}

  Layer layer(int64_t reverse) const {
    Layer l = {};
    l.steps = c.sizes.size(), l.batch = c.batch, l.hidden = h, l.output = p, l.input = c.input, l.reverse = reverse;
    l.sizes = c.sizes.data(), l.starts = c.starts.data(), l.x = x, l.x_stride = c.input;
    l.ih = ih, l.ih_stride = c.input, l.hh = hh, l.hh_stride = p, l.bias_ih = bias_ih, l.bias_hh = bias_hh;
    if (c.cell == LSTM_PROJECTED) l.hr = hr, l.hr_stride = h, l.dtotal = dtotal, l.dhr = dhr;
    l.vectors = vectors, l.packed = packed.start, l.gates = gates, l.gates_stride = c.width() * h;
    l.middle = c.middle() ? middle.data.get() : nullptr, l.h0 = h0, l.c0 = c0, l.h = again, l.h_stride = p;
    l.c = c.memory() ? state.data.get() : nullptr, l.last = last;
    l.dh = dh, l.dh_stride = p, l.dgates = dgates, l.dh_carry = first, l.dc_carry = memories;
    l.dx = dx, l.dx_stride = c.input, l.dih = dih, l.dih_stride = c.input, l.dhh = dhh, l.dbias = dbias, l.dvectors = dvectors;
    return l;
  }
  void begin() const {
    for (int64_t k = 0; k < state.size; k++) state[k] = c0[k];
  }
};

void run() {
  Case c;
  std::vector<Direction> of;
  std::vector<Layer> layers;
  of.reserve(c.directions);
  for (int64_t d = 0; d < c.directions; d++) {
    of.emplace_back(c);
    layers.push_back(of[d].layer(d)), of[d].begin();
    unrolled_pack(c.cell, c.half, &layers[d], c.threads);
    layers[d].ih = nullptr;  // laid out already
  }
  unrolled_forward(c.cell, c.half, layers.data(), c.directions, c.threads);
  for (int64_t d = 0; d < c.directions; d++) {
    must_be_written(of[d].again, "inference");
    of[d].begin();
    layers[d].ih = of[d].ih, layers[d].keep = 1, layers[d].h = of[d].out;
    layers[d].cells = c.memory() ? of[d].cells.data.get() : nullptr;
  }
  unrolled_forward(c.cell, c.half, layers.data(), c.directions, c.threads);
  for (int64_t d = 0; d < c.directions; d++) {
    const Direction& one = of[d];
    must_be_written(one.out, "outputs"), must_be_written(one.gates, "gates"), must_be_written(one.last, "last");
    if (c.memory()) must_be_written(one.cells, "cells"), must_be_written(one.state, "state");
    if (c.middle()) must_be_written(one.middle, "middle");
    must_equal(one.out, one.again, "inference is not training");
    layers[d].packed = one.back.start;
    layers[d].dx = of[0].dx;
  }
  unrolled_backward(c.cell, c.half, layers.data(), c.directions, c.threads);
  must_be_written(of[0].dx, "gradient of the input");
  for (const Direction& one : of) {
    must_be_written(one.dgates, "gradient of the gates"), must_be_written(one.first, "gradient of the state");
    must_be_written(one.memories, "gradient of the cell state"), must_be_written(one.dbias, "sums");
    must_be_written(one.dih, "gradient of the input weights"), must_be_written(one.dhh, "of the recurrent weights");
    if (c.cell == LSTM_PROJECTED) must_be_written(one.dhr, "gradient of the projection");
    if (c.cell == LSTM_PEEPHOLE) must_be_written(one.dvectors, "gradient of the peepholes");
  }
}

}  // namespace

int main(int count, char** given) {
  int64_t cases = count > 1 ? std::atoll(given[1]) : 1000;
  for (const char* isa : {"portable", "avx2", "avx512", "avx512bf16"}) {
    if (!unrolled_use(isa)) continue;
    source.seed(1);
    for (int64_t k = 0; k < cases; k++) run();
    std::printf("%s: %lld cases\n", unrolled_isa(), (long long)cases);
  }
}
