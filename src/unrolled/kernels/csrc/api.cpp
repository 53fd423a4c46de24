// Behind the C interface of the recurrences: here the work is split among threads. Nothing is checked:
// `recurrence.py` has looked at every size before a pointer gets here.
#include <cstdint>
#include <cstring>
#include <vector>

#include "api.h"
#include "chosen.h"

namespace {

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
    if (to > from) found.push_back({&l, from, to, nullptr});
    from = to;
  }
  return found;
}

using Pass = void (*)(const Slice&);

void run(const CellKernels& cell, const Layer* layers, int64_t count, int64_t half, int64_t threads, Pass pass) {
  std::vector<Slice> work;
  // Directions side by side; where there are more threads than directions, each direction's rows are cut.
  int64_t parts = (threads + count - 1) / count;
  for (int64_t k = 0; k < count; k++) {
    for (const Slice& slice : slices(layers[k], parts)) work.push_back(slice);
  }
  int workers = static_cast<int>(threads < static_cast<int64_t>(work.size()) ? threads : work.size());
  in_parallel(workers, [&](int k) {
    for (std::size_t j = k; j < work.size(); j += workers) {
      Slice& slice = work[j];
      if (half) {
        int64_t room = cell.room(slice.layer->hidden, slice.to - slice.from);
        slice.halves = static_cast<uint16_t*>(scratch(room, half));
      }
      pass(slice);
    }
  });
}

void outer(const Outer& p, int64_t half, int64_t threads) {
  const TypeKernels& of = kernels->of[half];
  in_parts(p.rows, 96, threads, [&](int64_t, int64_t from, int64_t to) {
    of.outer(p, from, to, scratch(of.outer_scratch(p.columns), half));
  });
}

}  // namespace

EXPORT const char* unrolled_isa() { return kernels->name; }

// Take the kernels of another instruction set. 0 where this machine cannot run it.
EXPORT int64_t unrolled_use(const char* name) {
  const Kernels* found = find_kernels(name);
  if (found) kernels = found;
  return found != nullptr;
}

EXPORT void unrolled_threads(void* parallel, void* thread_num, void* num_threads) {
  take_threads(parallel, thread_num, num_threads);
}

// Everywhere below `half` is 1 where weights are, or are to be, bfloat16, and sizes are in numbers of that type.

EXPORT int64_t unrolled_forward_size(int64_t cell, int64_t half, int64_t hidden) {
  return kernels->of[half].cells[cell].forward_size(hidden);
}

EXPORT void unrolled_pack_forward(int64_t cell, int64_t half, const float* weights, int64_t stride, int64_t hidden,
                                  void* packed) {
  kernels->of[half].cells[cell].pack_forward(weights, stride, hidden, packed);
}

EXPORT int64_t unrolled_packed_size(int64_t half, int64_t depth, int64_t columns) {
  return kernels->of[half].packed_size(depth, columns);
}

EXPORT void unrolled_pack(int64_t half, const float* weights, int64_t stride, int64_t depth, int64_t columns,
                          int64_t transposed, void* packed, int64_t threads) {
  const TypeKernels& of = kernels->of[half];
  // Whole panels each: 64 columns are some of them in every instruction set.
  in_parts(columns, 64, threads, [&](int64_t, int64_t from, int64_t to) {
    char* place = static_cast<char*>(packed) + of.packed_size(depth, from) * (half ? 2 : 4);
    of.pack(weights + (transposed ? from * stride : from), stride, depth, to - from, transposed, place);
  });
}

EXPORT void unrolled_forward(int64_t cell, int64_t half, const Layer* layers, int64_t count, int64_t threads) {
  const CellKernels& of = kernels->of[half].cells[cell];
  run(of, layers, count, half, threads, of.forward);
}

EXPORT void unrolled_backward(int64_t cell, int64_t half, const Layer* layers, int64_t count, int64_t threads) {
  const CellKernels& of = kernels->of[half].cells[cell];
  run(of, layers, count, half, threads, of.backward);
}

EXPORT void unrolled_multiply(int64_t half, const Product* p, int64_t threads) {
  const TypeKernels& of = kernels->of[half];
  in_parts(p->rows, 6, threads, [&](int64_t, int64_t from, int64_t to) {
    of.multiply(*p, from, to, scratch(of.multiply_scratch(p->depth, to - from), half));
  });
}

// One tick: the input's share of the gates, then the cell. The hidden state goes from layer->h0 to layer->h, and the two
// change places, so that the next call goes on from here.
EXPORT void unrolled_step(int64_t cell, int64_t half, Layer* layer, const Product* inputs, int64_t count) {
  for (int64_t k = 0; k < count; k++) unrolled_multiply(half, &inputs[k], 1);
  const CellKernels& of = kernels->of[half].cells[cell];
  int64_t room = half ? of.room(layer->hidden, layer->batch) : 0;
  of.forward({layer, 0, layer->batch, half ? static_cast<uint16_t*>(scratch(room, half)) : nullptr});
  float* now = layer->h;
  layer->h = const_cast<float*>(layer->h0);
  layer->h0 = now;
}

EXPORT void unrolled_outer(int64_t half, const float* a, int64_t a_stride, int64_t rows, int64_t depth, const float* b,
                           int64_t b_stride, int64_t columns, float* c, int64_t c_stride, int64_t add,
                           int64_t threads) {
  std::vector<const float*> pointers(depth);
  for (int64_t k = 0; k < depth; k++) pointers[k] = b + k * b_stride;
  Outer p = {a, a_stride, rows, depth, columns, pointers.data(), c, c_stride, add};
  outer(p, half, threads);
}

// The gradient of the recurrent weights: of the gates' gradient with the states before.
EXPORT void unrolled_recurrent_outer(int64_t half, const Layer* layer, int64_t rows, float* c, int64_t c_stride,
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
  Outer p = {l.dgates, l.gates_stride, rows, static_cast<int64_t>(pointers.size()), l.hidden, pointers.data(), c,
             c_stride, 0};
  outer(p, half, threads);
}

EXPORT void unrolled_sums(const float* a, int64_t stride, int64_t rows, int64_t columns, float* total,
                          int64_t threads) {
  in_parts(columns, 64, threads,
           [&](int64_t, int64_t from, int64_t to) { kernels->sums(a, stride, rows, from, to, total); });
}

// Keep the processor's multipliers busy for some rounds; returns the operations done, for measuring its peak.
EXPORT int64_t unrolled_spin(int64_t half, int64_t rounds) { return kernels->spin(half, rounds); }

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
