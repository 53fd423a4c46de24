// What Python calls: a plain C interface of raw pointers and sizes. `cell` is one of `CellKind`; `half` is 1 where what
// is multiplied is bfloat16; `threads` is how many may share the work.
#pragma once

#include <stdint.h>

#include "layer.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT const char* unrolled_isa();
EXPORT int64_t unrolled_use(const char* name);
EXPORT void unrolled_threads(void* parallel, void* thread_num, void* num_threads);
EXPORT int64_t unrolled_spin(int64_t half, int64_t rounds);
EXPORT int64_t unrolled_try(int64_t half, int64_t rows, int64_t depth, int64_t columns, int64_t rounds);
EXPORT int64_t unrolled_adds_up(const int64_t* sizes, const int64_t* starts, int64_t steps, int64_t elements);
EXPORT int64_t unrolled_packed_size(int64_t cell, int64_t half, int64_t input, int64_t hidden, int64_t output,
                                    int64_t backwards);
EXPORT void unrolled_pack(int64_t cell, int64_t half, Layer* layer, int64_t threads);
EXPORT void unrolled_forward(int64_t cell, int64_t half, Layer* layers, int64_t count, int64_t threads);
EXPORT void unrolled_backward(int64_t cell, int64_t half, Layer* layers, int64_t count, int64_t threads);
EXPORT void unrolled_before(int64_t cell, int64_t half, Layer* layer, int64_t backwards, int64_t threads);
EXPORT void unrolled_after(int64_t cell, int64_t half, Layer* layer, int64_t threads);
EXPORT void unrolled_last(const Layer* layer);
EXPORT void unrolled_step(int64_t cell, int64_t half, Layer* layer, const float* x, int64_t threads);
