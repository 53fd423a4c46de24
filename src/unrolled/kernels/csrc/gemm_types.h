// What the matrix products get. The caller owns every buffer.
#pragma once

#include <stdint.h>

// c = a b + bias, or c += a b.
extern "C" struct Product {
  const float* a;     // (rows, depth), the next row `a_stride` floats on
  int64_t a_stride, rows, depth, columns;
  const void* b;      // (depth, columns) in panels, of floats or bfloat16
  const float* bias;  // (columns,), or none
  float* c;           // (rows, columns)
  int64_t c_stride, add;
};

// c = a^T b, b's rows given by pointers; and, where `total` is given, the sums of a's columns.
extern "C" struct Outer {
  const float* a;         // (depth, rows)
  int64_t a_stride, rows, depth, columns;
  const float* const* b;  // (depth,) pointers to rows of `columns` floats
  float* c;               // (rows, columns)
  int64_t c_stride, add;
  // A second b and c for the same a, or none.
  int64_t more_columns;
  const float* const* more_b;
  float* more_c;
  int64_t more_stride;
  float* total;           // (rows,), or none
};
