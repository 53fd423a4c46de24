// Runs the element-wise linear recurrences on random sizes and lengths, in buffers of exactly the size that is asked for,
// filled with NaN where they are to write: the sanitizers see any access beyond, and a number left unwritten comes out.
#include <vector>

#include "api_linear.h"
#include "buffers.h"
#include "in_each_set.h"

namespace {

// Rows of `hidden` numbers, some floats apart, without anything behind the last.
struct Spread {
  int64_t stride;
  Buffer numbers;
  Spread(int64_t rows, int64_t hidden, int64_t apart)
      : stride(hidden + apart), numbers(Buffer::random((rows - 1) * stride + hidden)) {}
};

void run() {
  int64_t hidden = draw(0, 3) ? draw(1, 40) : draw(60, 300), batch = draw(1, 15), threads = draw(1, 4), count = 0;
  std::vector<int64_t> sizes, starts;
  for (int64_t alive = batch; alive > 0 && sizes.size() < 12; alive -= draw(0, 3) ? 0 : draw(0, alive)) {
    sizes.push_back(alive), starts.push_back(count), count += alive;
  }
  int64_t directions = draw(1, 2), all = directions * hidden, rows = batch * hidden;
  Buffer h(count * all), dh = Buffer::random(count * all);
  std::vector<Linear> linears;
  std::vector<Buffer> kept;
  kept.reserve(9 * directions);
  auto keep = [&](Buffer buffer) -> float* { return kept.emplace_back(std::move(buffer)); };
  for (int64_t place = 0; place < directions; place++) {
    Spread a(count, hidden, draw(0, 5)), b(count, hidden, draw(0, 5));
    int64_t shift = place * hidden;
    float *last = keep(Buffer(rows)), *da = draw(0, 3) ? keep(Buffer(count * hidden)) : nullptr;
    linears.push_back({
        static_cast<int64_t>(sizes.size()), batch, hidden, place, sizes.data(), starts.data(),
        keep(std::move(a.numbers)), a.stride, keep(std::move(b.numbers)), b.stride, keep(Buffer::random(rows)),
        h + shift, all, last, dh + shift, all, da, keep(Buffer(count * hidden)), keep(Buffer::random(rows)),
    });
  }
  unrolled_linear_forward(linears.data(), directions, threads);
  must_be_written(h, "states");
  unrolled_linear_backward(linears.data(), directions, threads);
  for (const Buffer& buffer : kept) must_be_written(buffer, "last states and gradients");
}

}  // namespace

int main(int count, char** given) { return in_each_set(count, given, run); }
