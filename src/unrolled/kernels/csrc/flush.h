// Numbers too small for a float's full precision, below 1e-38, count as zero in this thread for as long as one lives.
//
// A gradient that vanishes passes through them on its way to zero, and a processor takes some hundred cycles for each
// instruction that meets one: a pass over 784 elements took five times as long, over 200 fifteen times. What is lost is
// smaller than the rounding of any number that it could be added to.
#pragma once

#include <cstdint>

class FlushToZero {
 public:
#if defined(__x86_64__)
  FlushToZero() : before_(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(before_ | FLUSH | AS_ZERO); }
  ~FlushToZero() { __builtin_ia32_ldmxcsr(before_); }
#elif defined(__aarch64__)
  FlushToZero() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(before_));
    __asm__ volatile("msr fpcr, %0" : : "r"(before_ | FLUSH));
  }
  ~FlushToZero() { __asm__ volatile("msr fpcr, %0" : : "r"(before_)); }
#else
  FlushToZero() {}
  ~FlushToZero() {}
#endif
  FlushToZero(const FlushToZero&) = delete;
  FlushToZero& operator=(const FlushToZero&) = delete;

 private:
#if defined(__x86_64__)
  static constexpr unsigned FLUSH = 0x8000, AS_ZERO = 0x0040;  // results, and operands
  unsigned before_;
#elif defined(__aarch64__)
  static constexpr std::uint64_t FLUSH = 1u << 24;  // of both
  std::uint64_t before_;
#endif
};
