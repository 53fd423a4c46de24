// The few likeliest words of each row of logits, and what makes log-probabilities of their logits: for decoding, which
// looks at a handful of a vocabulary in each step. A row is read from memory once, and nothing as large is written.
#pragma once

#include "leading_types.h"
#include "softmax.h"

namespace ISA {
namespace words {

constexpr Index SOME = 16 * L;  // words whose largest is known, and whose sum is one float's

INLINE Vector logits_at(const float* row, Index k, Index words) {
  Vector z = load(row + k, words - k);
  return words - k < L ? z + load(beyond.values + L - (words - k)) : z;
}

// The largest of each SOME words; returns that of all. What is no number is passed over: the sum finds it.
static float tops_of(const float* row, Index words, float* tops) {
  float top = LOWEST;
  for (Index start = 0; start < words; start += SOME, tops++) {
    Vector most = splat(LOWEST);
    for (Index k = start; k < lesser(words, start + SOME); k += L) {
      Vector z = logits_at(row, k, words);
      most = z > most ? z : most;
    }
    *tops = largest(most);
    top = *tops > top ? *tops : top;
  }
  return top;
}

static double norm_of(const float* row, Index words, float top) {
  double total = 0;
  for (Index start = 0; start < words; start += SOME) {
    Vector part{};
    for (Index k = start; k < lesser(words, start + SOME); k += L) part += exponential(logits_at(row, k, words) - top);
    total += added(part);
  }
  return top + __builtin_log(total);
}

// Of equals the first are taken.
static void take(const Leading& p, const float* row, const float* tops, float* best, Index* places) {
  for (Index k = 0; k < p.count; k++) best[k] = LOWEST, places[k] = 0;
  for (Index start = 0; start < p.words; start += SOME, tops++) {
    if (!(*tops > best[p.count - 1])) continue;
    for (Index word = start; word < lesser(p.words, start + SOME); word++) {
      float z = row[word];
      if (!(z > best[p.count - 1]) || (p.barred && p.barred[word])) continue;
      Index at = p.count - 1;
      for (; at > 0 && z > best[at - 1]; at--) best[at] = best[at - 1], places[at] = places[at - 1];
      best[at] = z, places[at] = word;
    }
  }
}

// Floats of scratch.
INLINE Index leading_scratch(Index words) { return (words + SOME - 1) / SOME; }

static void leading(const Leading& p, Index from, Index to, float* scratch) {
  for (Index row = from; row < to; row++) {
    const float* logits = p.logits + row * p.stride;
    p.norms[row] = norm_of(logits, p.words, tops_of(logits, p.words, scratch));
    take(p, logits, scratch, p.best + row * p.count, p.places + row * p.count);
  }
}

}  // namespace words
}  // namespace ISA
