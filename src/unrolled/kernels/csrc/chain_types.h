// One of the calls that `unrolled_run` makes one after the other.
#pragma once

#include <stdint.h>

enum CallKind { TICK, MULTIPLY, LOOK, COPY, ADD, TAKE };

struct Call {
  int64_t kind, cell, half, threads;
  void *first, *second;  // what a kernel's call gets
  // Of the others: `rows` of `columns` floats.
  int64_t rows, columns;
  const float *source, *other;
  int64_t source_stride, other_stride;
  float* target;
  int64_t target_stride;
  const int64_t* index;  // (rows,) which rows of the source are taken, each below `limit`
  int64_t limit;
};
