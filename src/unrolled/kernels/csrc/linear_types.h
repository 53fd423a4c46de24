// An element-wise linear recurrence over a packed batch, h_t = a_t * h_{t-1} + b_t: what a call gets. The batch is that
// of `layer.h`. The caller owns every buffer.
#pragma once

#include <stdint.h>

extern "C" struct Linear {
  int64_t steps, batch, hidden;
  int64_t reverse;         // 1: from each row's last element to its first
  const int64_t* sizes;    // (steps,) rows alive at each time
  const int64_t* starts;   // (steps,) the first element of each time
  const float* a;          // (elements, a_stride) what an element leaves of the state before it
  int64_t a_stride;
  const float* b;          // (elements, b_stride) what it adds; not read for the gradients
  int64_t b_stride;
  const float* h0;         // (batch, hidden)
  float* h;                // (elements, h_stride) states
  int64_t h_stride;
  float* last;             // (batch, hidden) the state after each row's last element
  const float* dh;         // (elements, dh_stride) gradient of the states
  int64_t dh_stride;
  float* da;               // (elements, hidden) gradient of a; or null: nobody asks for it
  float* db;               // (elements, hidden) gradient of b, which is that of the states with all that came of them
  float* dh_carry;         // (batch, hidden) in: gradient of the last states; out: of the initial ones
};

// A slice of it for one thread: some rows, some of the channels.
struct LinearSlice {
  const Linear* linear;
  int64_t from, to, first, end;
};
