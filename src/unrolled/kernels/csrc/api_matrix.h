// What Python calls for a matrix product by itself. `half` is 1 where what is multiplied is bfloat16.
#pragma once

#include "api.h"
#include "gemm_types.h"

EXPORT int64_t unrolled_matrix_size(int64_t half, int64_t depth, int64_t columns);
EXPORT void unrolled_matrix_pack(int64_t half, const float* weights, int64_t stride, int64_t depth, int64_t columns,
                                 int64_t transposed, void* packed, int64_t threads);
EXPORT void unrolled_matrix_multiply(int64_t half, const Product* p, int64_t threads);
EXPORT void unrolled_matrix_outer(int64_t half, const float* a, int64_t a_stride, int64_t rows, int64_t depth,
                                  const float* b, int64_t b_stride, int64_t columns, float* c, int64_t c_stride,
                                  float* total, int64_t threads);
