// One direction of one recurrent layer over a packed batch: what a call gets, and where its elements are.
//
// The packed batch is torch's: the elements of time 0 of all rows, longest row first, then those of time 1 of the rows
// that are still alive, and so on. Nothing is reversed for the backward direction: it begins with each row at that
// row's own last element. The caller owns every buffer.
#pragma once

#include <stdint.h>

extern "C" struct Layer {
  int64_t steps, batch, hidden;
  int64_t output;          // features of h: `hidden`, but where the cell projects it
  int64_t input;           // features of an element
  int64_t reverse;         // 1: from each row's last element to its first
  const int64_t* sizes;    // (steps,) rows alive at each time
  const int64_t* starts;   // (steps,) the first element of each time
  const float* x;          // (elements, x_stride)
  int64_t x_stride;
  // The weights as they are, or none: then `packed` holds them already. Rows of neighbouring floats.
  const float* ih;         // (blocks * hidden, ih_stride)
  int64_t ih_stride;
  const float* hh;         // (blocks * hidden, hh_stride)
  int64_t hh_stride;
  const float* hr;         // (output, hr_stride) the projection
  int64_t hr_stride;
  const float* bias_ih;    // (blocks * hidden,), or none
  const float* bias_hh;
  const float* vectors;    // (3, hidden) peepholes
  void* packed;            // the weights laid out for this pass, `unrolled_packed_size` bytes
  float* gates;            // (elements, gates_stride) the input's share; with `keep` the gates' values take its place
  int64_t gates_stride;
  float* cells;            // (elements, hidden) every cell state, with `keep`
  float* middle;           // (elements, hidden) what a cell's second product multiplies
  const float* h0;         // (batch, output)
  const float* c0;         // (batch, hidden)
  float* h;                // (elements, h_stride) hidden states
  int64_t h_stride;
  float* c;                // (batch, hidden) in: c0; out: the last cell state of each row
  float* last;             // (batch, output) out: the last hidden state of each row
  int64_t given;           // 1: the input's share of the gates is there already
  int64_t keep;            // 1: keep what the gradients need
  const float* dh;         // (elements, dh_stride) gradient of the hidden states
  int64_t dh_stride;
  float* dgates;           // (elements, gates_stride) gradient of the gates' arguments
  float* dtotal;           // (elements, output) gradient of a projected h, all that comes to it
  float* dh_carry;         // (batch, output) in: gradient of the last hidden states; out: of the first
  float* dc_carry;         // (batch, hidden) the same of the cell states
  float* dx;               // (elements, dx_stride) gradient of x, or none
  int64_t dx_stride;
  float* dih;              // (blocks * hidden, dih_stride), or none
  int64_t dih_stride;
  float* dhh;              // (blocks * hidden, output)
  float* dhr;              // (output, hidden)
  float* dbias;            // (width * hidden,) sums of dgates
  float* dvectors;         // (3, hidden)
  // For the kernels, set on the way: where the recurrent products' weights lie in `packed`, the vectors of a tick.
  const void* weights;
  const void* second;
  const float* added;
};

// What does not change between the ticks of a stream.
extern "C" struct Tick {
  int64_t cell, half, threads;
  Layer* layer;
};

// Blocks of the gates: `count` of them from `gate` on are those of the input's weights from `ih` on, and of the state's
// from `hh` on; -1: of none. `middle`: what the state's weights multiply is `Layer::middle`.
struct Share {
  int64_t gate, count, ih, hh;
  bool middle;
};

// A part of a layer's recurrence, for one thread: some of its rows, or, of all rows, some of the units. Who shares rows
// waits for the others after each product.
struct Slice {
  const Layer* layer;
  int64_t from, to;      // rows
  int64_t part, parts;   // of the units
  uint16_t* halves;      // room for rows in bfloat16, where the weights are; one for all parts
  void* team;
  void (*wait)(void* team);
};
