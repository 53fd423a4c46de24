// The kernels of one instruction set, as a table; `isa.cpp`, compiled once for each, fills one in.
#pragma once

#include <stdint.h>

#include "layer.h"

enum CellKind { LSTM, LSTM_PEEPHOLE, LSTM_COUPLED, GRU, ELMAN_TANH, ELMAN_RELU, CELL_KINDS };

struct Product;
struct Outer;

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

struct Attention;
struct Attending;

// Of a decoder that attends. Room is in halves.
struct AttentionKernels {
  int64_t (*room)(const Layer&, const Attention&, int64_t rows);
  void (*attend)(const Attending&), (*back)(const Attending&);
};

struct Kernels {
  const char* name;
  TypeKernels of[2];  // float, bfloat16
  void (*sums)(const float* a, int64_t stride, int64_t rows, int64_t from, int64_t to, float* total);
  int64_t (*spin)(int64_t half, int64_t rounds);
  AttentionKernels attention[2][2];  // float, bfloat16; LSTM, GRU
};
