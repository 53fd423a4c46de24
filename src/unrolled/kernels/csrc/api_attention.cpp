// Behind the C interface of decoders that attend: here their rows are split among threads. Nothing is checked:
// `kernels/attention.py` and `kernels/feeding.py` have looked at every size before a pointer gets here.
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

// Calls pass(slice) for each slice in a thread, with room to work in; room(rows): how many halves of it there are.
template <class R, class F>
void run(std::vector<Attending>& slices, R room, F pass) {
  in_parallel(static_cast<int>(slices.size()), [&](int k) {
    Attending& one = slices[k];
    const Attention& a = *one.attention;
    int64_t floats = a.source + a.units, halves = room(one.rows.to - one.rows.from);
    one.room = static_cast<float*>(scratch(floats + (halves + 1) / 2, 0));
    one.rows.halves = reinterpret_cast<uint16_t*>(one.room + floats);
    pass(one);
  });
}

// The same, and adds up what the slices have of the gradient of `value`.
template <class R, class F>
void run_back(const Attention& a, std::vector<Attending>& slices, R room, F pass) {
  std::vector<float> shares(slices.size() * a.units);
  for (std::size_t k = 0; k < slices.size(); k++) slices[k].dvalue = shares.data() + k * a.units;
  run(slices, room, pass);
  for (int64_t unit = 0; unit < a.units && a.value; unit++) {
    float total = 0;
    for (std::size_t k = 0; k < slices.size(); k++) total += shares[k * a.units + unit];
    a.dvalue[unit] = total;
  }
}

int64_t none(int64_t) { return 0; }

}  // namespace

// `cell` is LSTM or GRU.
EXPORT void unrolled_attend(int64_t cell, int64_t half, const Layer* layer, const Attention* attention,
                            int64_t threads) {
  const AttentionKernels& kernel = kernels->attention[half][cell == GRU];
  std::vector<Attending> slices = cut(*layer, *attention, threads);
  run(slices, [&](int64_t rows) { return kernel.room(*layer, *attention, rows); }, kernel.attend);
}

EXPORT void unrolled_attend_back(int64_t cell, int64_t half, const Layer* layer, const Attention* attention,
                                 int64_t threads) {
  const AttentionKernels& kernel = kernels->attention[half][cell == GRU];
  std::vector<Attending> slices = cut(*layer, *attention, threads);
  run_back(*attention, slices, [&](int64_t rows) { return kernel.room(*layer, *attention, rows); }, kernel.back);
}

EXPORT void unrolled_feed(int64_t cell, int64_t half, const Layer* layer, const Feeding* feeding, int64_t threads) {
  const FeedingKernels& kernel = kernels->feeding[half][cell == GRU];
  std::vector<Attending> slices = cut(*layer, *feeding->attention, threads);
  run(slices, [&](int64_t rows) { return kernel.room(*layer, *feeding, rows); },
      [&](const Attending& one) { kernel.feed({feeding, one}); });
}

EXPORT void unrolled_feed_back(int64_t cell, int64_t half, const Layer* layer, const Feeding* feeding,
                               int64_t threads) {
  const FeedingKernels& kernel = kernels->feeding[half][cell == GRU];
  std::vector<Attending> slices = cut(*layer, *feeding->attention, threads);
  run_back(*feeding->attention, slices, [&](int64_t rows) { return kernel.room(*layer, *feeding, rows); },
           [&](const Attending& one) { kernel.back({feeding, one}); });
}

// Attention alone, of queries that are there. Of the layer: `steps`, `batch`, `sizes`, `starts`.
EXPORT void unrolled_look(const Layer* layer, const Attention* attention, int64_t threads) {
  std::vector<Attending> slices = cut(*layer, *attention, threads);
  run(slices, none, kernels->look.look);
}

EXPORT void unrolled_look_back(const Layer* layer, const Attention* attention, int64_t threads) {
  std::vector<Attending> slices = cut(*layer, *attention, threads);
  run_back(*attention, slices, none, kernels->look.back);
}
