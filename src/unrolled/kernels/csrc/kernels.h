// The kernels of one instruction set, as a table; `isa.cpp`, compiled once for each, fills one in.
#pragma once

#include <stdint.h>

#include "layer.h"

enum CellKind { LSTM, LSTM_PEEPHOLE, LSTM_COUPLED, GRU, ELMAN_TANH, ELMAN_RELU, CELL_KINDS };

struct Product;
struct Outer;

struct CellKernels {
  int64_t (*forward_size)(int64_t hidden), (*backward_size)(int64_t hidden);
  void (*pack_forward)(const float* weights, int64_t stride, int64_t hidden, float* packed);
  void (*pack_backward)(const float* weights, int64_t stride, int64_t hidden, float* packed);
  void (*infer)(const Slice&), (*forward)(const Slice&), (*backward)(const Slice&);
};

struct Kernels {
  const char* name;
  CellKernels cells[CELL_KINDS];
  int64_t (*packed_size)(int64_t depth, int64_t columns);
  void (*pack)(const float* weights, int64_t stride, int64_t depth, int64_t columns, int64_t transposed, float* packed);
  void (*multiply)(const Product&, int64_t from, int64_t to);
  int64_t (*outer_scratch)(int64_t columns);
  void (*outer)(const Outer&, int64_t from, int64_t to, float* scratch);
  void (*sums)(const float* a, int64_t stride, int64_t rows, int64_t from, int64_t to, float* total);
};
