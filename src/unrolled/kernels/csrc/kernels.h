// The kernels of one instruction set, as a table; `isa.cpp`, compiled once for each, fills one in.
#pragma once

#include <stdint.h>

#include "layer.h"
#include "linear_types.h"

enum CellKind {
  LSTM, LSTM_PEEPHOLE, LSTM_COUPLED, GRU, ELMAN_TANH, ELMAN_RELU, LSTM_PROJECTED, GRU_CHO, CELL_KINDS
};

struct Product;
struct Outer;
struct Softmax;
struct Chunk;

// Of one cell; what its numbers mean stands in `cells.h`. wide: units of a panel forwards.
struct CellKernels {
  int64_t gates, width, blocks, wide, twice, peepholes;
  const Share* shares;
  int64_t share_count;
  int64_t (*forward_size)(int64_t hidden, int64_t depth);
  void (*pack_forward)(const float* weights, int64_t stride, int64_t hidden, int64_t depth, int64_t from, int64_t to,
                       void* packed);
  int64_t (*room)(const Layer&, int64_t rows, int64_t backwards);
  void (*forward)(const Slice&), (*backward)(const Slice&);
};

// Of one type of weights, float or bfloat16. Scratch is in numbers of that type.
struct TypeKernels {
  CellKernels cells[CELL_KINDS];
  int64_t (*packed_size)(int64_t depth, int64_t columns);
  void (*pack)(const float* weights, int64_t stride, int64_t depth, int64_t columns, int64_t transposed, void* packed);
  int64_t (*multiply_scratch)(int64_t depth, int64_t rows);
  void (*multiply)(const Product&, int64_t from, int64_t to, void* scratch);
  int64_t (*outer_scratch)(int64_t columns, int64_t more_columns);
  void (*outer)(const Outer&, int64_t from, int64_t to, void* scratch);
};

// Element-wise linear recurrences.
struct LinearKernels {
  void (*forward)(const LinearSlice&), (*backward)(const LinearSlice&);
};

// Of one type of what is multiplied. The columns are gone through twice, with `rows` between for whole rows.
struct SoftmaxKernels {
  int64_t (*room)(const Softmax&, int64_t start, int64_t parts, Chunk&);
  int64_t (*scratch)(int64_t rows, int64_t hidden);
  void (*ahead)(const Chunk&, int64_t from, int64_t to, void* scratch);
  void (*rows)(const Chunk&);
  void (*back)(const Chunk&, int64_t part, int64_t from, int64_t to, void* scratch);
};

struct Leading;

// Of the likeliest words. Scratch is in floats.
struct LeadingKernels {
  int64_t (*scratch)(int64_t words);
  void (*find)(const Leading&, int64_t from, int64_t to, float* scratch);
};

struct Dropping;

// Of elements that are dropped at random, in groups of so many.
struct DroppingKernels {
  int64_t group;
  void (*drop)(const Dropping&, int64_t from, int64_t to);
};

struct Attention;
struct Attending;
struct Feeding;
struct Fed;

// Of a decoder that attends. Room is in halves.
struct AttentionKernels {
  int64_t (*room)(const Layer&, const Attention&, int64_t rows);
  void (*attend)(const Attending&), (*back)(const Attending&);
};

// Of one that reads what it has shown. Room is in halves.
struct FeedingKernels {
  int64_t (*room)(const Layer&, const Feeding&, int64_t rows);
  void (*feed)(const Fed&), (*back)(const Fed&);
};

// Of attention alone.
struct LookKernels {
  void (*look)(const Attending&), (*back)(const Attending&);
};

struct Kernels {
  const char* name;
  int64_t panel;        // columns of a panel, but for those of `pack_forward`
  TypeKernels of[2];    // float, bfloat16
  void (*peepholes_back)(const Layer&, int64_t from, int64_t to);
  int64_t (*spin)(int64_t half, int64_t rounds);
  LinearKernels linear;
  SoftmaxKernels softmax[2];  // float, bfloat16
  AttentionKernels attention[2][2];  // float, bfloat16; LSTM, GRU
  FeedingKernels feeding[2][2];
  LookKernels look;
  LeadingKernels leading;
  DroppingKernels dropping;
};
