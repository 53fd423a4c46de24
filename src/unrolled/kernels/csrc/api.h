// What Python calls: a plain C interface of raw pointers and sizes.
#pragma once

#include <stdint.h>

#include "gemm_types.h"
#include "layer.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT const char* unrolled_isa();
EXPORT int64_t unrolled_use(const char* name);
EXPORT void unrolled_threads(void* parallel, void* thread_num, void* num_threads);
EXPORT int64_t unrolled_forward_size(int64_t cell, int64_t half, int64_t hidden);
EXPORT void unrolled_pack_forward(int64_t cell, int64_t half, const float* weights, int64_t stride, int64_t hidden,
                                  void* packed);
EXPORT int64_t unrolled_packed_size(int64_t half, int64_t depth, int64_t columns);
EXPORT void unrolled_pack(int64_t half, const float* weights, int64_t stride, int64_t depth, int64_t columns,
                          int64_t transposed, void* packed, int64_t threads);
EXPORT void unrolled_forward(int64_t cell, int64_t half, const Layer* layers, int64_t count, int64_t threads);
EXPORT void unrolled_backward(int64_t cell, int64_t half, const Layer* layers, int64_t count, int64_t threads);
EXPORT void unrolled_multiply(int64_t half, const Product* p, int64_t threads);
EXPORT void unrolled_step(int64_t cell, int64_t half, Layer* layer, const Product* inputs, int64_t count);
EXPORT void unrolled_outer(int64_t half, const float* a, int64_t a_stride, int64_t rows, int64_t depth, const float* b,
                           int64_t b_stride, int64_t columns, float* c, int64_t c_stride, int64_t add,
                           int64_t threads);
EXPORT void unrolled_recurrent_outer(int64_t half, const Layer* layer, int64_t rows, float* c, int64_t c_stride,
                                     int64_t threads);
EXPORT void unrolled_sums(const float* a, int64_t stride, int64_t rows, int64_t columns, float* total, int64_t threads);
EXPORT int64_t unrolled_spin(int64_t half, int64_t rounds);
EXPORT void unrolled_last(const Layer* layer, float* last);
