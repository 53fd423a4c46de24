// Behind the C interface of the decoder that attends: here its rows are split among threads. Nothing is checked:
// `kernels/attention.py` has looked at every size before a pointer gets here.
#include <cstdint>
#include <vector>

#include "api_attention.h"
#include "chosen.h"

namespace {

constexpr int64_t FIXED = 128;  // what a step costs beside its memory, in places of the memory

// What each row costs, summed up: of its steps, each of which looks at all its memory.
std::vector<int64_t> costs(const Layer& l, const Attention& a) {
  std::vector<int64_t> total = {0};
  for (int64_t row = 0, steps = l.steps; row < l.batch; row++) {
    while (l.sizes[steps - 1] <= row) steps--;  // the first rows are the longest
    total.push_back(total.back() + steps * (FIXED + a.lengths[row]));
  }
  return total;
}

// Rows cut into at most `parts` of near-equal cost.
std::vector<Attending> cut(const Layer& l, const Attention& a, int64_t parts) {
  std::vector<Attending> found;
  std::vector<int64_t> cost = costs(l, a);
  for (int64_t part = 1, from = 0; part <= parts && from < l.batch; part++) {
    int64_t to = from;
    while (to < l.batch && cost[to] * parts < cost.back() * part) to++;
    if (to > from) found.push_back({&a, {&l, from, to, 0, 1, nullptr, nullptr, nullptr}, nullptr, nullptr});
    from = to;
  }
  return found;
}

const AttentionKernels& of(int64_t cell, int64_t half) { return kernels->attention[half][cell == GRU]; }

// Calls pass(slice, k) for each slice in a thread, with room to work in.
template <class F>
void run(const AttentionKernels& kernel, std::vector<Attending>& slices, F pass) {
  in_parallel(static_cast<int>(slices.size()), [&](int k) {
    Attending& one = slices[k];
    const Attention& a = *one.attention;
    int64_t floats = a.source + a.units, halves = kernel.room(*one.rows.layer, a, one.rows.to - one.rows.from);
    one.room = static_cast<float*>(scratch(floats + (halves + 1) / 2, 0));
    one.rows.halves = reinterpret_cast<uint16_t*>(one.room + floats);
    pass(one, k);
  });
}

}  // namespace

// `cell` is LSTM or GRU.
EXPORT void unrolled_attend(int64_t cell, int64_t half, const Layer* layer, const Attention* attention,
                            int64_t threads) {
  const AttentionKernels& kernel = of(cell, half);
  std::vector<Attending> slices = cut(*layer, *attention, threads);
  run(kernel, slices, [&](const Attending& one, int) { kernel.attend(one); });
}

EXPORT void unrolled_attend_back(int64_t cell, int64_t half, const Layer* layer, const Attention* attention,
                                 int64_t threads) {
  const AttentionKernels& kernel = of(cell, half);
  std::vector<Attending> slices = cut(*layer, *attention, threads);
  int64_t units = attention->units;
  std::vector<float> shares(slices.size() * units);
  run(kernel, slices, [&](Attending& one, int k) {
    one.dvalue = shares.data() + k * units;
    kernel.back(one);
  });
  for (int64_t unit = 0; unit < units; unit++) {
    float total = 0;
    for (std::size_t k = 0; k < slices.size(); k++) total += shares[k * units + unit];
    attention->dvalue[unit] = total;
  }
}
