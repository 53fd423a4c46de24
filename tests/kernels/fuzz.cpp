// Runs the kernels on random sizes and lengths, in buffers of exactly the size that they say they need, filled with NaN
// where they are to write. Compiled with sanitizers, it ends with an error for any access beyond a buffer; by itself it
// looks that nothing is left unwritten or read before it was written: a NaN would come out.
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "api.h"
#include "cases.h"

namespace {

void must_be_written(const Buffer& buffer, const char* what) {
  for (int64_t k = 0; k < buffer.size; k++) {
    if (!std::isfinite(buffer[k])) {
      std::fprintf(stderr, "%s: number %lld of %lld is %f\n", what, (long long)k, (long long)buffer.size, buffer[k]);
      std::exit(1);
    }
  }
}

// The input's share of some blocks of the gates.
void project(const Case& c, const Buffer& x, int64_t blocks, float* gates) {
  int64_t columns = blocks * c.hidden;
  Buffer weights = Buffer::random(columns * c.input), bias = Buffer::random(columns);
  Buffer panels = packed(c, unrolled_packed_size(c.half, c.input, columns));
  unrolled_pack(c.half, weights, c.input, c.input, columns, 1, panels, c.threads);
  Product p = {x, c.input, c.elements, c.input, columns, panels, bias, gates, c.width() * c.hidden, 0};
  unrolled_multiply(c.half, &p, c.threads);
}

void project_all(const Case& c, const Buffer& x, const Buffer& gates) {
  if (c.cell != 3) return project(c, x, c.blocks(), gates);
  project(c, x, 2, gates);
  project(c, x, 1, gates + 3 * c.hidden);
}

void run() {
  Case c;
  int64_t n = c.elements, h = c.hidden, rows = c.batch * h, depth = c.blocks() * h;
  Buffer x = Buffer::random(n * c.input), weights = Buffer::random(depth * h), vectors = Buffer::random(3 * h);
  Buffer gates(n * c.width() * h), cells(n * h), out(n * h), again(n * h), last(rows);
  Buffer h0 = Buffer::random(rows), c0 = Buffer::random(rows), state(rows);
  Buffer panels = packed(c, unrolled_forward_size(c.cell, c.half, h));
  for (int64_t k = 0; k < rows; k++) state[k] = c0[k];
  project_all(c, x, gates);
  unrolled_pack_forward(c.cell, c.half, weights, h, h, panels);
  bool memory = c.cell < 3;
  Layer layer = {};
  layer.steps = c.sizes.size(), layer.batch = c.batch, layer.hidden = h, layer.reverse = c.reverse;
  layer.sizes = c.sizes.data(), layer.starts = c.starts.data(), layer.weights = panels, layer.vectors = vectors;
  layer.gates = gates, layer.gates_stride = c.width() * h, layer.h0 = h0, layer.h = again, layer.h_stride = h;
  layer.c = memory ? state.data.get() : nullptr;
  unrolled_forward(c.cell, c.half, &layer, 1, c.threads);
  must_be_written(again, "inference");
  for (int64_t k = 0; k < rows; k++) state[k] = c0[k];
  layer.keep = 1, layer.h = out, layer.cells = memory ? cells.data.get() : nullptr;
  unrolled_forward(c.cell, c.half, &layer, 1, c.threads);
  unrolled_last(&layer, last);
  must_be_written(out, "outputs"), must_be_written(gates, "gates"), must_be_written(last, "last");
  if (memory) must_be_written(cells, "cells"), must_be_written(state, "state");
  for (int64_t k = 0; k < out.size; k++) {
    if (out[k] != again[k]) std::fprintf(stderr, "inference is not training\n"), std::exit(1);
  }

  Buffer back = packed(c, unrolled_packed_size(c.half, depth, h)), dgates(gates.size);
  Buffer dh = Buffer::random(n * h), first = Buffer::random(rows), memories = Buffer::random(rows);
  unrolled_pack(c.half, weights, h, depth, h, 0, back, c.threads);
  layer.weights = back, layer.c0 = c0, layer.dh = dh, layer.dh_stride = h, layer.dgates = dgates;
  layer.dh_carry = first, layer.dc_carry = memory ? memories.data.get() : nullptr;
  unrolled_backward(c.cell, c.half, &layer, 1, c.threads);
  must_be_written(dgates, "gradient of the gates"), must_be_written(first, "gradient of the state");
  must_be_written(memories, "gradient of the cell state");

  Buffer by_state(depth * h), by_input(depth * c.input), sums(c.width() * h);
  unrolled_recurrent_outer(c.half, &layer, depth, by_state, h, c.threads);
  unrolled_outer(c.half, dgates, c.width() * h, depth, n, x, c.input, c.input, by_input, c.input, 0, c.threads);
  unrolled_sums(dgates, c.width() * h, n, sums.size, sums, c.threads);
  must_be_written(by_state, "gradient of the recurrent weights");
  must_be_written(by_input, "gradient of the input weights"), must_be_written(sums, "sums");
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
