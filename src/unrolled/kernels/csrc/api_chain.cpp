// Several kernels one after the other, for loops whose steps are so short that a call from Python takes as long as what it
// does. Nothing is checked but indices: `chain.py` has looked at every size.
#include "api_chain.h"

#include <cstring>

#include "api_attention.h"
#include "api_matrix.h"

namespace {

// The layer stays as it is: a tick lets its states change places.
void tick(const Call& c) {
  Layer* layer = static_cast<Layer*>(c.first);
  const float* before = layer->h0;
  float* after = layer->h;
  unrolled_step(c.cell, c.half, layer, c.source, c.threads);
  layer->h0 = before, layer->h = after;
}

void copy(const Call& c) {
  for (int64_t row = 0; row < c.rows; row++) {
    std::memcpy(c.target + row * c.target_stride, c.source + row * c.source_stride, c.columns * sizeof(float));
  }
}

void add(const Call& c) {
  for (int64_t row = 0; row < c.rows; row++) {
    const float *a = c.source + row * c.source_stride, *b = c.other + row * c.other_stride;
    for (int64_t k = 0; k < c.columns; k++) c.target[row * c.target_stride + k] = a[k] + b[k];
  }
}

bool take(const Call& c) {
  for (int64_t row = 0; row < c.rows; row++) {
    if (c.index[row] < 0 || c.index[row] >= c.limit) return false;
    const float* from = c.source + c.index[row] * c.source_stride;
    std::memcpy(c.target + row * c.target_stride, from, c.columns * sizeof(float));
  }
  return true;
}

}  // namespace

// 1; or 0, and nothing more is done, where an index is out of its range.
EXPORT int64_t unrolled_run(const Call* const* calls, int64_t count) {
  for (int64_t k = 0; k < count; k++) {
    const Call& c = *calls[k];
    switch (c.kind) {
      case TICK: tick(c); break;
      case MULTIPLY: unrolled_matrix_multiply(c.half, static_cast<const Product*>(c.first), c.threads); break;
      case LOOK:
        unrolled_look(static_cast<const Layer*>(c.first), static_cast<const Attention*>(c.second), c.threads);
        break;
      case COPY: copy(c); break;
      case ADD: add(c); break;
      case TAKE:
        if (!take(c)) return 0;
    }
  }
  return 1;
}
