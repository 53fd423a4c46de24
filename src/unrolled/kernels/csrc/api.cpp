// What Python calls: a plain C interface of raw pointers and sizes. Here the instruction set is chosen, and the work
// is split among threads. Nothing is checked here: `functions.py` has looked at every size before a pointer gets here.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "gemm_types.h"
#include "kernels.h"
#include "pool.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

extern const Kernels unrolled_kernels_portable;
#if defined(__x86_64__)
extern const Kernels unrolled_kernels_avx512, unrolled_kernels_avx2;
#endif

namespace {

#if defined(__x86_64__)
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif

// The kernels of an instruction set by its name, or the best that this machine can run; null where it cannot.
const Kernels* find(const char* name) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (has_avx512() && (!name || !std::strcmp(name, "avx512"))) return &unrolled_kernels_avx512;
  if (has_avx2() && (!name || !std::strcmp(name, "avx2"))) return &unrolled_kernels_avx2;
#endif
  return !name || !std::strcmp(name, "portable") ? &unrolled_kernels_portable : nullptr;
}

const Kernels* kernels = find(nullptr);

// Room for intermediate results, one for each thread; it grows to what was needed most.
float* scratch(std::size_t floats) {
  thread_local std::vector<float> room;
  if (room.size() < floats) room = std::vector<float>(floats);
  return room.data();
}

// Elements of the first `rows` rows.
int64_t elements(const Layer& l, int64_t rows) {
  int64_t total = 0;
  for (int64_t t = 0; t < l.steps; t++) total += l.sizes[t] < rows ? l.sizes[t] : rows;
  return total;
}

// Rows cut into `parts` of near-equal elements. The first are the longest.
std::vector<Slice> slices(const Layer& l, int64_t parts) {
  std::vector<Slice> found;
  int64_t all = elements(l, l.batch);
  for (int64_t part = 0, from = 0; part < parts; part++) {
    int64_t to = from;
    if (part + 1 == parts) to = l.batch;
    while (to < l.batch && elements(l, to) * parts < all * (part + 1)) to++;
    if (to > from) found.push_back({&l, from, to});
    from = to;
  }
  return found;
}

using Pass = void (*)(const Slice&);

void run(const Layer* layers, int64_t count, int64_t threads, Pass pass) {
  std::vector<Slice> work;
  // Directions side by side; where there are more threads than directions, each direction's rows are cut.
  int64_t parts = (threads + count - 1) / count;
  for (int64_t k = 0; k < count; k++) {
    for (const Slice& slice : slices(layers[k], parts)) work.push_back(slice);
  }
  int workers = static_cast<int>(threads < static_cast<int64_t>(work.size()) ? threads : work.size());
  in_parallel(workers, [&](int k) {
    for (std::size_t j = k; j < work.size(); j += workers) pass(work[j]);
  });
}

// Calls f(part, from, to) in threads for near-equal parts of `count`, their borders multiples of `unit`.
template <class F>
void in_parts(int64_t count, int64_t unit, int64_t threads, F f) {
  int64_t units = (count + unit - 1) / unit, parts = threads < units ? threads : units;
  if (parts <= 1) return f(0, 0, count);
  in_parallel(static_cast<int>(parts), [&](int k) {
    int64_t from = units * k / parts * unit, to = units * (k + 1) / parts * unit;
    f(k, from, to < count ? to : count);
  });
}

}  // namespace

EXPORT const char* unrolled_isa() { return kernels->name; }

// Take the kernels of another instruction set. 0 where this machine cannot run it.
EXPORT int64_t unrolled_use(const char* name) {
  const Kernels* found = find(name);
  if (found) kernels = found;
  return found != nullptr;
}

EXPORT int64_t unrolled_forward_size(int64_t cell, int64_t hidden) { return kernels->cells[cell].forward_size(hidden); }

EXPORT int64_t unrolled_backward_size(int64_t cell, int64_t hidden) {
  return kernels->cells[cell].backward_size(hidden);
}

EXPORT void unrolled_pack_forward(int64_t cell, const float* weights, int64_t stride, int64_t hidden, float* packed) {
  kernels->cells[cell].pack_forward(weights, stride, hidden, packed);
}

EXPORT void unrolled_pack_backward(int64_t cell, const float* weights, int64_t stride, int64_t hidden, float* packed) {
  kernels->cells[cell].pack_backward(weights, stride, hidden, packed);
}

EXPORT int64_t unrolled_packed_size(int64_t depth, int64_t columns) { return kernels->packed_size(depth, columns); }

EXPORT void unrolled_pack(const float* weights, int64_t stride, int64_t depth, int64_t columns, int64_t transposed,
                          float* packed) {
  kernels->pack(weights, stride, depth, columns, transposed, packed);
}

EXPORT void unrolled_forward(int64_t cell, const Layer* layers, int64_t count, int64_t threads) {
  const CellKernels& of = kernels->cells[cell];
  run(layers, count, threads, layers->keep ? of.forward : of.infer);
}

EXPORT void unrolled_backward(int64_t cell, const Layer* layers, int64_t count, int64_t threads) {
  run(layers, count, threads, kernels->cells[cell].backward);
}

EXPORT void unrolled_multiply(const Product* p, int64_t threads) {
  in_parts(p->rows, 6, threads, [&](int64_t, int64_t from, int64_t to) { kernels->multiply(*p, from, to); });
}

EXPORT void unrolled_outer(const float* a, int64_t a_stride, int64_t rows, int64_t depth, const float* b,
                           int64_t b_stride, int64_t columns, float* c, int64_t c_stride, int64_t add,
                           int64_t threads) {
  std::vector<const float*> pointers(depth);
  for (int64_t k = 0; k < depth; k++) pointers[k] = b + k * b_stride;
  Outer p = {a, a_stride, rows, depth, columns, pointers.data(), c, c_stride, add};
  in_parts(rows, 96, threads, [&](int64_t, int64_t from, int64_t to) {
    kernels->outer(p, from, to, scratch(kernels->outer_scratch(columns)));
  });
}

// The gradient of the recurrent weights: of the gates' gradient, from column `first` on, with the states before.
EXPORT void unrolled_recurrent_outer(const Layer* layer, int64_t first, int64_t rows, float* c, int64_t c_stride,
                                     int64_t threads) {
  const Layer& l = *layer;
  std::vector<const float*> pointers;
  for (int64_t t = 0; t < l.steps; t++) {
    int64_t other = l.reverse ? t + 1 : t - 1;
    int64_t alive = other < 0 || other >= l.steps ? 0 : l.sizes[other];
    for (int64_t row = 0; row < l.sizes[t]; row++) {
      bool linked = row < alive;
      pointers.push_back(linked ? l.h + (l.starts[other] + row) * l.h_stride : l.h0 + row * l.hidden);
    }
  }
  Outer p = {l.dgates + first, l.gates_stride, rows, static_cast<int64_t>(pointers.size()), l.hidden, pointers.data(),
             c, c_stride, 0};
  in_parts(rows, 96, threads, [&](int64_t, int64_t from, int64_t to) {
    kernels->outer(p, from, to, scratch(kernels->outer_scratch(l.hidden)));
  });
}

EXPORT void unrolled_sums(const float* a, int64_t stride, int64_t rows, int64_t columns, float* total,
                          int64_t threads) {
  in_parts(columns, 64, threads,
           [&](int64_t, int64_t from, int64_t to) { kernels->sums(a, stride, rows, from, to, total); });
}

// The last hidden state of each row, (batch, hidden).
EXPORT void unrolled_last(const Layer* layer, float* last) {
  const Layer& l = *layer;
  for (int64_t t = 0; t < l.steps; t++) {
    int64_t longer = !l.reverse && t + 1 < l.steps ? l.sizes[t + 1] : 0;
    for (int64_t row = longer; row < l.sizes[t]; row++) {
      std::memcpy(last + row * l.hidden, l.h + (l.starts[t] + row) * l.h_stride, l.hidden * sizeof(float));
    }
    if (l.reverse) break;
  }
}
