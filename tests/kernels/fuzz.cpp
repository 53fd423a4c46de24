// Runs the kernels on random sizes and lengths, in buffers of exactly the size that they say they need, filled with NaN
// where they are to write. Compiled with sanitizers, it ends with an error for any access beyond a buffer; by itself it
// looks that nothing is left unwritten or read before it was written: a NaN would come out.
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "cases.h"
#include "in_each_set.h"

namespace {

void must_be_written(const Case& c, const Buffer& buffer, const char* what) {
  for (int64_t k = 0; k < buffer.size; k++) {
    if (std::isfinite(buffer[k])) continue;
    std::fprintf(stderr, "number %lld of %lld is %f: ", (long long)k, (long long)buffer.size, buffer[k]);
    c.print(what), std::exit(1);
  }
}

void must_equal(const Case& c, const Buffer& one, const Buffer& other, const char* what) {
  for (int64_t k = 0; k < one.size; k++) {
    if (one[k] != other[k]) c.print(what), std::exit(1);
  }
}

void run() {
  Case c;
  std::vector<Inputs> in = inputs(c);
  Pass inference(c, in, c.threads), training(c, in, c.threads);
  inference.forward(false, !c.ahead), training.forward(true, c.ahead);
  must_be_written(c, training.h, "outputs"), must_equal(c, training.h, inference.h, "inference is not training");
  for (const Direction& one : training.of) {
    must_be_written(c, one.gates, "gates"), must_be_written(c, one.last, "last");
    if (c.memory()) must_be_written(c, one.cells, "cells"), must_be_written(c, one.state, "state");
    if (c.middle()) must_be_written(c, one.middle, "middle");
  }
  training.backward();
  if (!c.given && c.need_x) must_be_written(c, training.dx, "gradient of the input");
  for (const Direction& one : training.of) {
    must_be_written(c, one.dgates, "gradient of the gates"), must_be_written(c, one.dh0, "gradient of the state");
    must_be_written(c, one.dc0, "gradient of the cell state"), must_be_written(c, one.dbias, "sums");
    if (!c.given) must_be_written(c, one.dih, "gradient of the input weights");
    must_be_written(c, one.dhh, "gradient of the recurrent weights");
    if (c.projected()) must_be_written(c, one.dhr, "gradient of the projection");
    if (c.cell == LSTM_PEEPHOLE) must_be_written(c, one.dvectors, "gradient of the peepholes");
  }
}

}  // namespace

int main(int count, char** given) { return in_each_set(count, given, run); }
