// Behind the C interface of the softmax over a vocabulary: its chunks of rows, and its columns split among threads.
#include "api_softmax.h"

#include <cstring>

#include "chosen.h"

namespace {

constexpr int64_t UNIT = 64;  // columns: some whole panels in every instruction set

// The gradient of x: what the parts of the columns have found, one added to the other, in their order.
void add_parts(const Chunk& c, int64_t parts, int64_t threads) {
  int64_t size = c.rows * c.of->hidden;
  in_parts(size, 1024, threads, [&](int64_t, int64_t from, int64_t to) {
    float* dx = c.of->dx + c.start * c.of->hidden;
    std::memcpy(dx + from, c.partial + from, (to - from) * sizeof(float));
    for (int64_t part = 1; part < parts; part++) {
      for (int64_t k = from; k < to; k++) dx[k] += c.partial[part * size + k];
    }
  });
}

int64_t parts_of(const Softmax& s, int64_t threads) {
  int64_t units = (s.words + UNIT - 1) / UNIT;
  return threads < units ? threads : units;
}

}  // namespace

EXPORT int64_t unrolled_softmax_room(int64_t half, const Softmax* s, int64_t threads) {
  Chunk chunk = {};
  return kernels->softmax[half].room(*s, 0, parts_of(*s, threads), chunk);
}

EXPORT void unrolled_softmax(int64_t half, const Softmax* s, int64_t threads) {
  const SoftmaxKernels& of = kernels->softmax[half];
  int64_t parts = parts_of(*s, threads);
  for (int64_t start = 0; start < s->rows; start += s->chunk) {
    Chunk chunk = {};
    of.room(*s, start, parts, chunk);
    int64_t numbers = of.scratch(chunk.rows, s->hidden);
    in_parts(s->words, UNIT, parts, [&](int64_t, int64_t from, int64_t to) {
      of.ahead(chunk, from, to, scratch(numbers, half));
    });
    of.rows(chunk);
    if (!s->factors) continue;
    in_parts(s->words, UNIT, parts, [&](int64_t part, int64_t from, int64_t to) {
      of.back(chunk, part, from, to, scratch(numbers, half));
    });
    if (s->dx) add_parts(chunk, parts, threads);
  }
}
