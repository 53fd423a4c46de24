// Holds the kernels against the cells' equations in double precision (`scalar.h`), on random sizes and lengths: outputs,
// states, every gradient, and one tick of a stream. Without Python, so that it also runs where only a compiler and an
// emulator are, as for another processor.
//
//     against_scalar [CASES] [BOUND]
//
// BOUND is the error that is allowed in float32, as a share of a tensor's largest number; in bfloat16 2500 times as
// much: a number that lies as good as in the middle between two of bfloat16 may be rounded to the other one.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "api.h"
#include "cases.h"
#include "scalar.h"

namespace {

double bound = 2e-6;
double worst[2] = {0, 0};  // in float32, in bfloat16; as a share of a tensor's largest number

// A tensor of few numbers may be small because what it sums up cancels: there the error of the same sums in float is
// the measure.
void must_agree(const Case& c, const char* what, const float* found, const std::vector<double>& right,
                const std::vector<float>& rounded) {
  double scale = 0, error = 0, rounding = 0;
  for (std::size_t k = 0; k < right.size(); k++) {
    scale = std::max(scale, std::fabs(right[k])), rounding = std::max(rounding, std::fabs(rounded[k] - right[k]));
    double off = std::fabs(found[k] - right[k]);
    error = off <= error ? error : off;  // so put, NaN comes through
  }
  double allowed = (c.half ? 2500 : 1) * bound * scale;
  if (!c.half && right.size() <= 16 && bound > 1e-7) allowed = std::max({allowed, 2 * rounding, 2e-7});
  if (scale > 0.01) worst[c.half] = std::max(worst[c.half], error / scale);
  if (error <= allowed) return;
  std::fprintf(stderr,
               "%s: off by %g where %g is allowed; cell %lld, half %lld, hidden %lld, input %lld, batch %lld, steps %zu, "
               "threads %lld, reverse %lld\n",
               what, error, allowed, (long long)c.cell, (long long)c.half, (long long)c.hidden, (long long)c.input,
               (long long)c.batch, c.sizes.size(), (long long)c.threads, (long long)c.reverse);
  std::exit(1);
}

// The parts of the weights' rows that the input is multiplied with, and the block of the gates where each begins.
struct Part {
  int64_t first, count, to;
};
std::vector<Part> parts(const Case& c) {
  if (c.cell == 3) return {{0, 2, 0}, {2, 1, 3}};
  return {{0, c.blocks(), 0}};
}

struct Run {
  const Case& c;
  const Inputs& in;
  int64_t n = c.hidden, depth = c.blocks() * n, wide = c.width() * n;
  bool memory = c.cell < 3;
  Buffer gates{c.elements * wide}, h{c.elements * n}, cells{c.elements * n}, last{c.batch * n}, state{c.batch * n};
  Buffer dgates{c.elements * wide}, dh0{c.batch * n}, dc0{c.batch * n}, dx{c.elements * c.input};
  Buffer d_ih{depth * c.input}, d_hh{depth * n}, sums{wide};
  Layer layer = {};

  void forward() {
    for (const Part& part : parts(c)) {
      int64_t columns = part.count * n;
      Buffer panels = packed(c, unrolled_packed_size(c.half, c.input, columns));
      unrolled_pack(c.half, in.ih + part.first * n * c.input, c.input, c.input, columns, 1, panels, c.threads);
      Product p = {in.x, c.input, c.elements, c.input, columns, panels, in.bias + part.first * n, gates + part.to * n,
                   wide, 0};
      unrolled_multiply(c.half, &p, c.threads);
    }
    Buffer panels = packed(c, unrolled_forward_size(c.cell, c.half, n));
    unrolled_pack_forward(c.cell, c.half, in.hh, n, n, panels);
    std::copy_n(in.c0.data.get(), state.size, state.data.get());
    layer.steps = c.sizes.size(), layer.batch = c.batch, layer.hidden = n, layer.reverse = c.reverse;
    layer.sizes = c.sizes.data(), layer.starts = c.starts.data(), layer.weights = panels, layer.vectors = in.vectors;
    layer.gates = gates, layer.gates_stride = wide, layer.cells = memory ? cells.data.get() : nullptr;
    layer.h0 = in.h0, layer.c0 = in.c0, layer.h = h, layer.h_stride = n, layer.keep = 1;
    layer.c = memory ? state.data.get() : nullptr;
    unrolled_forward(c.cell, c.half, &layer, 1, c.threads);
    unrolled_last(&layer, last);
  }

  void backward() {
    Buffer panels = packed(c, unrolled_packed_size(c.half, depth, n));
    unrolled_pack(c.half, in.hh, n, depth, n, 0, panels, c.threads);
    std::copy_n(in.dh_last.data.get(), dh0.size, dh0.data.get());
    std::copy_n(in.dc_last.data.get(), dc0.size, dc0.data.get());
    layer.weights = panels, layer.dh = in.dh, layer.dh_stride = n, layer.dgates = dgates, layer.dh_carry = dh0;
    layer.dc_carry = memory ? dc0.data.get() : nullptr;
    unrolled_backward(c.cell, c.half, &layer, 1, c.threads);
    int64_t add = 0;
    for (const Part& part : parts(c)) {
      int64_t rows = part.count * n;
      Buffer weights = packed(c, unrolled_packed_size(c.half, rows, c.input));
      unrolled_pack(c.half, in.ih + part.first * n * c.input, c.input, rows, c.input, 0, weights, c.threads);
      Product p = {dgates + part.to * n, wide, c.elements, rows, c.input, weights, nullptr, dx, c.input, add++};
      unrolled_multiply(c.half, &p, c.threads);
      unrolled_outer(c.half, dgates + part.to * n, wide, rows, c.elements, in.x, c.input, c.input,
                     d_ih + part.first * n * c.input, c.input, 0, c.threads);
    }
    unrolled_recurrent_outer(c.half, &layer, depth, d_hh, n, c.threads);
    unrolled_sums(dgates, wide, c.elements, wide, sums, c.threads);
  }

  // The first element of every row, read by a stream: for the rows that have no other it is all.
  void step(const Scalar<double>& right, const Scalar<float>& rounded) {
    Buffer share(c.batch * wide), first(c.batch * n), before(c.batch * n), remembered(c.batch * n);
    std::copy_n(in.h0.data.get(), before.size, before.data.get());
    std::copy_n(in.c0.data.get(), remembered.size, remembered.data.get());
    std::vector<Buffer> panels;
    std::vector<Product> inputs;
    for (const Part& part : parts(c)) {
      int64_t columns = part.count * n;
      panels.push_back(packed(c, unrolled_packed_size(c.half, c.input, columns)));
      unrolled_pack(c.half, in.ih + part.first * n * c.input, c.input, c.input, columns, 1, panels.back(), 1);
      inputs.push_back({in.x, c.input, c.batch, c.input, columns, panels.back(), in.bias + part.first * n,
                        share + part.to * n, wide, 0});
    }
    Buffer recurrent = packed(c, unrolled_forward_size(c.cell, c.half, n));
    unrolled_pack_forward(c.cell, c.half, in.hh, n, n, recurrent);
    int64_t start = 0;
    Layer one = {};
    one.steps = 1, one.batch = c.batch, one.hidden = n, one.sizes = &c.batch, one.starts = &start;
    one.weights = recurrent, one.vectors = in.vectors, one.gates = share, one.gates_stride = wide;
    one.h0 = before, one.h = first, one.h_stride = n, one.c = memory ? remembered.data.get() : nullptr;
    unrolled_step(c.cell, c.half, &one, inputs.data(), static_cast<int64_t>(inputs.size()));
    must_agree(c, "a stream's first step", first, {right.h.begin(), right.h.begin() + c.batch * n},
               {rounded.h.begin(), rounded.h.begin() + c.batch * n});
  }
};

void run() {
  Case c;
  if (draw(0, 15) == 0) c.hidden = draw(257, 300);  // more than one chunk of a sum
  int64_t n = c.hidden, depth = c.blocks() * n, rows = c.batch * n;
  float scale = 1 / std::sqrt(3.0f * n);  // as torch draws them
  Inputs in = {
      Buffer::random(c.elements * c.input), Buffer::random(depth * c.input, scale), Buffer::random(depth * n, scale),
      Buffer::random(depth), Buffer::random(3 * n), Buffer::random(rows), Buffer::random(rows),
      Buffer::random(c.elements * n), Buffer::random(rows), Buffer::random(rows)};
  Scalar<double> right(c, in);
  Scalar<float> rounded(c, in);
  Run found = {c, in};
  right.forward(), rounded.forward(), found.forward();
  must_agree(c, "outputs", found.h, right.h, rounded.h), must_agree(c, "last", found.last, right.last, rounded.last);
  if (found.memory) {
    must_agree(c, "cell states", found.cells, right.cells, rounded.cells);
    must_agree(c, "last cell state", found.state, right.c_last, rounded.c_last);
  }
  if (!c.reverse) found.step(right, rounded);
  right.backward(found.h), rounded.backward(found.h), found.backward();
  must_agree(c, "gradient of the gates", found.dgates, right.dgates, rounded.dgates);
  must_agree(c, "gradient of the initial state", found.dh0, right.dh0, rounded.dh0);
  if (found.memory) must_agree(c, "gradient of the initial cell state", found.dc0, right.dc0, rounded.dc0);
  must_agree(c, "gradient of the input", found.dx, right.dx, rounded.dx);
  must_agree(c, "gradient of the input weights", found.d_ih, right.d_ih, rounded.d_ih);
  must_agree(c, "gradient of the recurrent weights", found.d_hh, right.d_hh, rounded.d_hh);
  must_agree(c, "sums", found.sums, right.sums, rounded.sums);
}

}  // namespace

int main(int count, char** given) {
  int64_t cases = count > 1 ? std::atoll(given[1]) : 300;
  if (count > 2) bound = std::atof(given[2]);
  for (const char* isa : {"portable", "avx2", "avx512", "avx512bf16"}) {
    if (!unrolled_use(isa)) continue;
    source.seed(1);
    std::fill_n(worst, 2, 0.0);
    for (int64_t k = 0; k < cases; k++) run();
    std::printf("%s: %lld cases, off by %.1e at most, in bfloat16 by %.1e\n", unrolled_isa(), (long long)cases, worst[0],
                worst[1]);
  }
}
