// Runs the softmax over a vocabulary on random sizes, in buffers of exactly the size that it says it needs, filled with
// NaN where it is to write. Compiled with sanitizers, it ends with an error for any access beyond a buffer; by itself it
// looks that nothing is left unwritten or read before it was written: a NaN would come out.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "api_softmax.h"
#include "buffers.h"
#include "in_each_set.h"

namespace {

void go(int64_t half, Softmax s, int64_t threads) {
  Buffer room(unrolled_softmax_room(half, &s, threads));
  s.room = room;
  unrolled_softmax(half, &s, threads);
}

void run() {
  int64_t half = draw(0, 1), threads = draw(1, 4), rows = draw(1, 40), hidden = draw(0, 3) ? draw(1, 20) : draw(60, 90);
  int64_t words = draw(0, 3) ? draw(1, 90) : draw(120, 400);
  Buffer x = Buffer::random(rows * hidden), weight = Buffer::random(words * hidden), bias = Buffer::random(words);
  Buffer factors = Buffer::random(rows), losses(rows), again(rows);
  Buffer dx(rows * hidden), dweight(words * hidden), dbias(words);
  std::vector<int64_t> targets(rows);
  for (int64_t& target : targets) target = draw(0, words - 1);
  Softmax s = {};
  s.x = x, s.x_stride = hidden, s.rows = rows, s.hidden = hidden, s.words = words, s.weight = weight;
  s.weight_stride = hidden, s.bias = draw(0, 3) ? bias.data.get() : nullptr, s.targets = targets.data();
  s.smoothing = draw(0, 1) ? 0.1 : 0, s.losses = losses, s.chunk = draw(1, rows);
  go(half, s, threads);
  must_be_written(losses, "losses");
  bool want_x = draw(0, 3), want_weight = draw(0, 3), want_bias = draw(0, 3);
  s.losses = again, s.factors = factors;
  s.dx = want_x ? dx.data.get() : nullptr, s.dweight = want_weight ? dweight.data.get() : nullptr;
  s.dbias = want_bias ? dbias.data.get() : nullptr;
  go(half, s, threads);
  for (int64_t k = 0; k < rows; k++) {
    if (losses[k] != again[k]) std::fprintf(stderr, "inference is not training\n"), std::exit(1);
  }
  if (want_x) must_be_written(dx, "gradient of x");
  if (want_weight) must_be_written(dweight, "gradient of the weight");
  if (want_bias) must_be_written(dbias, "gradient of the bias");
}

}  // namespace

int main(int count, char** given) { return in_each_set(count, given, run); }
