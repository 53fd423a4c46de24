// What the few likeliest words are looked for in. See `leading.h`.
#pragma once

#include <stdint.h>

struct Leading {
  const float* logits;  // (rows, words), rows `stride` apart
  int64_t rows, words, stride;
  const uint8_t* barred;  // (words,): not 0 where a word may not be taken; null: all may
  int64_t count;          // how many are looked for
  float* best;            // (rows, count): logits, the largest first; -inf where no more may be taken
  int64_t* places;        // (rows, count): whose they are
  double* norms;          // (rows,): the logarithm of the sum of all words' e^logit
};
