// Vectors of floats, as wide as the instruction set that this file is compiled for, and what the cells need of them.
//
// They are the vector types that GCC and Clang share: the same lines become AVX-512, AVX2, NEON or SSE. Every file that
// includes this one is compiled once for each instruction set, with ISA defined as a name; all that it defines lives in
// a namespace of that name, so that the linker cannot take code for one machine into the path of another. For the same
// reason nothing of the standard library is used here.
#pragma once

#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

namespace ISA {

typedef int64_t Index;

#if defined(__AVX512F__)
constexpr Index L = 16;  // floats in a vector
constexpr int ROWS = 6;  // rows of a tile: with four vectors a row, 24 of the 32 registers
#elif defined(__AVX2__)
constexpr Index L = 8;
constexpr int ROWS = 3;
#define NARROW
#elif defined(__aarch64__)
constexpr Index L = 4;
constexpr int ROWS = 6;
#else
constexpr Index L = 4;
constexpr int ROWS = 3;
#define NARROW
#endif
constexpr int MOST = 4;  // vectors of a tile's row, at most

typedef float Vector __attribute__((vector_size(4 * L)));
typedef int32_t Integers __attribute__((vector_size(4 * L)));
typedef float Anywhere __attribute__((vector_size(4 * L), aligned(4), may_alias));

INLINE Index lesser(Index a, Index b) { return a < b ? a : b; }
INLINE Index greater(Index a, Index b) { return a > b ? a : b; }

INLINE Vector splat(float x) { return x - Vector{}; }

INLINE Vector load(const float* p) { return *reinterpret_cast<const Anywhere*>(p); }
INLINE void store(float* p, Vector x) { *reinterpret_cast<Anywhere*>(p) = x; }

// The first n floats, zeros behind them: nothing beyond them is read or written.
INLINE Vector load(const float* p, Index n) {
  if (__builtin_expect(n >= L, 1)) return load(p);
#if defined(__AVX512F__)
  return (Vector)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
  Vector x{};
  for (Index k = 0; k < n; k++) x[k] = p[k];
  return x;
#endif
}

INLINE void store(float* p, Vector x, Index n) {
  if (__builtin_expect(n >= L, 1)) return store(p, x);
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)x);
#else
  for (Index k = 0; k < n; k++) p[k] = x[k];
#endif
}

INLINE float sum(Vector x) {
  float total = 0;
  for (Index k = 0; k < L; k++) total += x[k];
  return total;
}

// NaN stays NaN: of two operands of which one is NaN, these instructions give the second.
INLINE Vector clamp(Vector x, float most) {
#if defined(__AVX512F__)
  return (Vector)_mm512_max_ps((__m512)splat(-most), _mm512_min_ps((__m512)splat(most), (__m512)x));
#elif defined(__AVX2__)
  return (Vector)_mm256_max_ps((__m256)splat(-most), _mm256_min_ps((__m256)splat(most), (__m256)x));
#else
  x = x > splat(most) ? splat(most) : x;
  return x < splat(-most) ? splat(-most) : x;
#endif
}

INLINE Vector reciprocal(Vector x) {
#if defined(__AVX512F__)
  // 14 bits, and one step of Newton's: a division takes three times as long.
  Vector y = (Vector)_mm512_rcp14_ps((__m512)x);
  return y * (2.0f - x * y);
#else
  return 1.0f / x;
#endif
}

// e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln 2 / 2. Gives e^r - 1, by its Taylor series to r^7 (what is left out
// is below 2e-8 of r), and 2^n. For |x| <= 87.
INLINE Vector exponential_parts(Vector x, Vector& power) {
  const float shift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number, which stands in the last bits
  Vector n = x * 1.44269504088896341f + shift;
  power = (Vector)(((Integers)n + 127) << 23);
  n -= shift;
  Vector r = x - n * 0.693145751953125f;  // ln 2 in two parts, the first of few bits
  r = r - n * 1.42860682030941723e-6f;
  Vector p = r * (1.0f / 5040) + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  return p * (r * r) + r;
}

INLINE Vector exponential(Vector x) {
  Vector power, rest = exponential_parts(clamp(x, 87.0f), power);
  return power * rest + power;
}

// 1 / (1 + e^-x)
INLINE Vector sigmoid(Vector x) {
  Vector power, rest = exponential_parts(clamp(-x, 80.0f), power);
  return reciprocal(power * rest + (power + 1.0f));
}

// (e^2x - 1) / (e^2x + 1), by e^2x - 1 without cancellation, so that it is right to a few last bits near 0 as well.
INLINE Vector tanh(Vector x) {
  Vector power, rest = exponential_parts(clamp(2.0f * x, 40.0f), power);
  Vector less_one = power * rest + (power - 1.0f);
  return less_one * reciprocal(less_one + 2.0f);
}

// bfloat16: the upper half of a float, rounded to the nearest, ties to even.
typedef uint16_t Half;
typedef uint16_t Halves __attribute__((vector_size(2 * L)));
typedef uint16_t HalvesAnywhere __attribute__((vector_size(2 * L), aligned(2), may_alias));
typedef uint32_t Pairs __attribute__((vector_size(4 * L)));  // two halves in each lane, the first in the lower bits

INLINE Pairs rounded_bits(Vector x) {
  Pairs bits = (Pairs)x;
  Pairs rounded = bits + 0x7fff + ((bits >> 16) & 1);
  // Rounding could carry a NaN over into another number.
  return x == x ? rounded : (bits | 0x400000);
}

INLINE void store_halves(Half* p, Vector x, Index n) {
#if defined(__AVX512BF16__)
  Halves halves = (Halves)_mm512_cvtneps_pbh((__m512)x);
#else
  Halves halves = __builtin_convertvector(rounded_bits(x) >> 16, Halves);
#endif
  if (__builtin_expect(n >= L, 1)) *reinterpret_cast<HalvesAnywhere*>(p) = halves;
  else for (Index k = 0; k < n; k++) p[k] = halves[k];
}

// Two rows of floats as pairs: lane k holds first[k] and second[k].
INLINE Pairs paired(Vector first, Vector second) {
#if defined(__AVX512BF16__)
  Halves lower = (Halves)_mm512_cvtneps_pbh((__m512)first), upper = (Halves)_mm512_cvtneps_pbh((__m512)second);
  return __builtin_convertvector(lower, Pairs) | (__builtin_convertvector(upper, Pairs) << 16);
#endif
  return (rounded_bits(first) >> 16) | (rounded_bits(second) & 0xffff0000u);
}

INLINE void add_products(Vector& total, Pairs a, Pairs b) {
#if defined(__AVX512BF16__)
  total = (Vector)_mm512_dpbf16_ps((__m512)total, (__m512bh)a, (__m512bh)b);
#else
  total += (Vector)(a << 16) * (Vector)(b << 16);
  total += (Vector)(a & 0xffff0000u) * (Vector)(b & 0xffff0000u);
#endif
}

#if defined(__AVX512F__)
#define LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif defined(__AVX2__)
#define LOW 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH 4, 12, 5, 13, 6, 14, 7, 15
#else
#define LOW 0, 4, 1, 5
#define HIGH 2, 6, 3, 7
#endif
#if defined(__clang__)
#define INTERLEAVE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define INTERLEAVE(a, b, ...) __builtin_shuffle(a, b, Integers{__VA_ARGS__})
#endif

// L vectors of L floats turned over. Interleaving the upper with the lower half of the rows, as a deck of cards is
// shuffled, log2(L) times, brings each float to its place.
INLINE void transpose(Vector (&rows)[L]) {
  UNROLL for (Index round = 1; round < L; round *= 2) {
    Vector next[L];
    UNROLL for (Index k = 0; k < L / 2; k++) {
      next[2 * k] = INTERLEAVE(rows[k], rows[k + L / 2], LOW);
      next[2 * k + 1] = INTERLEAVE(rows[k], rows[k + L / 2], HIGH);
    }
    UNROLL for (Index k = 0; k < L; k++) rows[k] = next[k];
  }
}

#undef LOW
#undef HIGH
#undef INTERLEAVE

}  // namespace ISA
