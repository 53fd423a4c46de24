// Elements dropped at random, by words that are computed from a key and a place: no mask is kept, the gradient's pass
// computes it again, and neither threads nor instruction sets change it.
#pragma once

#include "dropping_types.h"
#include "simd.h"

namespace ISA {

typedef uint64_t Longs __attribute__((vector_size(4 * L)));
typedef uint32_t Words __attribute__((vector_size(4 * L)));

constexpr Index BLOCKS = 16;         // counters of a group
constexpr Index GROUP = 4 * BLOCKS;  // words that they give; `dropping.py` says whose each is

// The product of the lower halves.
INLINE Longs multiply_low(Longs a, uint32_t b) {
#if defined(__AVX512F__)
  return (Longs)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(b));
#elif defined(__AVX2__)
  return (Longs)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(b));
#else
  return (a & 0xFFFFFFFFu) * b;
#endif
}

// Philox 4x32-10, Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3": of each counter
// from `first` on four words, in the lower halves; what stands in the upper ones is of no use.
INLINE void philox(uint64_t key, uint64_t first, Longs (&words)[4]) {
  uint32_t low = static_cast<uint32_t>(key), high = static_cast<uint32_t>(key >> 32);
  Longs counter = first - Longs{};
  for (Index k = 0; k < L / 2; k++) counter[k] += k;
  words[0] = counter, words[1] = counter >> 32, words[2] = words[3] = Longs{};
  UNROLL for (int round = 0; round < 10; round++, low += 0x9E3779B9u, high += 0xBB67AE85u) {
    Longs one = multiply_low(words[0], 0xD2511F53u), other = multiply_low(words[2], 0xCD9E8D57u);
    words[0] = (other >> 32) ^ words[1] ^ low, words[2] = (one >> 32) ^ words[3] ^ high;
    words[1] = other, words[3] = one;
  }
}

// Groups `from` to `to` of the elements.
static void drop(const Dropping& p, Index from, Index to) {
  Vector scale = splat(p.scale);
  for (Index group = from; group < to; group++) {
    for (Index start = 0; start < BLOCKS; start += L) {
      Longs even[4], odd[4];
      philox(p.key, group * BLOCKS + start / 2, even);
      philox(p.key, group * BLOCKS + BLOCKS / 2 + start / 2, odd);
      UNROLL for (int k = 0; k < 4; k++) {
        Index place = group * GROUP + k * BLOCKS + start;
        if (place >= p.count) break;
        Words word = (Words)((even[k] & 0xFFFFFFFFu) | odd[k] << 32);
        Vector x = load(p.source + place, p.count - place) * scale;
        store(p.target + place, (Vector)((Integers)x & (Integers)(word >= p.below)), p.count - place);
      }
    }
  }
}

}  // namespace ISA
