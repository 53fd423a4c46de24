// Random numbers, and buffers filled with NaN, for the programs that call the kernels.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>

namespace {

std::mt19937 source;

int64_t draw(int64_t from, int64_t to) { return std::uniform_int_distribution<int64_t>(from, to)(source); }

// Of exactly this size, in memory of its own, so that the sanitizer knows its end.
struct Buffer {
  std::unique_ptr<float[]> data;
  int64_t size;
  explicit Buffer(int64_t size) : data(new float[size]), size(size) {
    for (int64_t k = 0; k < size; k++) data[k] = NAN;
  }
  static Buffer random(int64_t size, float deviation = 0.5f) {
    Buffer made(size);
    std::normal_distribution<float> normal(0, deviation);
    for (int64_t k = 0; k < size; k++) made.data[k] = normal(source);
    return made;
  }
  void copy(const Buffer& other) const { std::copy_n(other.data.get(), size, data.get()); }
  operator float*() const { return data.get(); }
};

void must_be_written(const Buffer& buffer, const char* what) {
  for (int64_t k = 0; k < buffer.size; k++) {
    if (std::isfinite(buffer[k])) continue;
    std::fprintf(stderr, "%s: number %lld of %lld is %f\n", what, (long long)k, (long long)buffer.size, buffer[k]);
    std::exit(1);
  }
}

}  // namespace
