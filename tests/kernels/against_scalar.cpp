// Holds the kernels against the cells' equations in double precision (`scalar.h`), on random sizes and lengths:
// outputs, states, every gradient, and the ticks of a stream, by one thread and by several; and looks that as many
// threads give the same bits again, whether the weights were laid out in that call or ahead of it. Without Python, so
// that it also runs where only a compiler and an emulator are, as for another processor.
//
//     against_scalar [CASES] [BOUND]
//
// BOUND is the error that is allowed in float32, as a share of a tensor's largest number; in bfloat16 2500 times as
// much: a number that lies as good as in the middle between two of bfloat16 may be rounded to the other one.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "cases.h"
#include "scalar.h"

namespace {

double bound = 2e-6;

// Off at most: in float32, in bfloat16, as a share of a tensor's largest number.
struct Worst {
  double of[2] = {0, 0};
};
std::map<std::string, Worst> worst;

// A layer's direction as it should be, in double precision, and as rounding alone makes it.
struct Right {
  Scalar<double> exact;
  Scalar<float> rounded;
};

// A tensor of few numbers may be small because what it sums up cancels: there the error of the same sums in float is
// the measure.
void must_agree(const Case& c, const char* what, const Buffer& found, const std::vector<double>& right,
                const std::vector<float>& rounded) {
  double scale = 0, error = 0, rounding = 0;
  for (std::size_t k = 0; k < right.size(); k++) {
    scale = std::max(scale, std::fabs(right[k])), rounding = std::max(rounding, std::fabs(rounded[k] - right[k]));
    double off = std::fabs(found[k] - right[k]);
    error = off <= error ? error : off;  // so put, NaN comes through
  }
  double allowed = (c.half ? 2500 : 1) * bound * scale;
  if (!c.half && right.size() <= 16 && bound > 1e-7) allowed = std::max({allowed, 2 * rounding, 2e-7});
  double& most = worst[unrolled_isa()].of[c.half];
  if (scale > 0.01) most = std::max(most, error / scale);
  if (error <= allowed) return;
  std::fprintf(stderr, "%s: %s: off by %g where %g is allowed", unrolled_isa(), what, error, allowed);
  c.print(""), std::exit(1);
}

// One direction's columns of what all write side by side.
Buffer columns(const Case& c, const Buffer& all, int64_t direction) {
  Buffer found(c.elements * c.output);
  for (int64_t k = 0; k < found.size; k++) {
    found.data[k] = all[(k / c.output * c.directions + direction) * c.output + k % c.output];
  }
  return found;
}

void forward_must_agree(const Case& c, const Pass& found, const std::vector<Right>& right) {
  for (int64_t d = 0; d < c.directions; d++) {
    const auto& [exact, rounded] = right[d];
    const Direction& one = found.of[d];
    must_agree(c, "outputs", columns(c, found.h, d), exact.h, rounded.h);
    must_agree(c, "last", one.last, exact.last, rounded.last);
    must_agree(c, "gates", one.gates, exact.gates, rounded.gates);
    if (c.middle()) must_agree(c, "middle", one.middle, exact.middle, rounded.middle);
    if (!c.memory()) continue;
    must_agree(c, "cell states", one.cells, exact.cells, rounded.cells);
    must_agree(c, "last cell state", one.state, exact.c_last, rounded.c_last);
  }
}

template <class T>
std::vector<T> added(const std::vector<T>& one, const std::vector<T>& other) {
  std::vector<T> sum = one;
  for (std::size_t k = 0; k < sum.size(); k++) sum[k] += other[k];
  return sum;
}

void backward_must_agree(const Case& c, const Pass& found, const std::vector<Right>& right) {
  for (int64_t d = 0; d < c.directions; d++) {
    const auto& [exact, rounded] = right[d];
    const Direction& one = found.of[d];
    must_agree(c, "gradient of the gates", one.dgates, exact.dgates, rounded.dgates);
    must_agree(c, "gradient of the initial state", one.dh0, exact.dh0, rounded.dh0);
    if (c.memory()) must_agree(c, "gradient of the initial cell state", one.dc0, exact.dc0, rounded.dc0);
    if (!c.given) must_agree(c, "gradient of the input weights", one.dih, exact.dih, rounded.dih);
    must_agree(c, "gradient of the recurrent weights", one.dhh, exact.dhh, rounded.dhh);
    if (c.projected()) must_agree(c, "gradient of the projection", one.dhr, exact.dhr, rounded.dhr);
    must_agree(c, "sums", one.dbias, exact.dbias, rounded.dbias);
    if (c.cell == LSTM_PEEPHOLE) must_agree(c, "of the peepholes", one.dvectors, exact.dvectors, rounded.dvectors);
  }
  if (c.given || !c.need_x) return;
  std::vector<double> exact = right[0].exact.dx;
  std::vector<float> rounded = right[0].rounded.dx;
  if (c.directions == 2) exact = added(exact, right[1].exact.dx), rounded = added(rounded, right[1].rounded.dx);
  must_agree(c, "gradient of the input", found.dx, exact, rounded);
}

// The right gradients are the same for all passes, but where a corner of ReLU's is passed on this side or that.
void pass_must_agree(const Case& c, Pass& found, std::vector<Right>& right, bool first) {
  found.forward(true, c.ahead), forward_must_agree(c, found, right);
  for (int64_t d = 0; d < c.directions && (first || c.cell == ELMAN_RELU); d++) {
    const float* shown = found.h + d * c.output;
    right[d].exact.backward(shown, found.h_stride), right[d].rounded.backward(shown, found.h_stride);
  }
  found.backward(), backward_must_agree(c, found, right);
}

void must_equal(const Case& c, const char* what, const Buffer& one, const Buffer& other) {
  for (int64_t k = 0; k < one.size; k++) {
    bool unwritten = std::isnan(one[k]) && std::isnan(other[k]);
    if (one[k] == other[k] || unwritten) continue;
    std::fprintf(stderr, "%s: %s: %g and then %g", unrolled_isa(), what, one[k], other[k]);
    c.print(""), std::exit(1);
  }
}

void passes_must_equal(const Case& c, const Pass& one, const Pass& other) {
  must_equal(c, "outputs", one.h, other.h), must_equal(c, "gradient of the input", one.dx, other.dx);
  for (int64_t d = 0; d < c.directions; d++) {
    const Direction &a = one.of[d], &b = other.of[d];
    must_equal(c, "last", a.last, b.last), must_equal(c, "last cell state", a.state, b.state);
    must_equal(c, "gradient of the gates", a.dgates, b.dgates), must_equal(c, "sums", a.dbias, b.dbias);
    must_equal(c, "gradient of the initial state", a.dh0, b.dh0);
    must_equal(c, "gradient of the initial cell state", a.dc0, b.dc0);
    must_equal(c, "gradient of the input weights", a.dih, b.dih);
    must_equal(c, "gradient of the recurrent weights", a.dhh, b.dhh);
    must_equal(c, "gradient of the projection", a.dhr, b.dhr);
    must_equal(c, "of the peepholes", a.dvectors, b.dvectors);
  }
}

// A stream that reads the elements as long as no row ends.
void stream_must_agree(const Case& c, const Inputs& in, const Right& right, int64_t threads) {
  Direction one(c, in);
  Buffer now(c.batch * c.output), before(c.batch * c.output);
  before.copy(in.h0), one.state.copy(in.c0);
  int64_t start = 0, count = c.batch * c.output;
  Layer l = one.layer(false);
  l.given = 0;
  unrolled_pack(c.cell, c.half, &l, threads);
  l.ih = l.hh = l.hr = nullptr;
  l.steps = 1, l.sizes = &c.batch, l.starts = &start, l.h0 = before, l.h = now, l.h_stride = c.output, l.last = nullptr;
  for (std::size_t t = 0; t < c.sizes.size() && c.sizes[t] == c.batch; t++) {
    unrolled_step(c.cell, c.half, &l, in.x + c.starts[t] * c.stride(c.input), threads);
    auto exact = right.exact.h.begin() + c.starts[t] * c.output;
    auto rounded = right.rounded.h.begin() + c.starts[t] * c.output;
    must_agree(c, "a stream's step", t % 2 ? before : now, {exact, exact + count}, {rounded, rounded + count});
  }
}

void run(const std::vector<const char*>& sets) {
  Case c;
  std::vector<Inputs> in = inputs(c);
  std::vector<Right> right;
  for (int64_t d = 0; d < c.directions; d++) {
    right.push_back({{c, in[d], c.backwards(d)}, {c, in[d], c.backwards(d)}});
    right[d].exact.forward(), right[d].rounded.forward();
    if (c.given) std::copy(right[d].exact.share.begin(), right[d].exact.share.end(), in[d].share.data.get());
  }
  for (const char* isa : sets) {
    unrolled_use(isa);
    bool first = isa == sets.front();
    Pass alone(c, in, 1), shared(c, in, c.threads), again(c, in, c.threads);
    pass_must_agree(c, alone, right, first), pass_must_agree(c, shared, right, false);
    again.forward(true, !c.ahead), again.backward(), passes_must_equal(c, shared, again);
    if (!c.backwards(0)) stream_must_agree(c, in[0], right[0], 1), stream_must_agree(c, in[0], right[0], c.threads);
  }
}

}  // namespace

int main(int count, char** given) {
  int64_t cases = count > 1 ? std::atoll(given[1]) : 300;
  if (count > 2) bound = std::atof(given[2]);
  std::vector<const char*> sets;
  for (const char* isa : {"portable", "avx2", "avx512", "avx512bf16"}) {
    if (unrolled_use(isa)) sets.push_back(isa);
  }
  source.seed(1);
  for (int64_t k = 0; k < cases; k++) run(sets);
  for (const char* isa : sets) {
    std::printf("%s: %lld cases, off by %.1e at most, in bfloat16 by %.1e\n", isa, (long long)cases, worst[isa].of[0],
                worst[isa].of[1]);
  }
}
