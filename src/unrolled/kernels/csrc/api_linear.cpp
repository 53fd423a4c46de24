// Behind the C interface of the element-wise linear recurrences: here their work is split among threads. Nothing is
// checked: `linear.py` has looked at every size before a pointer gets here.
#include <cstdint>
#include <vector>

#include "api_linear.h"
#include "chosen.h"

namespace {

constexpr int64_t LINE = 16;  // floats of a cache line: threads that share none do not wait for each other

// Rows cut into `parts` of near-equal elements. The first are the longest.
void cut_rows(const Linear& l, int64_t parts, std::vector<LinearSlice>& work) {
  std::vector<int64_t> upto(l.batch + 1);  // elements of the rows before each
  for (int64_t t = 0; t < l.steps; t++) upto[l.sizes[t]]++;
  for (int64_t row = l.batch - 1; row > 0; row--) upto[row] += upto[row + 1];
  for (int64_t row = 0; row < l.batch; row++) upto[row + 1] += upto[row];
  for (int64_t part = 0, from = 0; part < parts; part++) {
    int64_t to = from;
    while (to < l.batch && upto[to] * parts < upto[l.batch] * (part + 1)) to++;
    if (to > from) work.push_back({&l, from, to, 0, l.hidden});
    from = to;
  }
}

void cut_channels(const Linear& l, int64_t parts, std::vector<LinearSlice>& work) {
  int64_t lines = (l.hidden + LINE - 1) / LINE;
  if (lines < parts) parts = lines;
  for (int64_t part = 0; part < parts; part++) {
    int64_t first = lines * part / parts * LINE, end = lines * (part + 1) / parts * LINE;
    work.push_back({&l, 0, l.batch, first, end < l.hidden ? end : l.hidden});
  }
}

using Pass = void (*)(const LinearSlice&);

void run(const Linear* linears, int64_t count, int64_t threads, Pass pass) {
  std::vector<LinearSlice> work;
  // Directions side by side; where there are more threads than directions, each is cut.
  int64_t parts = (threads + count - 1) / count;
  for (int64_t k = 0; k < count; k++) {
    const Linear& l = linears[k];
    if (l.batch < parts) cut_channels(l, parts, work);
    else cut_rows(l, parts, work);
  }
  int64_t workers = threads < static_cast<int64_t>(work.size()) ? threads : work.size();
  in_parallel(static_cast<int>(workers), [&](int k) {
    for (std::size_t j = k; j < work.size(); j += workers) pass(work[j]);
  });
}

}  // namespace

EXPORT void unrolled_linear_forward(const Linear* linears, int64_t count, int64_t threads) {
  run(linears, count, threads, kernels->linear.forward);
}

EXPORT void unrolled_linear_backward(const Linear* linears, int64_t count, int64_t threads) {
  run(linears, count, threads, kernels->linear.backward);
}
