// What the softmax over a vocabulary gets, with its loss. The caller owns every buffer.
#pragma once

#include <stdint.h>

// Logits z = x W^T + b of `rows` elements over `words` words, the loss of each row,
//
//     loss = log sum_j e^z_j - (1 - s) z_target - s / words sum_j z_j        s: label smoothing
//
// and, where `factors` is there, the gradients of sum_r factors_r loss_r. Each of them may be left out.
extern "C" struct Softmax {
  const float* x;  // (rows, hidden), the next row `x_stride` floats on
  int64_t x_stride, rows, hidden, words;
  const float* weight;  // (words, hidden)
  int64_t weight_stride;
  const float* bias;       // (words,), or none
  const int64_t* targets;  // (rows,), each at least 0 and below `words`
  const float* factors;    // (rows,); none: no gradients
  double smoothing;
  float* losses;   // (rows,)
  float* dx;       // (rows, hidden), or none
  float* dweight;  // (words, hidden), or none
  float* dbias;    // (words,), or none
  int64_t chunk;   // rows at a time
  float* room;     // of the size that `unrolled_softmax_room` says
};

// Some rows, as many as `chunk` says or less, and the room that they work in. A panel is some tens of columns.
struct Chunk {
  const Softmax* of;
  int64_t start, rows;
  int64_t stride;         // of what holds one float a row
  void* powers;           // (rows, words), in blocks: e^(z - the panel's largest), then the gradient of z
  float *tops, *sums;     // (panels, stride) the largest z of a row in a panel; the sum of e^(z - that)
  float* plain;           // (panels, stride) the sum of z, where labels are smoothed
  float *target, *top;    // (stride,) z of the target; the largest z
  float *scale, *hit;     // (stride,) factor / sum_j e^(z_j - top); the gradient of the target's z
  float* partial;         // (parts, rows, hidden) gradient of x, of each part of the columns
};
