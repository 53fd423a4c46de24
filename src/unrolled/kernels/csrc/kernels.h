// The kernels of one instruction set, as a table; `isa.cpp`, compiled once for each, fills one in.
#pragma once

#include <stdint.h>

#include "layer.h"

enum CellKind { LSTM, LSTM_PEEPHOLE, LSTM_COUPLED, GRU, ELMAN_TANH, ELMAN_RELU, CELL_KINDS };

struct Product;
struct Outer;
struct Softmax;
struct Chunk;

struct CellKernels {
  int64_t (*forward_size)(int64_t hidden);
  void (*pack_forward)(const float* weights, int64_t stride, int64_t hidden, void* packed);
  int64_t (*room)(int64_t hidden, int64_t rows);
  void (*forward)(const Slice&), (*backward)(const Slice&);
};

// Of one type of weights, float or bfloat16. Scratch is in numbers of that type.
struct TypeKernels {
  CellKernels cells[CELL_KINDS];
  int64_t (*packed_size)(int64_t depth, int64_t columns);
  void (*pack)(const float* weights, int64_t stride, int64_t depth, int64_t columns, int64_t transposed, void* packed);
  int64_t (*multiply_scratch)(int64_t depth, int64_t rows);
  void (*multiply)(const Product&, int64_t from, int64_t to, void* scratch);
  int64_t (*outer_scratch)(int64_t columns);
  void (*outer)(const Outer&, int64_t from, int64_t to, void* scratch);
};

// Of one type of what is multiplied. The columns are gone through twice, with `rows` between for whole rows.
struct SoftmaxKernels {
  int64_t (*room)(const Softmax&, int64_t start, int64_t parts, Chunk&);
  int64_t (*scratch)(int64_t rows, int64_t hidden);
  void (*ahead)(const Chunk&, int64_t from, int64_t to, void* scratch);
  void (*rows)(const Chunk&);
  void (*back)(const Chunk&, int64_t part, int64_t from, int64_t to, void* scratch);
};

struct Kernels {
  const char* name;
  TypeKernels of[2];  // float, bfloat16
  void (*sums)(const float* a, int64_t stride, int64_t rows, int64_t from, int64_t to, float* total);
  int64_t (*spin)(int64_t half, int64_t rounds);
  SoftmaxKernels softmax[2];  // float, bfloat16
};
