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

// What at least `count` words reach that may be taken: the largest of so many parts, and of one more for each word that
// may not be.
static float reached(const float* tops, Index parts, Index count, float* most) {
  if (count > parts) return LOWEST;
  for (Index k = 0; k < count; k++) most[k] = LOWEST;
  for (Index part = 0; part < parts; part++) {
    Index at = count;
    for (; at > 0 && tops[part] > most[at - 1]; at--) {
      if (at < count) most[at] = most[at - 1];
    }
    if (at < count) most[at] = tops[part];
  }
  return most[count - 1];
}

// A number below x where those under 1e-38 count as zero (`flush.h`): the next one, but for what is next to zero.
INLINE float below(float x) {
  constexpr float tiny = __FLT_MIN__;
  float next = __builtin_nextafterf(x, LOWEST);
  return next > -tiny && next < tiny ? -tiny : next;
}

// Of equals the first are taken. least: a number that those which are taken are above.
static void take(const Leading& p, const float* row, const float* tops, float least, float* best, Index* places) {
  const uint8_t* barred = p.barred;
  Index last = p.count - 1, words = p.words;
  for (Index k = 0; k <= last; k++) best[k] = LOWEST, places[k] = 0;
  for (Index start = 0; start < words; start += SOME, tops++) {
    if (!(*tops > least)) continue;
    for (Index word = start, end = lesser(words, start + SOME); word < end; word++) {
      float z = row[word];
      if (!(z > least) || (barred && barred[word])) continue;
      Index at = last;
      for (; at > 0 && z > best[at - 1]; at--) best[at] = best[at - 1], places[at] = places[at - 1];
      best[at] = z, places[at] = word;
      least = best[last] > least ? best[last] : least;
    }
  }
}

INLINE Index parts_of(Index words) { return (words + SOME - 1) / SOME; }

// Floats of scratch.
INLINE Index leading_scratch(Index words) { return 2 * parts_of(words); }

static void leading(const Leading& p, Index from, Index to, float* scratch) {
  Index parts = parts_of(p.words), count = p.count;
  for (Index word = 0; p.barred && word < p.words; word++) count += p.barred[word] != 0;
  for (Index row = from; row < to; row++) {
    const float* logits = p.logits + row * p.stride;
    p.norms[row] = norm_of(logits, p.words, tops_of(logits, p.words, scratch));
    float least = below(reached(scratch, parts, count, scratch + parts));
    take(p, logits, scratch, least, p.best + row * p.count, p.places + row * p.count);
  }
}

}  // namespace words
}  // namespace ISA
