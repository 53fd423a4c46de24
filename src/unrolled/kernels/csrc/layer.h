// One direction of one recurrent layer over a packed batch: what a call gets, and where its elements are.
//
// The packed batch is torch's: the elements of time 0 of all rows, longest row first, then those of time 1 of the rows
// that are still alive, and so on. Nothing is reversed for the backward direction: it begins with each row at that row's
// own last element. The caller owns every buffer.
#pragma once

#include <stdint.h>

extern "C" struct Layer {
  int64_t steps, batch, hidden;
  int64_t reverse;         // 1: from each row's last element to its first
  const int64_t* sizes;    // (steps,) rows alive at each time
  const int64_t* starts;   // (steps,) the first element of each time
  const void* weights;     // recurrent weights, packed for this pass
  const float* vectors;    // further weights of the cell, one a unit: peepholes; bias of the candidate
  float* gates;            // (elements, gates_stride) the input's share; with `keep` the gates' values take its place
  int64_t gates_stride;
  float* cells;            // (elements, hidden) every cell state, with `keep`
  const float* h0;         // (batch, hidden)
  const float* c0;         // (batch, hidden)
  float* h;                // (elements, h_stride) hidden states
  int64_t h_stride;
  float* c;                // (batch, hidden) in: c0; out: the last cell state of each row
  int64_t keep;            // 1: keep what the gradients need
  const float* dh;         // (elements, dh_stride) gradient of the hidden states
  int64_t dh_stride;
  float* dgates;           // (elements, gates_stride) gradient of the gates' arguments
  float* dh_carry;         // (batch, hidden) in: gradient of the last hidden states; out: of the first
  float* dc_carry;         // (batch, hidden) the same of the cell states
};

// A slice of a layer's rows, for one thread.
struct Slice {
  const Layer* layer;
  int64_t from, to;
  uint16_t* halves;  // room for two steps of rows in bfloat16, where the weights are
};
