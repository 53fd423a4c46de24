// Behind the C interface of matrix products by themselves. Nothing is checked: `matrix.py` has looked at every size.
#include "api_matrix.h"

#include <vector>

#include "chosen.h"

// In numbers of the type.
EXPORT int64_t unrolled_matrix_size(int64_t half, int64_t depth, int64_t columns) {
  return kernels->of[half].packed_size(depth, columns);
}

// Lay a matrix (depth, columns) out, or where `transposed` (columns, depth).
EXPORT void unrolled_matrix_pack(int64_t half, const float* weights, int64_t stride, int64_t depth, int64_t columns,
                                 int64_t transposed, void* packed, int64_t threads) {
  const TypeKernels& of = kernels->of[half];
  in_parts(columns, kernels->panel, threads, [&](int64_t, int64_t from, int64_t to) {
    char* place = static_cast<char*>(packed) + of.packed_size(depth, from) * (half ? 2 : 4);
    of.pack(weights + (transposed ? from * stride : from), stride, depth, to - from, transposed, place);
  });
}

EXPORT void unrolled_matrix_multiply(int64_t half, const Product* p, int64_t threads) {
  const TypeKernels& of = kernels->of[half];
  in_parts(p->rows, 12, threads, [&](int64_t, int64_t from, int64_t to) {
    of.multiply(*p, from, to, scratch(of.multiply_scratch(p->depth, to - from), half));
  });
}

// c = a^T b, and, where `total` is given, the sums of a's columns.
EXPORT void unrolled_matrix_outer(int64_t half, const float* a, int64_t a_stride, int64_t rows, int64_t depth,
                                  const float* b, int64_t b_stride, int64_t columns, float* c, int64_t c_stride,
                                  float* total, int64_t threads) {
  const TypeKernels& of = kernels->of[half];
  std::vector<const float*> pointers(depth);
  for (int64_t k = 0; k < depth; k++) pointers[k] = b + k * b_stride;
  Outer p = {a, a_stride, rows, depth, columns, pointers.data(), c, c_stride, 0, 0, nullptr, nullptr, 0, total};
  in_parts(rows, 12, threads, [&](int64_t, int64_t from, int64_t to) {
    of.outer(p, from, to, scratch(of.outer_scratch(columns, 0), half));
  });
}
