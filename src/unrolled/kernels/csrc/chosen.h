// The kernels that were chosen when the library was loaded, room to work in, and the split of work among threads.
#pragma once

#include <cstdint>

#include "kernels.h"
#include "pool.h"

// Those of an instruction set by its name, or of the best that this machine can run; null where it cannot.
const Kernels* find_kernels(const char* name);

extern const Kernels* kernels;

// Room for so many numbers, floats or halves, one for each thread; it grows to what was needed most. A second call in
// one thread gives the same room again, but for another `use` of it, which is below 2.
void* scratch(int64_t numbers, int64_t half, int use = 0);

// The k-th of `parts` near-equal parts of `count`, their borders multiples of `unit`.
struct Part {
  int64_t from, to;
  int64_t size() const { return to - from; }
  static Part of(int64_t count, int64_t unit, int64_t k, int64_t parts) {
    int64_t units = (count + unit - 1) / unit, from = units * k / parts * unit, to = units * (k + 1) / parts * unit;
    return {from < count ? from : count, to < count ? to : count};
  }
};

// Calls f(part, from, to) in threads for near-equal parts of `count`, their borders multiples of `unit`.
template <class F>
void in_parts(int64_t count, int64_t unit, int64_t threads, F f) {
  int64_t units = (count + unit - 1) / unit, parts = threads < units ? threads : units;
  if (parts <= 1) {
    FlushToZero here;
    return f(0, 0, count);
  }
  in_parallel(static_cast<int>(parts), [&](int k) {
    Part part = Part::of(count, unit, k, parts);
    f(k, part.from, part.to);
  });
}
