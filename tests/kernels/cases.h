// Random sizes, lengths and numbers for the programs that call the kernels; buffers of exactly the size that is asked for,
// filled with NaN where the kernels are to write.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

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
  operator float*() const { return data.get(); }
};

struct Case {
  int64_t cell, half, hidden, input, batch, threads, reverse;
  std::vector<int64_t> sizes, starts;
  int64_t elements = 0;

  Case() {
    cell = draw(0, 5), half = draw(0, 1), hidden = draw(0, 3) ? draw(1, 40) : draw(60, 140), input = draw(1, 40);
    batch = draw(1, 15), threads = draw(1, 4), reverse = draw(0, 1);
    for (int64_t alive = batch; alive > 0 && sizes.size() < 12; alive -= draw(0, 3) ? 0 : draw(0, alive)) {
      sizes.push_back(alive), starts.push_back(elements), elements += alive;
    }
  }
  int64_t blocks() const { return cell < 2 ? 4 : cell < 4 ? 3 : 1; }
  int64_t width() const { return cell == 3 ? 4 : blocks(); }
};

Buffer packed(const Case& c, int64_t numbers) { return Buffer(c.half ? (numbers + 1) / 2 : numbers); }

}  // namespace
